"""Who asked, and what he learns."""

import pytest

from engine.effects import Reply, Send
from engine.errors import CommandRefusedError, UnavailableError
from engine.machine.family import Decision, Performance
from engine.machine.step import Outcome
from engine.runtime.answers import Answer, Answers, Done, Ticket
from engine.vocabulary import Address, Stamp
from tests.engine.runtime import doorbell as d

FRONT = Address(d.BELL, "front")
STAMP = Stamp(at=7.0)


def ticket(done: Done) -> Ticket:
    return Ticket(1, FRONT, d.Press(stamp=STAMP), done)


def moved(*said: Reply | Send) -> Decision:
    performances = tuple(Performance("k", "s", 1, FRONT, one, STAMP) for one in said)
    return Decision(Outcome.MOVED, "why", FRONT, {}, performances)


def test_the_result_of_a_command_is_its_message_or_why_there_is_none() -> None:
    assert Answer(Outcome.MOVED, message=d.Told("hello")).result() == d.Told("hello")
    assert Answer(Outcome.IGNORED, "late").result() is None
    with pytest.raises(CommandRefusedError) as refused:
        Answer(Outcome.REFUSED, "rings already").result()
    assert refused.value.reason == "rings already"
    with pytest.raises(UnavailableError):
        Answer(Outcome.REFUSED, error=UnavailableError("closed")).result()


def test_nobody_is_told_before_all_are() -> None:
    told: list[Answer] = []
    answers = Answers()
    answers.decided(ticket(told.append), moved())
    error = UnavailableError("closed")
    answers.failed(ticket(told.append), error)
    assert told == []
    answers.tell()
    assert told == [Answer(Outcome.MOVED, "why", None, None, 7.0), Answer(Outcome.REFUSED, error=error)]


def test_the_last_reply_is_the_answer() -> None:
    told: list[Answer] = []
    answers = Answers()
    aloud = Send(to="ann", message=d.Told("for others"))
    answers.decided(ticket(told.append), moved(Reply(d.Told("first")), Reply(d.Told("last")), aloud))
    answers.tell()
    assert told[0].message == d.Told("last")


def test_who_is_answered_may_ask_at_once_and_is_told_behind_the_others() -> None:
    told: list[str] = []
    answers = Answers()

    def ask_again(_answer: Answer) -> None:
        told.append("first")
        answers.decided(ticket(lambda _: told.append("asked again")), moved())
        answers.tell()
        told.append("first has asked")

    answers.decided(ticket(ask_again), moved())
    answers.decided(ticket(lambda _: told.append("second")), moved())
    answers.tell()
    assert told == ["first", "first has asked", "second", "asked again"]


def test_who_fails_at_his_answer_keeps_no_other_from_it() -> None:
    told: list[Answer] = []
    answers = Answers()

    def fail(_answer: Answer) -> None:
        raise LookupError("a bug")

    for done in (fail, told.append):
        answers.decided(ticket(done), moved())
    answers.tell()
    assert len(told) == 1


def test_every_outcome_is_counted_by_kind_and_command() -> None:
    answers = Answers()
    one = ticket(lambda _: None)
    answers.decided(one, moved())
    answers.decided(one, moved())
    answers.failed(one, UnavailableError("closed"))
    answers.failed(one, UnavailableError("closed"), "crashed")
    answers.count(one, "duplicate")
    assert answers.counts == {
        (d.BELL, "Press", "moved"): 2,
        (d.BELL, "Press", "failed"): 1,
        (d.BELL, "Press", "crashed"): 1,
        (d.BELL, "Press", "duplicate"): 1,
    }
