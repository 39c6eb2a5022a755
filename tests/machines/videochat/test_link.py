"""The life of a client's link: its table, step by step, and the laws of every table."""

import random

import pytest

from engine.machine.check import check_table
from engine.machine.laws import breaches
from engine.machine.step import Outcome
from engine.vocabulary import Command
from machines.videochat import api, link, session
from machines.videochat.link import LINK_TABLE, LinkLife, LinkState
from tests.machines.stepped import Stepped

SAMPLES: dict[type[Command], tuple[Command, ...]] = {
    kind: tuple(kind(dial=dial) for dial in range(1, 4))  # type: ignore[call-arg]  # all of these have a dial
    for kind in (link.NoteOpened, link.NoteWelcome, link.NoteTakeOver, link.NoteFault)
} | {
    link.LoseLink: tuple(
        link.LoseLink(dial=dial, code=code, reason="gone", delay_seconds=1.0)
        for dial in range(1, 4)
        for code in (None, 1006, 1001, link.TAKEN_OVER_CODE, link.TURNED_AWAY_CODE, 1003)
    )
}


class Life(Stepped[LinkState, LinkLife]):
    """A link's machine that is stepped by hand."""

    def __init__(self) -> None:
        super().__init__(LINK_TABLE, "phone")


def ready(at: float = 0.0) -> Life:
    """A client whose first link is ready."""
    life = Life().tell(link.OpenClient(), at)
    return life.tell(link.NoteOpened(dial=1), at).tell(link.NoteWelcome(dial=1), at)


def test_the_table_has_no_fault() -> None:
    assert check_table(LINK_TABLE) == ()


@pytest.mark.parametrize("seed", range(5))
def test_the_table_keeps_every_law(seed: int) -> None:
    assert breaches(LINK_TABLE, SAMPLES, random.Random(seed).choice, 400) == ()


def test_the_link_is_no_machine_of_the_journal() -> None:
    assert LINK_TABLE not in [kind.table for kind in api.API.kinds]


def test_the_close_codes_are_those_of_the_server() -> None:
    assert session.TAKEN_OVER == link.TAKEN_OVER_CODE
    assert session.TURNED_AWAY == link.TURNED_AWAY_CODE


def test_a_link_is_dialled_introduced_and_resumed() -> None:
    life = Life().tell(link.OpenClient())
    assert (life.state, life.asked) == (LinkState.CONNECTING, [link.Dial(1)])
    life.tell(link.NoteOpened(dial=1))
    assert (life.state, life.asked) == (LinkState.AUTHENTICATING, [link.Introduce()])
    life.tell(link.NoteWelcome(dial=1))
    assert (life.state, life.asked) == (LinkState.READY, [link.Resume()])


def test_a_lost_link_is_dialled_again_after_its_delay() -> None:
    life = ready().tell(link.LoseLink(dial=1, code=1006, reason="gone", delay_seconds=2.0), at=10.0)
    assert (life.state, life.data.failures, life.data.reason) == (LinkState.WAITING, 1, "gone")
    assert life.timers == {"Redial": 12.0, "GiveUp": 310.0}
    life.tell(link.Redial(), at=12.0)
    assert (life.state, life.asked) == (LinkState.CONNECTING, [link.Dial(2)])


def test_dialling_again_does_not_prolong_the_time_to_give_up() -> None:
    life = ready().tell(link.LoseLink(dial=1, delay_seconds=2.0), at=10.0).tell(link.Redial(), at=12.0)
    life.tell(link.LoseLink(dial=2, delay_seconds=4.0), at=13.0)
    assert life.timers == {"Redial": 17.0, "GiveUp": 310.0}
    assert life.data.failures == 2
    life.tell(link.GiveUp(), at=310.0)
    assert (life.state, life.asked) == (LinkState.GIVEN_UP, [link.HangUp()])


def test_giving_up_says_why_the_last_link_was_lost() -> None:
    life = Life().tell(link.OpenClient(give_up_seconds=3.0))
    life.tell(link.LoseLink(dial=1, reason="no connection", delay_seconds=9.0)).tell(link.GiveUp(), at=3.0)
    assert life.data.reason == "not ready for 3 seconds; last: no connection"
    silent = Life().tell(link.OpenClient(give_up_seconds=3.0)).tell(link.GiveUp(), at=3.0)
    assert silent.data.reason == "not ready for 3 seconds"


def test_only_a_settled_link_forgets_the_failures_before_it() -> None:
    life = ready().tell(link.LoseLink(dial=1)).tell(link.Redial())
    life.tell(link.NoteOpened(dial=2)).tell(link.NoteWelcome(dial=2))
    assert life.data.failures == 1
    assert life.timers == {"SettleLink": link.SETTLED_SECONDS}
    life.tell(link.SettleLink(), at=link.SETTLED_SECONDS)
    assert (life.state, life.data.failures) == (LinkState.READY, 0)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (link.TAKEN_OVER_CODE, LinkState.TAKEN_OVER),
        (link.TURNED_AWAY_CODE, LinkState.REFUSED),
        (1002, LinkState.FAULTY),
        (1003, LinkState.FAULTY),
        (1007, LinkState.FAULTY),
        (1009, LinkState.FAULTY),
        (1001, LinkState.WAITING),
        (1006, LinkState.WAITING),
        (1011, LinkState.WAITING),
        (1013, LinkState.WAITING),
        (None, LinkState.WAITING),
    ],
)
def test_the_close_code_says_whether_to_come_back(code: int | None, state: LinkState) -> None:
    assert ready().tell(link.LoseLink(dial=1, code=code)).state is state


def test_a_device_that_was_taken_over_never_dials_again() -> None:
    life = ready().tell(link.NoteTakeOver(dial=1))
    assert (life.state, life.asked) == (LinkState.TAKEN_OVER, [link.HangUp()])
    for late in (link.LoseLink(dial=1, code=4409), link.Redial(), link.OpenClient(), link.CloseClient()):
        assert life.tell(late).outcome is Outcome.IGNORED
    assert life.state is LinkState.TAKEN_OVER


def test_a_fault_ends_the_client_with_its_place() -> None:
    life = ready().tell(link.NoteFault(dial=1, path="$.data", reason="is not JSON"))
    assert (life.state, life.data.path, life.data.reason) == (LinkState.FAULTY, "$.data", "is not JSON")


def test_what_an_older_link_says_is_ignored() -> None:
    life = ready().tell(link.LoseLink(dial=1)).tell(link.Redial())
    before = life.now
    for late in (
        link.NoteOpened(dial=1),
        link.NoteWelcome(dial=1),
        link.NoteFault(dial=1),
        link.NoteTakeOver(dial=1),
        link.LoseLink(dial=1, code=4409),
    ):
        assert life.tell(late).outcome is Outcome.IGNORED
    assert life.now == before


def test_a_link_that_opens_too_slowly_is_hung_up_and_then_counts_as_lost() -> None:
    for life in (
        Life().tell(link.OpenClient()),
        Life().tell(link.OpenClient()).tell(link.NoteOpened(dial=1)),
    ):
        state = life.state
        assert life.timers["ExpireLink"] == 10.0
        assert life.tell(link.ExpireLink(), at=10.0).asked == [link.HangUp()]
        assert life.state is state
        assert life.tell(link.LoseLink(dial=1), at=10.0).state is LinkState.WAITING


def test_closing_ends_the_client_wherever_it_stands() -> None:
    waiting = ready().tell(link.LoseLink(dial=1))
    for life in (Life(), Life().tell(link.OpenClient()), ready(), waiting):
        assert life.tell(link.CloseClient()).state is LinkState.CLOSED
        assert life.asked == [link.HangUp()]
