"""What holds between rings, lines, rooms and seats after every command, whoever does what and when.

SWITCHHOOK_PROFILE=large runs twenty times as many.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

import attrs
import pytest

from engine.effects import Ask, Push, Reply, Send
from engine.machine.family import Decision, Family
from engine.machine.stage import Stage
from engine.machine.step import Outcome, Snapshot
from engine.machine.table import Crash
from engine.vocabulary import Address, Command
from machines.videochat import vocabulary as v
from machines.videochat.line import seat_address
from machines.videochat.ring import FINAL, LIVE, RING_SECONDS_MAX
from machines.videochat.table import KINDS
from tests.machines.playing import LARGE

USERS = ("ann", "bob", "eve", "joe")
DEVICES = ("phone", "laptop")
SITTING = (v.SeatState.CONNECTED, v.SeatState.BACKGROUND, v.SeatState.LOST)
FAMILY = Family(KINDS)
SEEDS = range(600 if LARGE else 30)
ACTIONS = 150
RESTING_SECONDS = 10_000.0


class World(Stage):
    """Four users with two devices each, who do anything at all, and what the server is told of it."""

    def __init__(self, seed: int) -> None:
        super().__init__(FAMILY)
        self.rng = random.Random(seed)
        self.online: dict[str, set[str]] = {user: {"phone"} for user in USERS}
        self.pushed = {user for user in USERS if self.rng.random() < 0.3}
        self.glare = self.rng.choice([*v.Glare])
        self.only_one = self.rng.random() < 0.8
        self.decisions: list[Decision] = []
        self.ended: dict[Address, Snapshot] = {}
        self.faults: list[str] = []

    def play(self) -> None:
        for _ in range(ACTIONS):
            action = self.rng.choices([*ACTS], [*ACTS.values()])[0]
            for to, command in action(self):
                self.send(to, command)
            self.wait(self.rng.choice((0, 0, 0, 0, 0, 0, 0, 0.5, 3, 9, 11, 21)))
            self.faults += [f"after {action.__name__}: {fault}" for fault in faults(self)]

    def send(self, to: Address, command: Command, **options: object) -> Decision:
        decision = super().send(to, command, **options)  # type: ignore[arg-type]  # passed on as given
        self.decisions.append(decision)
        return decision

    # -- looking

    def all(self, kind: str) -> dict[str, Snapshot]:
        return {
            address.key: snapshot
            for stream in self.streams.values()
            for address, snapshot in stream.members.items()
            if address.kind == kind
        }

    def live_rings(self) -> dict[str, v.Ring]:
        return {key: one.data for key, one in self.all(v.RING).items() if one.state in LIVE}

    def device(self, user: str) -> str:
        return self.rng.choice(sorted(self.online[user]) or [*DEVICES])

    def some_ring(self) -> str:
        live = [*self.live_rings()]
        return self.rng.choice(live if live and self.rng.random() < 0.8 else [*self.all(v.RING), "none"])

    def some_room(self) -> str:
        rooms = self.all(v.ROOM)
        open_ones = [key for key, one in rooms.items() if one.state is not v.RoomState.ENDED]
        return self.rng.choice(open_ones if open_ones and self.rng.random() < 0.9 else [*rooms, "none"])

    def reachable(self, user: str) -> bool:
        return bool(self.online.get(user)) or user in self.pushed


Act = Callable[[World], Iterator[tuple[Address, Command]]]


def call(world: World) -> Iterator[tuple[Address, Command]]:
    sitting = [user for user in USERS if world.snapshot(Address(v.LINE, user)).data.seats]
    ann, bob = world.rng.choice(USERS), world.rng.choice((*USERS, *sitting, *sitting, "nobody"))
    yield (
        Address(v.LINE, bob),
        v.RequestCall(
            initiator=ann,
            opponent=bob,
            device=world.device(ann),
            opponent_exists=bob != "nobody",
            opponent_reachable=world.reachable(bob),
            push_reaches=bob in world.pushed,
            do_not_disturb=world.rng.random() < 0.05,
            glare=world.glare,
            ring_seconds=world.rng.choice((5.0, 60.0)),
            room_limit=world.rng.choice((2, 3, 50)),
        ),
    )


def accept(world: World) -> Iterator[tuple[Address, Command]]:
    key = world.some_ring()
    ring = world.all(v.RING).get(key)
    user = world.rng.choice(USERS)
    if ring is not None and ring.data.target is not None and world.rng.random() < 0.8:
        user = ring.data.target.user
    command = v.AcceptCall(sender=user, device=world.device(user), room_limit=world.rng.choice((2, 3, 50)))
    yield Address(v.RING, key), command


def decline(world: World) -> Iterator[tuple[Address, Command]]:
    user = world.rng.choice(USERS)
    yield Address(v.RING, world.some_ring()), v.DeclineCall(sender=user, device=world.device(user))


def lose_everybody(world: World) -> Iterator[tuple[Address, Command]]:
    for ring in [*world.live_rings().values()][:1]:
        for party in (ring.initiator, ring.target):
            assert party is not None
            for device in sorted(world.online[party.user]):
                world.online[party.user].remove(device)
                last = not world.online[party.user]
                yield Address(v.LINE, party.user), v.LoseDevice(device=device, last=last)


def merge(world: World) -> Iterator[tuple[Address, Command]]:
    user = world.rng.choice(USERS)
    seats = world.snapshot(Address(v.LINE, user)).data.seats
    room = world.rng.choice([*seats, world.some_room()])
    rings = [one for one in world.snapshot(Address(v.LINE, user)).data.rings if one.incoming]
    key = rings[0].request_id if rings else world.some_ring()
    yield Address(v.RING, key), v.MergeCall(sender=user, device=world.device(user), videochat_id=room)


def invite(world: World) -> Iterator[tuple[Address, Command]]:
    inviter, target, room = world.rng.choice(USERS), world.rng.choice(USERS), world.some_room()
    yield (
        Address(v.ROOM, room),
        v.InviteUser(
            videochat_id=room,
            inviter=inviter,
            target=target,
            device=world.device(inviter),
            target_reachable=world.reachable(target),
            push_reaches=target in world.pushed,
            ring_seconds=30.0,
        ),
    )


def sit(world: World) -> Iterator[tuple[Address, Command]]:
    user = world.rng.choice(USERS)
    reserved = [key for key, one in world.all(v.SEAT).items() if one.state is v.SeatState.RESERVED]
    seat = Address(v.SEAT, world.rng.choice(reserved)) if reserved else seat_address(world.some_room(), user)
    yield seat, v.ConnectSeat(only_one=world.only_one)


def fidget(world: World) -> Iterator[tuple[Address, Command]]:
    commands = (v.HideSeat(), v.ShowSeat(), v.LeaveSeat(), v.LeaveSeat(by_engine=True), v.ConnectSeat())
    seats = [*world.all(v.SEAT)] or ["none/ann"]
    command = world.rng.choice(commands)
    if isinstance(command, v.ConnectSeat):
        command = v.ConnectSeat(only_one=world.only_one)
    yield Address(v.SEAT, world.rng.choice(seats)), command


def drop(world: World) -> Iterator[tuple[Address, Command]]:
    user = world.rng.choice(USERS)
    if world.online[user]:
        device = world.device(user)
        world.online[user].remove(device)
        last = not world.online[user]
        yield (
            Address(v.LINE, user),
            v.LoseDevice(device=device, last=last),
        )


def come_back(world: World) -> Iterator[tuple[Address, Command]]:
    user, device = world.rng.choice(USERS), world.rng.choice(DEVICES)
    world.online[user].add(device)
    yield Address(v.LINE, user), v.ReturnDevice(device=device)


def manage(world: World) -> Iterator[tuple[Address, Command]]:
    room = world.rng.choice((world.some_room(), f"talk-{world.rng.randrange(3)}"))
    commands: tuple[Command, ...] = (
        v.ScheduleRoom(owner=v.UserCard(id="ann"), limit=3),
        v.StartRoom(),
        v.StartRoom(),
        v.EndRoom(),
        v.AdmitUser(card=v.UserCard(id=world.rng.choice(USERS))),
        v.GetToken(sender=world.rng.choice(USERS)),
    )
    yield Address(v.ROOM, room), world.rng.choice(commands)


def crash(world: World) -> Iterator[tuple[Address, Command]]:
    members = [address for stream in world.streams.values() for address in stream.members]
    if members:
        yield world.rng.choice(members), Crash()


ACTS: dict[Act, int] = {
    call: 26, accept: 16, decline: 4, merge: 8, invite: 10, sit: 18, fidget: 5, drop: 6, come_back: 10,
    lose_everybody: 2, manage: 4, crash: 1,
}  # fmt: skip


# -- what must hold


def faults(world: World) -> Iterator[str]:
    """Everything that does not hold now."""
    rings, lines = world.all(v.RING), world.all(v.LINE)
    yield from _line_faults(world, lines)
    yield from _ring_faults(world, rings)
    for key, room in world.all(v.ROOM).items():
        yield from _room_faults(world, key, room)
    for address, snapshot in world.ended.items():
        if world.snapshot(address) != snapshot:
            yield f"{address} has ended and changes"
    world.ended |= {Address(v.RING, key): one for key, one in rings.items() if one.state in FINAL}


def _line_faults(world: World, lines: dict[str, Snapshot]) -> Iterator[str]:
    seats = world.all(v.SEAT)
    for user, line in lines.items():
        known = {(one.request_id, one.peer, one.kind, one.incoming) for one in line.data.rings}
        if known != {*_rings_of(world, user)}:
            yield f"{user}'s line knows {known} of {[*_rings_of(world, user)]}"
        if sum(one.incoming for one in line.data.rings) > 1:
            yield f"{user} is rung twice"
        if (line.state is v.LineState.RINGING) != bool(line.data.rings):
            yield f"{user}'s line is {line.state} with {line.data.rings}"
        sitting = {key.partition("/")[0] for key, one in seats.items() if _sits(key, user, one)}
        if sorted(line.data.seats) != sorted(sitting):
            yield f"{user}'s line knows the seats {line.data.seats} of {sitting}"
        if world.only_one and len(line.data.seats) > 1:
            yield f"{user} sits in two videochats"


def _sits(key: str, user: str, seat: Snapshot) -> bool:
    return key.endswith(f"/{user}") and seat.state in SITTING


def _rings_of(world: World, user: str) -> Iterator[tuple[str, str, v.RingKind, bool]]:
    for key, ring in world.live_rings().items():
        assert ring.initiator is not None
        assert ring.target is not None
        if ring.initiator.user == user:
            yield key, ring.target.user, ring.kind, False
        if ring.target.user == user:
            yield key, ring.initiator.user, ring.kind, True


def _ring_faults(world: World, rings: dict[str, Snapshot]) -> Iterator[str]:
    for key, ring in rings.items():
        due = {timer.name: timer.due for timer in ring.timers}
        if ring.state in LIVE and not world.now < due.get("ring", 0.0) <= world.now + RING_SECONDS_MAX:
            yield f"ring {key} rings without an end: {due}"
        if ring.state in FINAL and due:
            yield f"ring {key} has ended and waits for {due}"
        if ("caller" in due) != (ring.state in (v.RingState.CALLER_AWAY, v.RingState.BOTH_AWAY)):
            yield f"ring {key} is {ring.state} and waits for {due}"
        if ("target" in due) != (ring.state in (v.RingState.TARGET_AWAY, v.RingState.BOTH_AWAY)):
            yield f"ring {key} is {ring.state} and waits for {due}"


def _room_faults(world: World, key: str, room: Snapshot) -> Iterator[str]:
    data: v.Room = room.data
    held = {
        name.partition("/")[2]: one.state
        for name, one in world.all(v.SEAT).items()
        if name.startswith(f"{key}/") and one.state is not v.SeatState.ABSENT
    }
    if room.state is not v.RoomState.SCHEDULED and held.keys() != {seat.card.id for seat in data.seats}:
        yield f"room {key} knows {data.seats}, and held are {held}"
    connected = {seat.card.id for seat in data.seats if seat.connected}
    if connected != {user for user, state in held.items() if state in SITTING}:
        yield f"room {key} thinks that {connected} are connected, and held are {held}"
    rings = world.live_rings().items()
    invited = {one for one, ring in rings if ring.room is not None and ring.room.videochat_id == key}
    if invited != {one.request_id for one in data.invitations}:
        yield f"room {key} knows the invitations {data.invitations} of {invited}"
    if len(data.seats) > max(data.limit, 0) or sum(seat.role is v.Role.OWNER for seat in data.seats) > 1:
        yield f"room {key} has {data.seats} and room for {data.limit}"
    if (room.state is v.RoomState.ACTIVE) != (len(connected) >= (2 if data.direct else 1)):
        yield f"room {key} is {room.state} with {connected}"
    if (room.state in (v.RoomState.OPEN, v.RoomState.WAITING)) != bool(room.timers):
        yield f"room {key} is {room.state} and waits for {room.timers}"
    if data.direct and len(data.seats) > 2:
        yield f"room {key} is for two, and {data.seats} are there"


# -- runs


@cache
def played(seed: int) -> World:
    world = World(seed)
    world.play()
    return world


SEEDED = pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if LARGE else []) for seed in SEEDS]
)


@SEEDED
def test_rings_lines_rooms_and_seats_always_agree(seed: int) -> None:
    assert played(seed).faults[:3] == []


@SEEDED
def test_after_enough_waiting_everything_is_at_rest(seed: int) -> None:
    world = World(seed)
    world.play()
    done = world.wait(RESTING_SECONDS)
    assert [one.reason for one in done if one.outcome is Outcome.REFUSED] == []
    assert world.live_rings() == {}
    assert [*faults(world)] == []
    for key, room in world.all(v.ROOM).items():
        if room.state not in (v.RoomState.ENDED, v.RoomState.SCHEDULED):
            assert room.state is v.RoomState.ACTIVE
            states = {world.snapshot(seat_address(key, seat.card.id)).state for seat in room.data.seats}
            assert states == {v.SeatState.CONNECTED}


@SEEDED
def test_a_yes_makes_one_videochat_and_gives_each_side_one_seat(seed: int) -> None:
    made: Counter[str] = Counter()
    for decision in played(seed).decisions:
        accepted = [one for one in _events(decision) if isinstance(one, v.RingAccepted)]
        opened = [one for one in _events(decision) if isinstance(one, v.RoomOpened)]
        if not opened:
            continue
        made[opened[0].card.videochat_id] += 1
        assert [one.videochat_id for one in accepted] == [opened[0].card.videochat_id]
        granted = Counter(one.user for one in _said(decision) if isinstance(one, v.SeatGranted))
        assert granted == {opened[0].owner.id: 1, opened[0].other.id: 1}
    assert all(count == 1 for count in made.values())


@SEEDED
def test_a_seat_is_told_to_one_device_alone(seed: int) -> None:
    for decision in played(seed).decisions:
        for one in decision.performances:
            if isinstance(one.effect, Send) and isinstance(one.effect.message, v.SeatGranted):
                assert one.effect.only is not None
                assert one.effect.message.user == one.effect.to


@SEEDED
def test_whoever_is_rung_is_told_its_end_once_and_on_all_devices(seed: int) -> None:
    world = World(seed)
    world.play()
    world.wait(RESTING_SECONDS)
    rung: Counter[tuple[str, str]] = Counter()
    ended: Counter[tuple[str, str]] = Counter()
    for decision in world.decisions:
        for one in decision.performances:
            match one.effect:
                case Send(to=user, message=v.VideochatRequested(request_id=request_id)):
                    rung[user, request_id] += 1
                case Send(
                    to=user,
                    message=v.VideochatAccepted(request_id=key) | v.VideochatDeclined(request_id=key),
                    only=None,
                    skip=None,
                ):
                    ended[user, key] += 1
    assert all(count == 1 for count in rung.values())
    assert {party: ended[party] for party in rung} == dict(rung)


@SEEDED
def test_whoever_is_pushed_a_request_is_pushed_its_end_once_and_sees_no_secret(seed: int) -> None:
    world = World(seed)
    world.play()
    world.wait(RESTING_SECONDS)
    secrets = {room.data.card.shared_secret for room in world.all(v.ROOM).values()} - {""}
    asked: Counter[tuple[str, str]] = Counter()
    ended: Counter[tuple[str, str]] = Counter()
    for decision in world.decisions:
        for one in decision.performances:
            match one.effect:
                case Ask(port=v.PUSH, request=Push(to=user, message=v.PushedRequest(request_id=key))):
                    asked[user, key] += 1
                case Ask(port=v.PUSH, request=Push(to=user, message=v.PushedEnd(request_id=key))):
                    ended[user, key] += 1
                case _:
                    continue
            assert user in world.pushed
            assert not [secret for secret in secrets if secret in str(attrs.asdict(one.effect.request))]
    rung = {(one.data.target.user, key) for key, one in world.all(v.RING).items() if one.data.push_reaches}
    assert asked.keys() == rung
    assert all(count == 1 for count in asked.values())
    assert ended == asked


def test_these_runs_push() -> None:
    effects = [one.effect for seed in SEEDS for done in played(seed).decisions for one in done.performances]
    types = {one.request.type for one in effects if isinstance(one, Ask) and isinstance(one.request, Push)}
    assert types == {*v.PushType}


def test_these_runs_go_everywhere() -> None:
    received = {cell[:2] for seed in SEEDS for cell in played(seed).received}
    assert received == {(kind.name, state.name) for kind in KINDS for state in kind.table.states}


def _events(decision: Decision) -> list[object]:
    return [record.event for change in decision.changes.values() for record in change.records]


def _said(decision: Decision) -> list[object]:
    return [one.effect.message for one in decision.performances if isinstance(one.effect, Send | Reply)]
