"""The doorbell's tests: what every table is held to, its transcript, and the service over real sockets."""

import json
import random
from pathlib import Path

import httpx
import pytest
import trio

from engine import Family, breaches, check_table, open_engine, paths, play, scenes
from engine.machine.laws import Samples
from engine.machine.transcript import Scene
from engine.transport.websocket import connect

from . import vocabulary as v
from .api import API, RING
from .table import KINDS, TABLE

SAMPLES: Samples = {
    v.RingDoor: [v.RingDoor(door="front", visitor="eve"), v.RingDoor(door="back", visitor="joe")],
    v.OpenDoor: [v.OpenDoor(sender="ann")],
}
SCENES = scenes((Path(__file__).parent / "scenarios" / "door.txt").read_text(encoding="utf-8"))


def test_the_table_has_no_fault_that_can_be_seen_without_running_it() -> None:
    assert check_table(TABLE) == ()


@pytest.mark.parametrize("seed", range(5))
def test_random_commands_break_no_law(seed: int) -> None:
    assert breaches(TABLE, SAMPLES, random.Random(seed).choice) == ()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_the_door_does_what_its_transcript_says(scene: Scene) -> None:
    play(Family(KINDS), scene)


def test_the_transcripts_use_every_row() -> None:
    stages = [play(Family(KINDS), scene) for scene in SCENES]
    decided = {(state, command) for stage in stages for _, state, command in stage.received}
    wanted = {(path.goal.state.name, path.goal.command.__name__) for path in paths(TABLE)}
    never = {cell for cell in wanted - decided if cell[1] != "Crash"}
    assert never == {("QUIET", "ExpireRing")}  # a late timer: the engine drops it before the table sees it


async def test_a_ring_is_heard_inside() -> None:
    async with open_engine("memory:", apis=[API]) as engine, trio.open_nursery() as nursery:
        (address,) = await nursery.start(engine.serve, "127.0.0.1:0")
        async with httpx.AsyncClient(base_url=address) as client, connect(_ws(address)) as inside:
            await inside.send(json.dumps({"door": "front"}))
            rung = await client.post("/doors/front/ring", json={"visitor": "eve"})
            assert (rung.status_code, rung.json()) == (200, {"door": "front", "number": 1})
            assert json.loads(await inside.receive()) == {"version": 1, "name": "rang", "who": "eve"}
            again = await client.post("/doors/front/ring", json={"visitor": "joe"})
            assert again.status_code == 409
            wrong = await client.post("/doors/front/ring", json={"visitor": 5})
            assert wrong.json() == {"error": "$.visitor: wants a string, got an integer"}
        nursery.cancel_scope.cancel()


async def test_an_embedding_program_rings_and_somebody_opens() -> None:
    async with open_engine("memory:", apis=[API]) as engine:
        call = await engine.start(RING, v.RingDoor(door="front", visitor="eve"))
        await call.send(v.OpenDoor(sender="ann"))
        assert (await call.snapshot()).state is v.DoorState.QUIET


def _ws(address: str) -> str:
    return address.replace("http", "ws") + "/doors"
