"""Wrong frames of every kind at the videochat socket: an answer or a close, and nobody else disturbed."""

import json
import os
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import TransportBrokenError
from machines.videochat.api import MESSAGES
from tests.engine.codec.shapes import json_values
from tests.machines.videochat.wiretap import Phone, exchange

FRAMES_EACH = 40
EXAMPLES = max(3, int(os.environ.get("SWITCHHOOK_FUZZ_EXAMPLES", "1000")) // FRAMES_EACH)
CODES = {1002, 1003, 1007, 1009}
"""What a socket may be closed with for what it sent, once it has authenticated."""

TYPES = st.sampled_from([message.name for message in MESSAGES] + ["authenticate", "", "videochat:"])
WORDS = st.sampled_from(
    ["ann", "bob", "eve", "joe", "nobody", "", "x" * 300, "\x00", "é" * 9, "../a", "a/b:c"]
)
FIELDS = st.sampled_from(["targetUser", "videochatId", "videochatRequestId", "token", "device"])
near_data = st.dictionaries(FIELDS, WORDS | json_values, max_size=4)
near_frames = st.fixed_dictionaries(
    {"type": TYPES, "data": near_data | json_values},
    optional={"event": st.fixed_dictionaries({}, optional={"id": WORDS | json_values, "date": json_values})},
)
texts = (
    near_frames.map(lambda value: json.dumps(value, allow_nan=True))
    | json_values.map(lambda value: json.dumps(value, allow_nan=True))
    | st.text(max_size=200)
    | st.integers(1, 5000).map(lambda depth: "[" * depth)
    | st.integers(1, 300).map(lambda depth: '{"data":' * depth + "1" + "}" * depth)
)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(texts, min_size=1, max_size=FRAMES_EACH))
def test_any_frames_are_answered_and_nobody_else_is_disturbed(frames: list[str]) -> None:
    trio.run(_attack, frames)


async def _attack(frames: list[str]) -> None:
    async with exchange() as server, server.phone("joe", "desk") as bystander:
        async with server.phone("eve", "laptop") as eve:
            for frame in frames:
                if not await _survives(eve, frame):
                    break
        answer = await bystander.ask("requestDirectVideochat", {"targetUser": "nobody"})
        assert answer["error"]["code"] == 1021
        async with server.phone("eve", "laptop") as again:
            assert again.info["user"]["id"] == "eve"
        assert server.engine.runtime.dispatcher.statistics()["busy"] == 0


async def _survives(eve: Phone, frame: str) -> bool:
    try:
        await eve.link.send(frame)
        while True:
            answer: dict[str, Any] = await eve.receive()
            if "error" in answer and not answer["event"]["id"].isdigit():
                break
            if answer["error"]["status"] or answer["type"] == json.loads(frame).get("type"):
                break
    except TransportBrokenError as closed:
        if closed.code not in CODES:
            raise
        return False
    return True
