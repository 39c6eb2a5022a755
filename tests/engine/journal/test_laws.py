"""The laws of the port, for every journal alike."""

import math

import pytest
import trio

from engine.errors import ConflictError, HistoryLostError, JournalError, UnavailableError
from engine.journal.port import Due, Gap, Hint, Journal, Loaded, NewEvent, StoredEvent, Write
from engine.journal.writes import EVENT_BYTES_MAX, MISSED_MAX
from tests.engine.journal.shelf import AnyJournal, Shelf, Told, bodies, event, note


async def everything_is_told(journal: AnyJournal) -> None:
    """Results come in the order of submission, so this one comes last."""
    await journal.append()


def test_an_adapter_is_a_journal(shelf: Shelf) -> None:
    journal: Journal = shelf.journal()
    assert journal is not None


async def test_versions_are_contiguous_from_one(journal: AnyJournal) -> None:
    assert await journal.append(note("call", 0, "a", "b")) == [2]
    assert await journal.append(note("call", 2, "c")) == [3]
    loaded = await journal.load("call")
    assert [one.version for one in loaded.events] == [1, 2, 3]
    assert bodies(loaded.events) == ["a", "b", "c"]
    assert loaded.head == 3


async def test_an_event_comes_back_as_it_went_in(journal: AnyJournal) -> None:
    data, at = bytes(range(256)), 1_753_000_000.123456
    await journal.append(Write("käll ☎", 0, (NewEvent("Gerufen", at, data), NewEvent("", -0.0, b""))))
    first, second = (await journal.load("käll ☎")).events
    assert first == StoredEvent(1, "Gerufen", at, data)
    assert second == StoredEvent(2, "", 0.0, b"")


async def test_of_two_writers_with_one_head_one_wins(journal: AnyJournal) -> None:
    told = Told()
    journal.submit([note("call", 0, "first")], told.done("first"))
    journal.submit([note("call", 0, "second")], told.done("second"))
    await everything_is_told(journal)
    assert told["first"] == [1]
    assert isinstance(told["second"], ConflictError)
    assert bodies((await journal.load("call")).events) == ["first"]


async def test_many_concurrent_writers_lose_nothing(journal: AnyJournal) -> None:
    async def write(name: str) -> None:
        head = 0
        for number in range(10):
            while True:
                try:
                    (head,) = await journal.append(note("hot", head, f"{name}{number}"))
                    break
                except ConflictError as conflict:
                    head = conflict.head

    async with trio.open_nursery() as nursery:
        for name in "abcdefgh":
            nursery.start_soon(write, name)
    stored = (await journal.load("hot")).events
    assert [one.version for one in stored] == list(range(1, 81))
    assert set(bodies(stored)) == {f"{name}{number}" for name in "abcdefgh" for number in range(10)}


async def test_a_conflict_carries_the_missed_events(journal: AnyJournal) -> None:
    await journal.append(note("call", 0, "a", "b", "c"))
    with pytest.raises(ConflictError) as caught:
        await journal.append(note("call", 1, "x"))
    conflict = caught.value
    assert (conflict.stream, conflict.expected, conflict.head) == ("call", 1, 3)
    assert conflict.missed is not None
    assert [(one.version, one.data) for one in conflict.missed] == [(2, b"b"), (3, b"c")]


async def test_missed_events_of_batch_mates_are_carried_too(journal: AnyJournal) -> None:
    told = Told()
    journal.submit([note("call", 0, "a")], told.done("a"))
    journal.submit([note("call", 0, "x")], told.done("x"))
    journal.submit([note("call", 1, "b")], told.done("b"))
    await everything_is_told(journal)
    conflict = told["x"]
    assert isinstance(conflict, ConflictError)
    assert conflict.missed is not None
    assert bodies(conflict.missed) == ["a"]


@pytest.mark.parametrize("written", [MISSED_MAX, MISSED_MAX + 1])
async def test_no_more_than_the_limit_is_carried(journal: AnyJournal, written: int) -> None:
    await journal.append(note("call", 0, *("e" for _ in range(written))))
    with pytest.raises(ConflictError) as caught:
        await journal.append(note("call", 0, "x"))
    assert caught.value.missed is not None
    assert [one.version for one in caught.value.missed] == list(range(1, MISSED_MAX + 1))
    assert caught.value.head == written


async def test_a_head_behind_the_writer_is_lost_history(journal: AnyJournal) -> None:
    await journal.append(note("call", 0, "a"))
    with pytest.raises(HistoryLostError):
        await journal.append(note("call", 2, "x"))
    with pytest.raises(HistoryLostError):
        await journal.append(note("other", 1, "x"))
    assert await journal.streams() == [("call", 1)]


async def test_several_streams_are_written_together(journal: AnyJournal) -> None:
    assert await journal.append(note("a", 0, "1"), note("b", 0, "2", "3"), note("c", 0, "4")) == [1, 2, 1]
    assert await journal.streams() == [("a", 1), ("b", 2), ("c", 1)]


@pytest.mark.parametrize("loser", [0, 1, 2])
async def test_one_conflict_keeps_every_stream_of_an_append_out(journal: AnyJournal, loser: int) -> None:
    names = ["a", "b", "c"]
    await journal.append(note(names[loser], 0, "before"))
    writes = [
        Write(name, 0, (event("new"),), timers=(("ring", 5.0),), members=(("user:ann", True),), snapshot=b"s")
        for name in names
    ]
    with pytest.raises(ConflictError) as caught:
        await journal.append(*writes)
    assert caught.value.stream == names[loser]
    assert await journal.streams() == [(names[loser], 1)]
    assert await journal.timers() == []
    assert await journal.heads(["user:ann"]) == []
    assert (await journal.load(names[loser])).snapshot is None


async def test_one_append_may_write_a_stream_twice(journal: AnyJournal) -> None:
    assert await journal.append(note("a", 0, "1"), note("b", 0, "2"), note("a", 1, "3")) == [1, 1, 2]
    with pytest.raises(ConflictError) as caught:
        await journal.append(note("a", 2, "4"), note("a", 2, "5"))
    assert caught.value.head == 3
    assert bodies((await journal.load("a")).events) == ["1", "3"]


async def test_a_failed_item_never_fails_its_batch_mates(journal: AnyJournal) -> None:
    await journal.append(note("busy", 0, "a"))
    told = Told()
    journal.submit([note("one", 0, "1")], told.done("one"))
    journal.submit([note("three", 0, "x"), note("busy", 0, "x")], told.done("conflict"))
    journal.submit([note("two", 7, "x")], told.done("lost"))
    journal.submit([note("three", 0, "3")], told.done("three"))
    await everything_is_told(journal)
    assert told["one"] == [1]
    assert isinstance(told["conflict"], ConflictError)
    assert isinstance(told["lost"], HistoryLostError)
    assert told["three"] == [1]
    assert await journal.streams() == [("busy", 1), ("one", 1), ("three", 1)]


async def test_results_are_told_in_the_order_of_submission(journal: AnyJournal) -> None:
    told = Told()
    names = [f"{number:03}" for number in range(700)]
    for version, name in enumerate(names):
        journal.submit([note("call", version, name)], told.done(name))
    await everything_is_told(journal)
    assert told.names == names
    assert [told[name] for name in names[:3]] == [[1], [2], [3]]
    assert bodies((await journal.load("call")).events) == names


async def test_submit_tells_later_and_never_inside(journal: AnyJournal) -> None:
    told = Told()
    journal.submit([note("call", 0, "a")], told.done("good"))
    journal.submit([note("call", 0, "x")], told.done("bad"))
    assert told.names == []
    await everything_is_told(journal)
    assert told.names == ["good", "bad"]


async def test_done_may_submit_again(journal: AnyJournal) -> None:
    told = Told()
    journal.submit(
        [note("call", 0, "a")], lambda _: journal.submit([note("call", 1, "b")], told.done("second"))
    )
    while not told.names:
        await everything_is_told(journal)
    assert told["second"] == [2]


async def test_a_done_that_raises_ends_the_owner_and_nobody_waits_for_ever(shelf: Shelf) -> None:
    told = Told()

    def wrong(result: object) -> None:
        raise LookupError("a bug")

    with pytest.RaisesGroup(LookupError):
        async with shelf.journal() as journal:
            journal.submit([note("a", 0, "1")], wrong)
            journal.submit([note("b", 0, "2")], told.done("b"))
            assert await journal.append(note("c", 0, "3")) == [1]
            await trio.sleep_forever()
    assert told["b"] == [1]
    async with shelf.journal() as journal:
        assert await journal.streams() == [("a", 1), ("b", 1), ("c", 1)]


async def test_what_was_told_is_there_after_a_restart(shelf: Shelf) -> None:
    async with shelf.journal() as journal:
        await journal.append(
            Write(
                "call",
                0,
                (event("a"), event("b")),
                timers=(("ring", 5.0),),
                members=(("user:ann", True),),
                snapshot=b"folded",
            )
        )
        await journal.append(note("call", 2, "c"))
        before = await journal.load("call")
    async with shelf.journal() as journal:
        assert await journal.load("call") == before
        assert before.snapshot == b"folded"
        assert await journal.timers() == [Due("call", "ring", 5.0)]
        assert await journal.heads(["user:ann"]) == [("call", 3)]
        assert await journal.append(note("call", 3, "d")) == [4]
        assert await journal.check() == []


async def test_leaving_writes_what_was_submitted(shelf: Shelf) -> None:
    told = Told()
    async with shelf.journal() as journal:
        for version in range(1500):
            journal.submit([note("call", version, "a")], told.done("call"))
    assert [result for _, result in told.results] == [[version] for version in range(1, 1501)]
    async with shelf.journal() as journal:
        assert (await journal.load("call")).head == 1500


async def test_a_cancelled_owner_writes_what_was_submitted(shelf: Shelf) -> None:
    told = Told()
    with trio.CancelScope() as scope:
        async with shelf.journal() as journal:
            journal.submit([note("call", 0, "a")], told.done("call"))
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert told["call"] == [1]


@pytest.mark.parametrize("ticks", range(8))
async def test_an_append_is_stored_wherever_it_is_cancelled(journal: AnyJournal, ticks: int) -> None:
    heads: list[int] = []

    async def write() -> None:
        heads.extend(await journal.append(note("call", 0, "a")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        if ticks:
            nursery.cancel_scope.cancel()
    assert heads == [1]
    assert (await journal.load("call")).head == 1


async def test_an_append_inside_a_cancelled_scope_is_stored(journal: AnyJournal) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await journal.append(note("call", 0, "a")) == [1]
    assert not scope.cancelled_caught


async def test_an_assertion_writes_nothing(journal: AnyJournal) -> None:
    await journal.append(note("call", 0, "a"))
    assert await journal.append(Write("call", 1)) == [1]
    assert await journal.append(Write("none", 0)) == [0]
    assert await journal.append(Write("call", 1), Write("none", 0)) == [1, 0]
    assert await journal.streams() == [("call", 1)]


async def test_a_wrong_assertion_is_a_conflict(journal: AnyJournal) -> None:
    await journal.append(note("call", 0, "a", "b"))
    for expected in (0, 1):
        with pytest.raises(ConflictError) as caught:
            await journal.append(Write("call", expected))
        assert caught.value.missed is not None
        assert len(caught.value.missed) == 2 - expected
    with pytest.raises(HistoryLostError):
        await journal.append(Write("call", 3))


async def test_an_assertion_sees_what_was_submitted_before_it(journal: AnyJournal) -> None:
    told = Told()
    journal.submit([note("call", 0, "a")], told.done("write"))
    journal.submit([Write("call", 1)], told.done("after"))
    journal.submit([Write("call", 0)], told.done("stale"))
    await everything_is_told(journal)
    assert told["after"] == [1]
    assert isinstance(told["stale"], ConflictError)


async def test_an_assertion_keeps_its_append_out_when_it_fails(journal: AnyJournal) -> None:
    await journal.append(note("ann", 0, "busy"))
    with pytest.raises(ConflictError):
        await journal.append(note("call", 0, "a"), Write("ann", 0))
    assert (await journal.load("call")).head == 0


async def test_timers_are_the_fold_of_the_writes(journal: AnyJournal) -> None:
    await journal.append(Write("a", 0, (event(),), timers=(("ring", 30.0), ("idle", 10.0))))
    await journal.append(Write("b", 0, (event(),), timers=(("ring", 20.5),)))
    await journal.append(Write("a", 1, (event(),), timers=(("ring", 5.0), ("idle", None), ("gone", None))))
    assert await journal.timers() == [Due("a", "ring", 5.0), Due("b", "ring", 20.5)]


async def test_the_last_word_on_a_timer_counts_within_a_batch(journal: AnyJournal) -> None:
    told = Told()
    steps: list[float | None] = [10.0, None, 20.0, 30.0]
    for version, due in enumerate(steps):
        journal.submit([Write("a", version, (event(),), timers=(("ring", due),))], told.done("a"))
        journal.submit([Write("b", version, (event(),), timers=(("ring", steps[~version]),))], told.done("b"))
    journal.submit([Write("b", 4, (event(),), timers=(("ring", None),))], told.done("b"))
    await everything_is_told(journal)
    assert await journal.timers() == [Due("a", "ring", 30.0)]


async def test_only_timers_whose_time_has_come_are_due(shelf: Shelf, journal: AnyJournal) -> None:
    for number, due in enumerate((1002.0, 1001.0, 1000.0, 999.0)):
        await journal.append(Write(f"s{number}", 0, (event(),), timers=(("ring", due),)))
    assert [one.due for one in await journal.due(10)] == [999.0, 1000.0]
    shelf.clock.now = 1001.5
    assert [one.due for one in await journal.due(10)] == [999.0, 1000.0, 1001.0]
    assert [one.due for one in await journal.due(2)] == [999.0, 1000.0]


async def test_membership_is_the_fold_of_the_writes(journal: AnyJournal) -> None:
    await journal.append(Write("b", 0, (event(),), members=(("ann", True), ("bob", True))))
    await journal.append(Write("a", 0, (event(), event()), members=(("ann", True), ("ann", True))))
    await journal.append(Write("b", 1, (event(),), members=(("bob", False), ("eve", False))))
    assert await journal.heads(["ann"]) == [("a", 2), ("b", 2)]
    assert await journal.heads(["ann", "bob"]) == [("a", 2), ("b", 2)]
    assert await journal.heads(["bob", "eve", "nobody"]) == []
    assert await journal.heads([]) == []


async def test_the_last_word_on_membership_counts_within_a_batch(journal: AnyJournal) -> None:
    told = Told()
    for version, on in enumerate((True, False, True)):
        writes = [
            Write("in", version, (event(),), members=(("ann", on),)),
            Write("out", version, (event(),), members=(("ann", not on),)),
        ]
        journal.submit(writes, told.done(str(version)))
    await everything_is_told(journal)
    assert await journal.heads(["ann"]) == [("in", 3)]


async def test_an_index_can_change_without_an_event(journal: AnyJournal) -> None:
    await journal.append(note("call", 0, "a"))
    index = Write("call", 1, timers=(("ring", 5.0),), members=(("ann", True),), snapshot=b"one")
    assert await journal.append(index) == [1]
    assert await journal.timers() == [Due("call", "ring", 5.0)]
    assert await journal.heads(["ann"]) == [("call", 1)]
    assert await journal.load("call") == Loaded(b"one", 1, ())


async def test_a_loaded_stream_begins_at_its_newest_snapshot(journal: AnyJournal) -> None:
    await journal.append(Write("call", 0, (event("a"),), snapshot=b"one"))
    await journal.append(Write("call", 1, (event("b"), event("c")), snapshot=b"three"))
    await journal.append(note("call", 3, "d"))
    loaded = await journal.load("call")
    assert (loaded.snapshot, loaded.snapshot_version) == (b"three", 3)
    assert [one.version for one in loaded.events] == [4]
    assert loaded.head == 4


@pytest.mark.parametrize(
    ("after", "snapshot", "versions"), [(0, 2, [3]), (2, 2, [3]), (3, 0, []), (4, 0, [])]
)
async def test_a_snapshot_before_after_is_left_out(
    journal: AnyJournal, after: int, snapshot: int, versions: list[int]
) -> None:
    await journal.append(Write("call", 0, (event("a"), event("b")), snapshot=b"two"))
    await journal.append(note("call", 2, "c"))
    loaded = await journal.load("call", after)
    assert loaded.snapshot_version == snapshot
    assert [one.version for one in loaded.events] == versions


@pytest.mark.parametrize("after", range(5))
async def test_without_its_snapshot_every_event_behind_after_is_loaded(
    journal: AnyJournal, after: int
) -> None:
    await journal.append(Write("call", 0, (event("a"), event("b"), event("c")), snapshot=b"three"))
    loaded = await journal.load("call", after, snapshot=False)
    assert loaded.snapshot is None
    assert [one.version for one in loaded.events] == list(range(after + 1, 4))


async def test_an_unknown_stream_is_empty(journal: AnyJournal) -> None:
    loaded = await journal.load("none")
    assert loaded == Loaded(None, 0, ())
    assert loaded.head == 0


async def test_streams_come_in_pages_by_name(journal: AnyJournal) -> None:
    names = ["call:1", "call:10", "call:2", "call:é", "call:☎", "z"]
    for name in reversed(names):
        await journal.append(note(name, 0, "a"))
    found: list[str] = []
    while page := await journal.streams(found[-1] if found else "", limit=4):
        found += [name for name, _ in page]
    assert found == names
    assert await journal.streams("z") == []


async def test_every_commit_is_hinted_to_its_stream_and_topics(journal: AnyJournal) -> None:
    async with journal.hints() as hints:
        await journal.append(Write("a", 0, (event(), event()), topics=("ann", "bob", "a")), note("b", 0, "x"))
        received = [hints.receive_nowait() for _ in range(4)]
        assert received == [Hint("a", "a", 2), Hint("ann", "a", 2), Hint("bob", "a", 2), Hint("b", "b", 1)]
        with pytest.raises(trio.WouldBlock):
            hints.receive_nowait()


async def test_neither_a_failure_nor_an_assertion_is_hinted(journal: AnyJournal) -> None:
    await journal.append(note("call", 0, "a"))
    async with journal.hints() as hints:
        await journal.append(Write("call", 1))
        with pytest.raises(ConflictError):
            await journal.append(Write("call", 0, (event(),), topics=("ann",)))
        with pytest.raises(trio.WouldBlock):
            hints.receive_nowait()


async def test_the_writer_is_told_before_its_hint_is_out(journal: AnyJournal) -> None:
    async with journal.hints() as hints:
        unread: list[int] = []
        journal.submit(
            [note("call", 0, "a")], lambda _: unread.append(hints.statistics().current_buffer_used)
        )
        await hints.receive()
    assert unread == [0]


@pytest.mark.parametrize("commits", [3, 4, 7])
async def test_too_many_unread_hints_become_one_gap(journal: AnyJournal, commits: int) -> None:
    async with journal.hints(limit=3) as hints:
        for version in range(commits):
            await journal.append(note("call", version, "a"))
        received = [hints.receive_nowait() for _ in range(hints.statistics().current_buffer_used)]
    expected: dict[int, list[Hint | Gap]] = {
        3: [Hint("call", "call", 1), Hint("call", "call", 2), Hint("call", "call", 3)],
        4: [Gap()],
        7: [Gap()],
    }
    assert received == expected[commits]


async def test_after_a_gap_hints_go_on(journal: AnyJournal) -> None:
    async with journal.hints(limit=2) as hints:
        for version in range(4):
            await journal.append(note("call", version, "a"))
        assert [hints.receive_nowait(), hints.receive_nowait()] == [Gap(), Hint("call", "call", 4)]
        await journal.append(note("call", 4, "a"))
        assert hints.receive_nowait() == Hint("call", "call", 5)


async def test_a_slow_subscriber_costs_the_others_nothing(journal: AnyJournal) -> None:
    async with journal.hints(limit=1) as slow, journal.hints() as quick:
        for version in range(3):
            await journal.append(note("call", version, "a"))
            assert quick.receive_nowait() == Hint("call", "call", version + 1)
        assert slow.receive_nowait() == Gap()


async def test_subscriptions_end_with_the_journal(shelf: Shelf) -> None:
    received: list[Hint | Gap] = []

    async def follow(journal: AnyJournal, task_status: trio.TaskStatus[None]) -> None:
        async with journal.hints() as hints:
            task_status.started()
            received.extend([hint async for hint in hints])

    async with trio.open_nursery() as nursery, shelf.journal() as journal:
        await nursery.start(follow, journal)
        await journal.append(note("call", 0, "a"))
    assert received == [Hint("call", "call", 1)]


async def test_a_subscriber_needs_room(journal: AnyJournal) -> None:
    with pytest.raises(ValueError, match="room"):
        async with journal.hints(limit=0):
            raise AssertionError("entered")


async def test_the_epoch_outlives_restarts(shelf: Shelf) -> None:
    epochs = set()
    for version in range(3):
        async with shelf.journal() as journal:
            epochs.add(await journal.epoch())
            await journal.append(note("call", version, "a"))
    assert len(epochs) == 1
    assert epochs.pop()


async def test_forgotten_streams_leave_nothing(journal: AnyJournal) -> None:
    for name in ("a", "b"):
        await journal.append(
            Write(name, 0, (event(),), timers=(("ring", 5.0),), members=(("ann", True),), snapshot=b"s")
        )
    await journal.forget(["a", "unknown"])
    assert await journal.load("a") == Loaded(None, 0, ())
    assert await journal.streams() == [("b", 1)]
    assert await journal.timers() == [Due("b", "ring", 5.0)]
    assert await journal.heads(["ann"]) == [("b", 1)]
    assert await journal.check() == []


async def test_a_forgotten_stream_may_begin_again(journal: AnyJournal) -> None:
    await journal.append(note("a", 0, "1", "2"))
    await journal.forget(["a"])
    with pytest.raises(HistoryLostError):
        await journal.append(note("a", 2, "3"))
    assert await journal.append(note("a", 0, "new")) == [1]
    assert await journal.append(note("b", 0, "other")) == [1]
    assert bodies((await journal.load("a")).events) == ["new"]


async def test_quiet_streams_have_no_timer_and_nothing_new(journal: AnyJournal) -> None:
    for name, at in (("d", 10.0), ("a", 10.0), ("b", 20.0), ("c", 10.0)):
        await journal.append(Write(name, 0, (event(at=5.0), event(at=at))))
    await journal.append(Write("c", 2, (), timers=(("ring", 99.0),)))
    assert await journal.quiet(20.0) == ["a", "d"]
    assert await journal.quiet(20.5) == ["a", "b", "d"]
    assert await journal.quiet(10.0) == []
    assert await journal.quiet(99.0, "a", 1) == ["b"]
    await journal.append(Write("c", 2, (), timers=(("ring", None),)))
    assert await journal.quiet(20.0, "b") == ["c", "d"]


async def test_forgetting_everything_leaves_a_journal_that_works(shelf: Shelf) -> None:
    async with shelf.journal() as journal:
        epoch = await journal.epoch()
        await journal.append(note("a", 0, "1"))
        await journal.forget(["a"])
    async with shelf.journal() as journal:
        assert await journal.epoch() == epoch
        assert await journal.append(note("b", 0, "1")) == [1]
        assert await journal.check() == []


async def test_an_open_journal_is_writable(shelf: Shelf) -> None:
    journal = shelf.journal()
    assert not await journal.writable()
    async with journal:
        assert await journal.writable()
        assert await journal.check() == []
    assert not await journal.writable()


async def test_a_journal_that_is_not_open_refuses(shelf: Shelf) -> None:
    journal = shelf.journal()
    told = Told()
    for state in ("not open", "closed"):
        journal.submit([note("a", 0, "1")], told.done(state))
        with pytest.raises(UnavailableError, match=state):
            await journal.append(note("a", 0, "1"))
        assert isinstance(told[state], UnavailableError)
        with pytest.raises(UnavailableError):
            journal.hints()
        with pytest.raises(UnavailableError):
            await journal.forget(["a"])
        for read in (journal.load("a"), journal.timers(), journal.epoch(), journal.check()):
            with pytest.raises(UnavailableError):
                await read
        if state == "not open":
            async with journal:
                pass


async def test_a_journal_is_opened_once_at_a_time(shelf: Shelf) -> None:
    async with shelf.journal() as journal:
        with pytest.raises(RuntimeError, match="open already"):
            await journal.__aenter__()
        assert await journal.append(note("a", 0, "1")) == [1]


@pytest.mark.parametrize(
    "write",
    [
        note("", 0, "nameless"),
        note("\ud800", 0, "a"),
        Write("a", 0, (NewEvent("\ud800", 1.0, b""),)),
        Write("a", 0, (event(),), members=(("\ud800", True),)),
        Write("a", 0, (event(),), topics=("\ud800",)),
        Write("a", 0, (event(),), timers=(("\ud800", None),)),
        Write("a", 0, (event(),), timers=(("ring", math.nan),)),
        Write("a", 0, (NewEvent("T", math.inf, b""),)),
        Write("a", 0, (NewEvent("T", 1.0, bytes(EVENT_BYTES_MAX + 1)),)),
        Write("a", 0, (NewEvent("T", 1.0, "text"),)),  # type: ignore[arg-type] # the mistake that is meant
        Write("a", 0, (event(),), snapshot=bytes(EVENT_BYTES_MAX + 1)),
        Write("a", 0, timers=(("ring", 1.0),)),
        Write("a", 0, members=(("ann", True),)),
        Write("a", 0, snapshot=b"s"),
    ],
)
async def test_what_no_journal_can_store_is_refused_before_it_is_queued(
    journal: AnyJournal, write: Write
) -> None:
    told = Told()
    with pytest.raises(ValueError):
        journal.submit([note("good", 0, "a"), write], told.done("never"))
    await everything_is_told(journal)
    assert told.names == []
    assert await journal.streams() == []


@pytest.mark.slow
async def test_the_largest_event_is_stored(journal: AnyJournal) -> None:
    data = bytes(EVENT_BYTES_MAX)
    assert await journal.append(Write("a", 0, (NewEvent("T", 1.0, data),))) == [1]
    assert (await journal.load("a")).events[0].data == data


async def test_a_full_queue_refuses_and_stores_the_rest(shelf: Shelf) -> None:
    shelf.queue_max = 3
    told = Told()
    async with shelf.journal() as journal:
        with shelf.stalled():
            for number in range(30):
                journal.submit([note(f"s{number:02}", 0, "a")], told.done(f"s{number:02}"))
        while len(told.names) < 30:
            await trio.lowlevel.checkpoint()
        stored = [name for name, _ in await journal.streams()]
        assert await journal.writable()
    refused = {name: result for name, result in told.results if isinstance(result, JournalError)}
    assert stored == sorted(set(told.names) - set(refused))
    # Besides the queue there is at most one batch on its way.
    assert 3 <= len(stored) <= 3 + 3
    assert {str(error) for error in refused.values()} == {"the journal's queue is full"}
