"""What a restart of the engine does to the timers of conferences and endpoints."""

from engine.machine.family import Draft, Family
from engine.machine.stage import Stage
from engine.vocabulary import Address, Stamp
from machines.conference import vocabulary as v
from machines.conference.table import KINDS

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


def test_an_empty_conference_gains_no_time() -> None:
    stage = Stage(Family(KINDS))
    stage.send(CONFERENCE, v.CreateConference(caller=ANN))
    assert deadlines_after_restart(stage, CONFERENCE) == {}
