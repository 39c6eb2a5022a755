"""The one connection that writes: batches become transactions, errors become outcomes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apsw

from engine.errors import ConflictError, JournalError, UnavailableError, UnknownOutcomeError
from engine.journal.lockfile import Lockfile
from engine.journal.plan import Plan, Seat
from engine.journal.reading import missed_events
from engine.journal.schema import DAMAGE, SEAT
from engine.journal.writes import Append, Result

SEATS_MAX = 200_000
"""Streams whose head is remembered; about 40 MB. Above it the memory starts anew."""

_INSERT_EVENT = "INSERT INTO events(pos, sid, version, type, ts, crc, data) VALUES(?, ?, ?, ?, ?, ?, ?)"
_SET_HEAD = (
    "INSERT INTO heads(sid, stream, version) VALUES(?, ?, ?) "
    "ON CONFLICT(sid) DO UPDATE SET version=excluded.version"
)
_SET_TIMER = "INSERT OR REPLACE INTO timers(sid, name, due) VALUES(?, ?, ?)"
_STOP_TIMER = "DELETE FROM timers WHERE sid=? AND name=?"
_JOIN = "INSERT OR IGNORE INTO members(topic, sid) VALUES(?, ?)"
_LEAVE = "DELETE FROM members WHERE topic=? AND sid=?"
_SET_SNAPSHOT = "INSERT OR REPLACE INTO snaps(sid, version, crc, data) VALUES(?, ?, ?, ?)"
# All other tables refer to a stream by its sid alone.
_FORGET = (
    "DELETE FROM events WHERE sid=?",
    "DELETE FROM timers WHERE sid=?",
    "DELETE FROM members WHERE sid=?",
    "DELETE FROM snaps WHERE sid=?",
    "DELETE FROM heads WHERE sid=?",
)
# A page more and away again: a full disk refuses the first, a foreign lock both.
_PROBE = (
    ("INSERT OR REPLACE INTO meta(key, value) VALUES('probe', zeroblob(4096))", [()]),
    ("DELETE FROM meta WHERE key='probe'", [()]),
)

_NEVER_COMMITTED = (apsw.FullError, apsw.BusyError, apsw.LockedError, apsw.ReadOnlyError)
"""Refusals of a COMMIT that come before its last record is in the log; after any other nobody knows."""


class Writer:
    """Owns the writing connection; used by one thread at a time."""

    def __init__(self, connection: apsw.Connection, lockfile: Lockfile, busy_seconds: float) -> None:
        self._connection = connection
        self._lockfile = lockfile
        self._busy_ms = int(busy_seconds * 1000)
        self._seats: dict[str, Seat] = {}
        self._largest: tuple[int, int] | None = None
        """(sid, position) given away last; None when the database has to be asked."""

    def commit(self, appends: Sequence[Append]) -> Sequence[Result]:
        """Store what can be stored, all of it in one transaction; one result for each append."""
        try:
            plan, results = self._plan(appends)
            if not plan.empty:
                self._transact(lambda: self._write(plan))
        except JournalError as error:
            return [_again(error) for _ in appends]
        if not plan.empty:
            self._remember(plan)
        return [self._with_missed(result) for result in results]

    def forget(self, streams: Sequence[str]) -> Result:
        """Erase `streams`; from the database's log too, unless somebody is reading it just now."""
        try:
            sids = [(seat.sid,) for name in streams if (seat := self._find_seat(name))]
            self._transact(lambda: self._many([(sql, sids) for sql in _FORGET]))
            self._reset()
            self._survey()
        except JournalError as error:
            return error
        self._truncate_log()
        return []

    def probe(self) -> Result:
        """Find out by writing whether the disk would take an append."""
        try:
            self._transact(lambda: self._many(_PROBE))
        except JournalError as error:
            return error
        return []

    def close(self) -> None:
        """Fold the log into the database and let go of it."""
        self._connection.close()

    def _plan(self, appends: Sequence[Append]) -> tuple[Plan, Sequence[Result]]:
        plan = Plan(self._find_seat, *self._survey())
        return plan, [plan.take(append) for append in appends]

    def _survey(self) -> tuple[int, int]:
        if self._largest is None:
            sid = self._ask("SELECT coalesce(max(sid), 0) FROM heads")[0]
            position = self._ask("SELECT coalesce(max(pos), 0) FROM events")[0]
            self._lockfile.note(position)
            self._largest = sid, position
        return self._largest

    def _find_seat(self, stream: str) -> Seat | None:
        seat = self._seats.get(stream)
        if seat is None:
            row = self._ask(SEAT, (stream,))
            if row is not None:
                seat = self._seats[stream] = Seat(*row)
        return seat

    def _ask(self, sql: str, bindings: tuple[Any, ...] = ()) -> Any:
        try:
            return self._connection.execute(sql, bindings).fetchone()
        except apsw.Error as error:
            raise UnavailableError(_words(error)) from error

    def _transact(self, work: Callable[[], None]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            work()
        except apsw.Error as error:
            self._roll_back()
            raise UnavailableError(_words(error)) from error
        try:
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back()
            self._reset()
            kind = UnavailableError if isinstance(error, _NEVER_COMMITTED) else UnknownOutcomeError
            raise kind(_words(error)) from error

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, and then refuses to do it again.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _reset(self) -> None:
        self._seats.clear()
        self._largest = None

    def _write(self, plan: Plan) -> None:
        timers, members = plan.timers.items(), plan.members.items()
        self._many(
            [
                (_INSERT_EVENT, plan.events),
                (_SET_HEAD, [(seat.sid, name, seat.version) for name, seat in plan.seats.items()]),
                (_SET_TIMER, [(*key, due) for key, due in timers if due is not None]),
                (_STOP_TIMER, [key for key, due in timers if due is None]),
                (_JOIN, [key for key, on in members if on]),
                (_LEAVE, [key for key, on in members if not on]),
                (_SET_SNAPSHOT, list(plan.snapshots.values())),
            ]
        )

    def _many(self, statements: Iterable[tuple[str, Sequence[tuple[Any, ...]]]]) -> None:
        for sql, rows in statements:
            if rows:
                self._connection.executemany(sql, rows)

    def _remember(self, plan: Plan) -> None:
        self._largest = plan.sid, plan.position
        self._lockfile.note(plan.position)
        if len(self._seats) > SEATS_MAX:
            self._seats.clear()
        self._seats.update(plan.seats)

    def _with_missed(self, result: Result) -> Result:
        # Read after the commit, so that what batch mates have just written is among the missed.
        if not isinstance(result, ConflictError):
            return result
        try:
            missed = missed_events(self._connection, result.stream, result.expected, result.head)
        except (JournalError, *DAMAGE, apsw.Error):
            # The loser loads by itself then, and hears there what is wrong.
            return result
        return ConflictError(result.stream, result.expected, result.head, missed)

    def _truncate_log(self) -> None:
        self._connection.set_busy_timeout(0)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error:
            # A reader is in the way; its pages are overwritten by a later checkpoint.
            pass
        finally:
            self._connection.set_busy_timeout(self._busy_ms)


def _again(error: JournalError) -> JournalError:
    # Each append raises its own: one exception in many tasks would mix up their tracebacks.
    return type(error)(*error.args)


def _words(error: apsw.Error) -> str:
    return f"{type(error).__name__}: {error}"
