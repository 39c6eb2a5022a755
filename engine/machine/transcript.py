"""Transcripts: a family's specification in the reader's language, run as a test. Pure: time is virtual.

    == bob declines
    line:bob RequestCall initiator=ann opponent=bob -> RINGING
      line:bob RingArrived ring.request_id=$r1
      ! Reply RequestMade request_id=$r1
    ring:$r1 DeclineCall sender=eve -> refused request_not_found
    wait 60
      ring:$r1 RingExpired
    ring:$r1 is TIMED_OUT

Field lists are partial; output that is not said is a failure. Kinds may be shortened to their last word.
`$name` stands for whatever it met first. `same` instead of a command sends the last one again, id and all.
"""

import heapq
import shlex
import types
import typing
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import attrs

from engine.effects import Reply, Send
from engine.errors import EngineError
from engine.machine.family import (
    LATE,
    Decision,
    Draft,
    Family,
    Performance,
    StreamState,
    apply_change,
    split_index_name,
)
from engine.machine.step import Outcome
from engine.machine.table import timer_name
from engine.vocabulary import Address, Command, Stamp


class TranscriptError(EngineError):
    """The family does something else than its transcript says, or the transcript cannot be read."""


@attrs.frozen
class Scene:
    """One scenario: a title and its lines with their numbers."""

    title: str
    lines: tuple[tuple[int, str], ...]


def scenes(text: str) -> Iterator[Scene]:
    """The scenarios of a transcript file; blank lines and `#` comments are dropped."""
    title, lines = "", []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split(" # ")[0].rstrip()
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.startswith("=="):
            if lines:
                yield Scene(title, tuple(lines))
            title, lines = line[2:].strip(), []
        else:
            lines.append((number, line))
    if lines:
        yield Scene(title, tuple(lines))


class Stage:
    """A family at play: streams in memory, a virtual clock, every timer fired in its order."""

    def __init__(self, family: Family, start_at: float = 1_000.0) -> None:
        self.family = family
        self.now = start_at
        self.streams: dict[str, StreamState] = _Streams()
        self._timers: list[tuple[float, int, str]] = []
        self._count = 0
        self.fired: set[tuple[str, str, str]] = set()
        """(kind, state, command) of every cell that was received, for coverage."""

    def send(
        self, to: Address, command: Command, *, command_id: str = "", timer: str | None = None
    ) -> Decision:
        """Decide `command` and keep what it changed."""
        self._count += 1
        stamp = Stamp(at=self.now, id=command_id or f"command-{self._count}", entropy=f"{self._count:064x}")
        state = self.snapshot(to).state
        draft = Draft(self.family, self.streams)
        decision = draft.decide(to, attrs.evolve(command, stamp=stamp), timer=timer)
        draft.accept(decision)
        for stream, change in draft.changes.items():
            if stream not in self.streams:
                self.streams[stream] = StreamState()
            apply_change(self.streams[stream], change)
            for name, due in change.timers.items():
                if due is not None:
                    heapq.heappush(self._timers, (due, self._count, name))
        if decision.reason != LATE:
            self.fired.add((to.kind, state.name, type(command).__name__))
        return decision

    def snapshot(self, address: Address) -> Any:
        """The snapshot of a machine."""
        stream = self.streams[self.family.stream_of(address)]
        return stream.members.get(address) or self.family.initial(address)

    def wait(self, seconds: float) -> list[Decision]:
        """Let time pass; what its timers did, in order, late ones left out."""
        end = self.now + seconds
        done: list[Decision] = []
        while self._timers and self._timers[0][0] <= end:
            due, _, name = heapq.heappop(self._timers)
            self.now = max(self.now, due)
            address, timer = split_index_name(name)
            table = self.family.kinds[address.kind].table
            command = next(one.command for one in table.timers if timer_name(one) == timer)
            decision = self.send(address, command(), timer=timer)
            if decision.reason != LATE:
                done.append(decision)
        self.now = end
        return done


def play(family: Family, scene: Scene) -> Stage:
    """Run one scenario.

    Raises:
        TranscriptError: at the first line that does not hold, with what happened instead.
    """
    return _Player(family).play(scene)


class _Streams(dict[str, StreamState]):
    """Every stream exists, empty until something happens."""

    def __missing__(self, stream: str) -> StreamState:
        return StreamState()

    def get(self, stream: str, default: Any = None) -> StreamState:
        return self[stream]


class _Player:
    def __init__(self, family: Family) -> None:
        self.stage = Stage(family)
        self._names: dict[str, str] = {}
        self._kinds = {name.rpartition(".")[2]: name for name in family.kinds} | {n: n for n in family.kinds}
        self._commands = {
            command.__name__: command for kind in family.kinds.values() for command in kind.table.commands
        }
        self._last: tuple[Address, Command, str] | None = None

    def play(self, scene: Scene) -> Stage:
        lines = list(scene.lines)
        while lines:
            number, line = lines.pop(0)
            expected = []
            while lines and lines[0][1].startswith(" "):
                expected.append(lines.pop(0))
            try:
                said = self._act(line)
                self._compare(said, expected)
            except TranscriptError as error:
                raise TranscriptError(f"{scene.title}, line {number}: {line}\n  {error}") from None
        return self.stage

    def _act(self, line: str) -> list[str]:
        head, arrow, outcome = line.partition("->")
        words = shlex.split(head)
        if words[0] == "wait":
            return [said for decision in self.stage.wait(float(words[1])) for said in self._said(decision)]
        address = self._address(words[0])
        if words[1] == "is":
            self._expect_state(address, words[2])
            return []
        if not arrow:
            raise TranscriptError("a command needs `-> STATE`, `-> refused REASON` or `-> ignored`")
        decision = self._send(address, words[1:])
        self._expect_outcome(address, decision, outcome.split())
        return self._said(decision)

    def _send(self, address: Address, words: Sequence[str]) -> Decision:
        if words[0] == "same":
            if self._last is None:
                raise TranscriptError("there is no command to send again")
            address, command, command_id = self._last
        else:
            command = self._command(words)
            command_id = f"said-{len(self.stage.fired)}-{self.stage.now}-{id(command)}"
        self._last = (address, command, command_id)
        return self.stage.send(address, command, command_id=command_id)

    def _command(self, words: Sequence[str]) -> Command:
        kind = self._commands.get(words[0])
        if kind is None:
            raise TranscriptError(f"no table knows the command {words[0]}")
        hints = typing.get_type_hints(kind)
        fields = {}
        for word in words[1:]:
            name, _, value = word.partition("=")
            if name not in hints:
                raise TranscriptError(f"{words[0]} has no field {name}")
            fields[name] = _build(hints[name], self._known(value))
        return kind(**fields)

    def _expect_outcome(self, address: Address, decision: Decision, expected: Sequence[str]) -> None:
        match [*expected]:
            case ["refused", reason]:
                found = f"{decision.outcome} {decision.reason}"
                if found != f"refused {reason}":
                    raise TranscriptError(f"it was {found}")
            case ["ignored"] | ["deferred"]:
                if decision.outcome != expected[0]:
                    raise TranscriptError(f"it was {decision.outcome} {decision.reason}")
            case [state]:
                if decision.outcome is Outcome.REFUSED:
                    raise TranscriptError(f"it was refused: {decision.reason}")
                self._expect_state(address, state)
            case _:
                raise TranscriptError("one state, `refused REASON`, `ignored` or `deferred`")

    def _expect_state(self, address: Address, name: str) -> None:
        found = self.stage.snapshot(address).state.name
        if found != name:
            raise TranscriptError(f"{address} is {found}")

    def _said(self, decision: Decision) -> list[str]:
        said = [
            _line(f"{record.member.kind.rpartition('.')[2]}:{record.member.key}", record.event)
            for change in decision.changes.values()
            for record in change.records
        ]
        return [*said, *(_effect_line(performance) for performance in decision.performances)]

    def _compare(self, said: list[str], expected: Sequence[tuple[int, str]]) -> None:
        for place, (number, line) in enumerate(expected):
            if place >= len(said):
                raise TranscriptError(f"line {number} was not said: {line.strip()}")
            if not self._matches(line.strip(), said[place]):
                raise TranscriptError(
                    f"line {number} says\n    {line.strip()}\n  and it was\n    {said[place]}"
                )
        if len(said) > len(expected):
            more = "\n    ".join(said[len(expected) :])
            raise TranscriptError(f"unsaid output:\n    {more}")

    def _matches(self, expected: str, said: str) -> bool:
        wanted, found = shlex.split(expected), shlex.split(said)
        head = [word for word in wanted if "=" not in word]
        if [self._known(word, bind_to=found) for word in head] != found[: len(head)]:
            return False
        fields = dict(word.split("=", 1) for word in found[len(head) :] if "=" in word)
        for word in wanted:
            if "=" in word:
                name, value = word.split("=", 1)
                if name not in fields:
                    return False
                if value.startswith("$") and value not in self._names:
                    self._names[value] = fields[name]
                if self._names.get(value, value) != fields[name]:
                    return False
        return True

    def _known(self, word: str, bind_to: Sequence[str] = ()) -> str:
        for name in sorted(self._names, key=len, reverse=True):
            word = word.replace(name, self._names[name])
        if "$" in word and bind_to and ":" in word:
            prefix, _, name = word.partition("$")
            met = next((one for one in bind_to if one.startswith(prefix)), None)
            if met is not None:
                self._names[f"${name}"] = met[len(prefix) :]
                return met
        return word

    def _address(self, word: str) -> Address:
        kind, _, key = self._known(word).partition(":")
        if kind not in self._kinds:
            raise TranscriptError(f"there is no kind {kind}")
        return Address(self._kinds[kind], key)


def _effect_line(performance: Performance) -> str:
    effect = performance.effect
    if isinstance(effect, Reply):
        return _line("! Reply", effect.message)
    if isinstance(effect, Send):
        addressee = " ".join(
            f"{name}={value}"
            for name, value in (("to", effect.to), ("only", effect.only), ("skip", effect.skip))
            if value is not None
        )
        return f"{_line('! Send', effect.message)} {addressee}"
    return _line("!", effect)


def _line(head: str, said: Any) -> str:
    fields = " ".join(f"{name}={shlex.quote(value)}" for name, value in _fields(said))
    return f"{head} {type(said).__name__} {fields}".rstrip()


def _fields(said: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for field in attrs.fields(type(said)):
        value = getattr(said, field.name)
        if field.name == "stamp":
            continue
        if attrs.has(type(value)):
            yield from _fields(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", _word(value)


def _word(value: Any) -> str:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return ",".join(_word(getattr(one, "id", one)) for one in value)
    return str(value)


def _build(hint: Any, word: str) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    if hint is bool:
        return word == "True"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint[word]
    if attrs.has(hint):
        return hint(id=word)
    return hint(word)
