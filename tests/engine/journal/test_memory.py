"""What is particular to the journal in memory."""

from engine.errors import UnavailableError
from engine.journal.memory import MemoryJournal
from tests.engine.journal.shelf import Told, note


async def test_a_write_is_stored_when_it_is_submitted_and_told_later() -> None:
    told = Told()
    async with MemoryJournal() as journal:
        journal.submit([note("a", 0, "1")], told.done("a"))
        assert told.names == []
        assert (await journal.load("a")).head == 1


async def test_the_limit_of_the_queue_is_exact() -> None:
    told = Told()
    async with MemoryJournal(queue_max=3) as journal:
        for name in "abcd":
            journal.submit([note(name, 0, "1")], told.done(name))
        assert not await journal.writable()
    assert [told[name] for name in "abc"] == [[1], [1], [1]]
    assert isinstance(told["d"], UnavailableError)


async def test_its_epoch_may_be_given_so_that_a_simulation_repeats() -> None:
    async with MemoryJournal(epoch="first") as journal:
        assert await journal.epoch() == "first"
    async with MemoryJournal() as one, MemoryJournal() as other:
        assert await one.epoch() != await other.epoch()
