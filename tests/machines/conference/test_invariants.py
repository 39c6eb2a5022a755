"""What holds between conferences, endpoints, streams, views and peers after every step, whoever does what.

SWITCHHOOK_PROFILE=large runs ten times as many.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from engine.effects import Ask, Reply, Send
from engine.machine.family import Decision
from engine.machine.step import Outcome, Snapshot
from engine.machine.table import Crash
from engine.vocabulary import Address, Command
from machines.conference import vocabulary as v
from machines.conference.rules import roll
from machines.conference.table import KINDS
from tests.machines.conference.listener import Listener, OutOfOrderError
from tests.machines.conference.world import ELSEWHERE, FOREIGN, HOME, World
from tests.machines.playing import LARGE

SEEDS = range(300 if LARGE else 30)
ACTIONS = 250
RESTING_SECONDS = 2_000.0
FAULTS_MAX = 3
"""Of one life; the rest follow from the first."""

PHASES = {
    v.StreamState.OPENING: v.Phase.OFFERED,
    v.StreamState.CONNECTING: v.Phase.PUBLISHED,
    v.StreamState.LIVE: v.Phase.PUBLISHED,
    v.StreamState.STALLED: v.Phase.PUBLISHED,
    v.StreamState.RECONNECTING: v.Phase.LOST,
}


class Watched(World):
    """A world whose every step is held to what must hold."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.faults: list[str] = []
        self.decisions: list[tuple[Address, Command, Decision]] = []
        self.listeners: dict[str, Listener] = {}
        self.opened: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.watch = self._hold

    def _hold(self, to: Address, command: Command, decision: Decision) -> None:
        if len(self.faults) >= FAULTS_MAX:
            return
        self.decisions.append((to, command, decision))
        found = [*self._step_faults(to, command, decision), *standing_faults(self)]
        self.faults += [f"after {command} to {to}: {fault}" for fault in found]

    def _step_faults(self, to: Address, command: Command, decision: Decision) -> Iterator[str]:
        for one in decision.performances:
            match one.effect:
                case Ask(request=v.OpenPublisher(peer_id=peer) | v.OpenViewer(peer_id=peer)):
                    self.opened[peer] += 1
                case Ask(request=v.ClosePeer(peer_id=peer)):
                    self.closed[peer] += 1
                case Send(to=key, message=v.EventNotice(event=event)):
                    try:
                        self.listeners.setdefault(key, Listener()).hear(event)
                    except OutOfOrderError as error:
                        yield f"nobody who listens to {key} expects {error}"
        caller = getattr(command, "caller", None)
        if caller is not None and caller.organization == ELSEWHERE and to.key != FOREIGN:
            changed = any(change.records for change in decision.changes.values())
            if decision.outcome is not Outcome.REFUSED or decision.performances or changed:
                yield f"another organization is {decision.outcome}"


# -- what must hold


def standing_faults(world: Watched) -> Iterator[str]:
    """Everything that does not hold now."""
    for key, conference in world.all(v.CONFERENCE).items():
        yield from _state_faults(world, key, conference)
        yield from _participant_faults(world, key, conference.data)
        yield from _feed_faults(world, key, conference.data)
        if not world.listeners.setdefault(key, Listener()).agrees_with(conference.data):
            yield f"{key} has told {world.listeners[key]}, and is {conference.data}"
    yield from _endpoint_faults(world)
    yield from _peer_faults(world)


def _state_faults(world: Watched, key: str, conference: Snapshot) -> Iterator[str]:
    data: v.Conference = conference.data
    states = v.ConferenceState
    if conference.state is states.ENDED and (data.participants or data.streams or data.views):
        yield f"{key} has ended, and inside are {data}"
    if conference.state is not states.ENDED and (conference.state is states.EMPTY) != roll.is_empty(data):
        yield f"{key} is {conference.state} with {data.participants}"
    if (conference.state is states.EMPTY) != bool(conference.timers):
        yield f"{key} is {conference.state} and waits for {conference.timers}"


def _participant_faults(world: Watched, key: str, data: v.Conference) -> Iterator[str]:
    seats = _inside(world, v.PARTICIPANT, key)
    if seats.keys() != data.participants.keys():
        yield f"{key} knows {[*data.participants]}, and inside are {[*seats]}"
    for name, one in data.participants.items():
        if name in seats and seats[name].state.name != one.health.name:
            yield f"{key} thinks that {name} is {one.health}, and he is {seats[name].state}"


def _feed_faults(world: Watched, key: str, data: v.Conference) -> Iterator[str]:
    streams = _inside(world, v.STREAM, key)
    if streams.keys() != data.streams.keys():
        yield f"{key} knows the streams {[*data.streams]}, and there are {[*streams]}"
    for name, one in streams.items():
        known = data.streams.get(name)
        if known is not None and (known.peer_id, known.phase) != (one.data.peer_id, PHASES[one.state]):
            yield f"{key} thinks of the stream {name} {known}, and it is {one}"
    for stream in data.streams.values():
        if stream.user_endpoint_id not in data.participants:
            yield f"{key} has a stream of nobody: {stream}"
    views = _inside(world, v.VIEW, key)
    if views.keys() != data.views.keys():
        yield f"{key} knows the views {[*data.views]}, and there are {[*views]}"
    for view in data.views.values():
        stream_there = data.streams.get(view.stream_id)
        if stream_there is None or stream_there.phase is v.Phase.OFFERED:
            yield f"{key} has a view of nothing: {view}"
        if view.user_endpoint_id not in data.participants:
            yield f"{key} has a view of nobody: {view}"


def _endpoint_faults(world: Watched) -> Iterator[str]:
    inside: dict[str, set[str]] = {}
    for key, conference in world.all(v.CONFERENCE).items():
        for name, one in conference.data.participants.items():
            inside.setdefault(name, set()).add(key)
            endpoint = world.snapshot(Address(v.ENDPOINT, name)).data
            if (endpoint.user, endpoint.organization) != (one.user, HOME):
                yield f"{one} is in {key}, and {endpoint}"
    for name, snapshot in world.all(v.ENDPOINT).items():
        if {*snapshot.data.conferences} != inside.get(name, set()):
            yield f"{name} thinks that it is in {snapshot.data.conferences}, and it is in {inside.get(name)}"


def _peer_faults(world: Watched) -> Iterator[str]:
    """A peer that was opened is held by one feed, or was closed once."""
    held = {
        one.data.peer_id
        for kind in (v.STREAM, v.VIEW)
        for one in world.all(kind).values()
        if one.data.peer_id and not one.data.lost
    }
    alive = world.opened - world.closed
    if {*alive} != held or any(count > 1 for count in (*world.opened.values(), *world.closed.values())):
        yield f"open are {[*alive]}, held are {held}, closed {world.closed}"


def _inside(world: Watched, kind: str, conference_id: str) -> dict[str, Snapshot]:
    """The machines of one kind in a conference that are not absent, by the rest of their keys."""
    return {
        name.removeprefix(f"{conference_id}/"): one
        for name, one in world.all(kind).items()
        if name.startswith(f"{conference_id}/") and one.state.name != "ABSENT"
    }


# -- runs


@cache
def played(seed: int) -> Watched:
    world = Watched(seed)
    world.play(ACTIONS)
    return world


SEEDED = pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if LARGE else []) for seed in SEEDS]
)


@SEEDED
def test_all_that_a_conference_is_made_of_always_agrees(seed: int) -> None:
    assert played(seed).faults == []


@SEEDED
def test_when_nobody_is_heard_any_more_everything_ends(seed: int) -> None:
    world = Watched(seed)
    world.play(ACTIONS)
    done = world.wait(RESTING_SECONDS)
    assert [one.reason for one in done if one.outcome is Outcome.REFUSED] == []
    assert world.faults == []
    assert {one.state for one in world.all(v.CONFERENCE).values()} <= {v.ConferenceState.ENDED}
    assert world.all(v.DELIVERY) == {}
    assert world.opened == world.closed


@SEEDED
def test_an_event_that_is_sent_is_told_to_those_who_were_inside_until_they_have_it(seed: int) -> None:
    waiting: dict[str, set[str]] = {}
    for to, command, decision in played(seed).decisions:
        if isinstance(command, v.SendEvent) and command.stored and decision.outcome is Outcome.MOVED:
            (taken,) = [one.effect.message for one in decision.performances if isinstance(one.effect, Reply)]
            assert isinstance(taken, v.EventTaken)
            if taken.endpoints:
                waiting.setdefault(f"{to.key}/{command.event_id}", {*taken.endpoints})
        if isinstance(command, v.Acknowledge) and decision.outcome is not Outcome.REFUSED:
            waiting[to.key] -= {command.user_endpoint_id}
        if isinstance(command, v.ExpireDelivery | Crash):
            # Its id is free again.
            waiting.pop(to.key, None)
        for one in decision.performances:
            match one.effect:
                case Send(to=key, message=v.DeliveryNotice() as notice):
                    assert {*notice.endpoints} == waiting[f"{key}/{notice.event_id}"] != set()


def test_these_runs_go_everywhere() -> None:
    received = {cell[:2] for seed in SEEDS for cell in played(seed).received}
    assert received == {(kind.name, state.name) for kind in KINDS for state in kind.table.states}


def test_these_runs_tell_every_event_and_refuse_for_many_reasons() -> None:
    told: set[str] = set()
    reasons: set[str] = set()
    for seed in SEEDS:
        for _, _, decision in played(seed).decisions:
            told |= {
                type(one.effect.message.event).__name__
                for one in decision.performances
                if isinstance(one.effect, Send) and isinstance(one.effect.message, v.EventNotice)
            }
            reasons |= {decision.reason} if decision.outcome is Outcome.REFUSED else set()
    assert told == {"ConferenceCreated", *(one.__name__ for one in v.NumberedEvent.__subclasses__())}
    assert reasons >= {*REASONS}


REASONS = (
    "conference_not_found", "conference_ended", "conference_full", "user_endpoint_not_found",
    "user_endpoint_taken", "already_joined", "not_joined", "forbidden", "stream_not_found", "stream_exists",
    "stream_not_yours", "stream_not_ready", "view_not_found", "viewer_taken", "interaction_set",
)  # fmt: skip
