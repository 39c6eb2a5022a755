"""What a restart of the engine does to the timers of conferences and endpoints."""

import attrs

from engine.journal.fold import fold
from engine.journal.port import Loaded, StoredEvent
from engine.machine.family import Draft, Family, Record
from engine.machine.stage import Stage
from engine.vocabulary import Address, Stamp
from machines.conference import vocabulary as v
from machines.conference.api import API
from machines.conference.table import KINDS
from tests.machines.playing import codec_for

ANN = v.Caller(user="ann")
ENDPOINT = Address(v.ENDPOINT, "a1")
CONFERENCE = Address(v.CONFERENCE, "c")


def deadlines_after_restart(stage: Stage, address: Address) -> dict[str, float | None]:
    """Deadline of each timer that a restart 100 s later moves."""
    stamp = Stamp(at=stage.now + 100.0)
    decision = Draft(stage.family, stage.streams).decide_restart(address, stamp)
    (change,) = decision.changes.values()
    return {name.rpartition("/")[2]: due for name, due in change.timers.items()}


def test_an_endpoint_has_its_whole_time_again_since_nobody_could_have_been_heard() -> None:
    stage = Stage(Family(KINDS), start_at=1_000.0)
    stage.send(ENDPOINT, v.RegisterEndpoint(caller=ANN, keep_alive_seconds=5.0))
    assert deadlines_after_restart(stage, ENDPOINT) == {"missed": 1_107.0}
    stage.wait(7.0)
    assert deadlines_after_restart(stage, ENDPOINT) == {"gone": 1_115.0}


def test_a_keepalive_leaves_nothing_in_the_journal_and_a_restart_needs_nothing_of_it() -> None:
    stage = Stage(Family(KINDS), start_at=1_000.0)
    stage.send(ENDPOINT, v.RegisterEndpoint(caller=ANN, keep_alive_seconds=5.0))
    for _ in range(100):
        stage.wait(6.9)
        (change,) = stage.send(ENDPOINT, v.KeepAlive(caller=ANN)).changes.values()
        assert not any((change.records, change.members, change.timers, change.seen))
    assert stage.snapshot(ENDPOINT).state is v.EndpointState.HEALTHY
    # By the journal it is long overdue; the restart gives it its whole time.
    assert deadlines_after_restart(stage, ENDPOINT) == {"missed": stage.now + 107.0}


def test_a_journal_that_has_an_entry_for_each_keepalive_is_read() -> None:
    family, codec = Family(KINDS), codec_for(API)
    causes = (v.RegisterEndpoint(caller=ANN, keep_alive_seconds=5.0), v.KeepAlive(caller=ANN))
    said = (v.EndpointRegistered(user="ann", organization="", keep_alive_seconds=5.0), v.EndpointSeen())
    events = tuple(
        StoredEvent(
            number,
            "",
            6.0 * number,
            codec.encode(
                Record(ENDPOINT, "HEALTHY", number, event, attrs.evolve(cause, stamp=Stamp(at=6.0 * number)))
            ),
        )
        for number, (cause, event) in enumerate(zip(causes, said, strict=True), 1)
    )
    state = fold(family, codec, str(ENDPOINT), Loaded(None, 0, events))
    snapshot = state.members[ENDPOINT]
    assert (snapshot.state, snapshot.entries) == (v.EndpointState.HEALTHY, 2)
    assert [timer.due for timer in snapshot.timers] == [19.0]


def test_an_empty_conference_gains_no_time() -> None:
    stage = Stage(Family(KINDS))
    stage.send(CONFERENCE, v.CreateConference(caller=ANN))
    assert deadlines_after_restart(stage, CONFERENCE) == {}
