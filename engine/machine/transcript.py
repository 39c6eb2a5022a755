"""Transcripts: a family's specification in the reader's language, run as a test. Pure: time is virtual.

    == ann rings bob
    line:bob RequestCall initiator=ann opponent=bob device=phone -> RINGING
      line:bob RingArrived ring.request_id=$r1
      ring:$r1 RingStarted initiator=ann
      line:ann RingPlaced
      ! Reply RequestMade request_id=$r1
      ! Send VideochatRequested request_id=$r1 to=bob
    == nobody answers
    after ann rings bob
    ring:$r1 DeclineCall sender=eve -> refused request_not_found
    wait 60
      ! Send VideochatDeclined to=bob
      ! Send VideochatDeclined to=ann
    ring:$r1 is TIMED_OUT target=bob

A command's line ends in the addressed machine's state after it, or in `refused REASON`, `ignored`,
`deferred` or `duplicate`. Below it stands what was said: effects (`!`) in their order and without a gap;
events of the machines likewise, or none at all where they do not matter. Field lists are partial; an object
is named by its first field, a mapping by its keys. `card.name=` is a field of an object, `metadata.limit=`
the value of a mapping's key. `$name` stands for whatever it meets first. Kinds are written by their last
word; a command's line may have the whole name. `after TITLE` plays an earlier scene of the file first; `same`
in place of a command sends the last one again, id and all.
"""

import re
import shlex
import types
import typing
from collections import abc
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs

from engine.effects import Ask, Reply, Send
from engine.errors import EngineError
from engine.machine.family import DUPLICATE, Decision, Family, Performance
from engine.machine.stage import Stage
from engine.machine.step import Outcome
from engine.vocabulary import Address, Command


class TranscriptError(EngineError):
    """The family does something else than its transcript says, or the transcript cannot be read."""


@attrs.frozen
class Scene:
    """One scenario: a title and its lines with their numbers."""

    title: str
    lines: tuple[tuple[int, str], ...]


def scenes(text: str) -> tuple[Scene, ...]:
    """The scenarios of a transcript file; blank lines and `#` comments are dropped.

    Raises:
        TranscriptError: a line stands before the first title, two scenes share a title, a scene is empty, or
            comes `after` one that is not above it.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    title = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split(" # ")[0].rstrip()
        if not line or line.lstrip().startswith("#"):
            continue
        if line.startswith("=="):
            title = line[2:].strip()
            if title in found:
                raise TranscriptError(f"line {number}: there is a scene {title!r} already")
            found[title] = []
        elif not title:
            raise TranscriptError(f"line {number}: a scene begins with `== title`")
        elif line.startswith("after "):
            found[title] += _earlier(found, title, line[6:].strip(), number)
        else:
            found[title].append((number, line))
    for title, lines in found.items():
        if not lines:
            raise TranscriptError(f"the scene {title!r} is empty")
    return tuple(Scene(title, tuple(lines)) for title, lines in found.items())


def _earlier(
    found: Mapping[str, list[tuple[int, str]]], title: str, wanted: str, number: int
) -> list[tuple[int, str]]:
    if wanted == title or wanted not in found:
        raise TranscriptError(f"line {number}: there is no scene {wanted!r} above")
    if found[title]:
        raise TranscriptError(f"line {number}: `after` begins a scene")
    return found[wanted]


def play(family: Family, scene: Scene, on: Stage | None = None) -> Stage:
    """Run one scenario, on a stage of its own unless there is one.

    Raises:
        TranscriptError: at the first line that does not hold, with what happened instead.
    """
    __tracebackhide__ = True  # pytest shows the reader's own test, and the line of his transcript
    return _Player(on or Stage(family)).play(scene)


@attrs.frozen
class _Said:
    """One line of output, or of what is expected of it."""

    words: tuple[str, ...]
    fields: Mapping[str, str]

    def __str__(self) -> str:
        shown = (f"{name}={shlex.quote(value)}" for name, value in self.fields.items() if value)
        return " ".join([*self.words, *shown])


class _Player:
    def __init__(self, stage: Stage) -> None:
        family = stage.family
        self.stage = stage
        self._names: dict[str, str] = {}
        self._kinds = {name.rpartition(".")[2]: name for name in family.kinds} | {n: n for n in family.kinds}
        self._last: tuple[Address, Command, str] | None = None
        self._sent = 0

    def play(self, scene: Scene) -> Stage:
        __tracebackhide__ = True
        lines = list(scene.lines)
        while lines:
            number, line = lines.pop(0)
            expected = []
            while lines and lines[0][1].startswith(" "):
                expected.append(lines.pop(0))
            try:
                self._compare(self._act(line), expected)
            except TranscriptError as error:
                raise TranscriptError(f"{scene.title}, line {number}: {line.strip()}\n  {error}") from None
        return self.stage

    # -- doing what a line says

    def _act(self, line: str) -> Sequence[Decision]:
        head, arrow, outcome = line.partition("->")
        match _words(head):
            case ["wait", seconds] if not arrow:
                return self.stage.wait(_number(seconds))
            case [machine, "is", state, *fields] if not arrow:
                self._expect_state(self._address(machine), state, fields)
                return ()
            case ["same"] if arrow and self._last is not None:
                address, command, command_id = self._last
            case [machine, name, *fields] if arrow:
                address = self._address(machine)
                command = self._command(address, name, fields)
                self._sent += 1
                command_id = f"said-{self._sent}"
            case _:
                raise TranscriptError(
                    "neither `MACHINE COMMAND -> OUTCOME` nor `wait SECONDS` nor `X is STATE`"
                )
        self._last = (address, command, command_id)
        decision = self.stage.send(address, command, command_id=command_id)
        self._expect_outcome(address, decision, outcome.split())
        return (decision,)

    def _address(self, word: str) -> Address:
        kind, _, key = self._filled(word).partition(":")
        if kind not in self._kinds or not key:
            raise TranscriptError(f"there is no machine {word}")
        return Address(self._kinds[kind], key)

    def _command(self, address: Address, name: str, words: Sequence[str]) -> Command:
        commands = self.stage.family.kinds[address.kind].table.commands
        cls = next((one for one in commands if one.__name__ == name), None)
        if cls is None:
            raise TranscriptError(f"the table of {address.kind} knows no command {name}")
        command: Command = _made(cls, {key: self._filled(word) for key, word in _pairs(words).items()})
        return command

    def _filled(self, word: str) -> str:
        """`word` with what its names stand for."""
        for name in _NAME.findall(word):
            if name not in self._names:
                raise TranscriptError(f"${name} has met nothing yet")
        return _NAME.sub(lambda met: self._names[met[1]], word)

    # -- comparing

    def _expect_outcome(self, address: Address, decision: Decision, expected: Sequence[str]) -> None:
        found = (
            DUPLICATE
            if decision.reason == DUPLICATE
            else f"{decision.outcome} {decision.reason}"
            if decision.outcome is Outcome.REFUSED
            else decision.outcome.value
        )
        if found == Outcome.MOVED and len(expected) == 1:
            self._expect_state(address, expected[0], ())
        elif found != " ".join(expected):
            raise TranscriptError(f"it was {found}")

    def _expect_state(self, address: Address, state: str, fields: Sequence[str]) -> None:
        snapshot = self.stage.snapshot(address)
        found = _said((str(address), "is", snapshot.state.name), snapshot.data)
        expected = _Said((found.words[0], "is", state), _pairs(fields))
        if not self._matches(expected, found):
            raise TranscriptError(str(found))

    def _compare(self, decisions: Sequence[Decision], lines: Sequence[tuple[int, str]]) -> None:
        expected = [(number, _parsed(line)) for number, line in lines]
        events = [one for one in expected if one[1].words[0] != "!"]
        if events:
            self._compare_each([said for one in decisions for said in _events_of(one)], events)
        effects = [one for one in expected if one[1].words[0] == "!"]
        self._compare_each([_effect(said) for one in decisions for said in one.performances], effects)

    def _compare_each(self, said: Sequence[_Said], expected: Sequence[tuple[int, _Said]]) -> None:
        for place, (number, wanted) in enumerate(expected):
            if place >= len(said):
                raise TranscriptError(f"line {number} was not said: {wanted}")
            if not self._matches(wanted, said[place]):
                raise TranscriptError(f"line {number} says\n    {wanted}\n  and it was\n    {said[place]}")
        if len(said) > len(expected):
            more = "\n    ".join(str(one) for one in said[len(expected) :])
            raise TranscriptError(f"unsaid output:\n    {more}")

    def _matches(self, wanted: _Said, found: _Said) -> bool:
        if len(wanted.words) != len(found.words) or not wanted.fields.keys() <= found.fields.keys():
            return False
        words = [*zip(wanted.words, found.words, strict=True)]
        words += [(word, found.fields[name]) for name, word in wanted.fields.items()]
        before = dict(self._names)
        if all(self._meets(word, met) for word, met in words):
            return True
        self._names = before
        return False

    def _meets(self, word: str, met: str) -> bool:
        """Whether `word` is `met`, once its new names stand for what makes it so."""
        new: list[str] = []
        pattern = ""
        for place, part in enumerate(_NAME.split(word)):
            if place % 2 and part not in self._names and part not in new:
                new.append(part)
                pattern += f"(?P<{part}>.+)"
            elif place % 2 and part in new:
                pattern += f"(?P={part})"
            else:
                pattern += re.escape(self._names[part] if place % 2 else part)
        found = re.fullmatch(pattern, met)
        if found is not None:
            self._names |= found.groupdict()
        return found is not None


_NAME = re.compile(r"\$([a-z]\w*)")


# -- reading


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise TranscriptError(f"{error}") from None


def _parsed(line: str) -> _Said:
    words = _words(line)
    head = next((place for place, word in enumerate(words) if "=" in word), len(words))
    return _Said(tuple(words[:head]), _pairs(words[head:]))


def _pairs(words: Sequence[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise TranscriptError(f"{word!r} is not `field=value`")
    return dict(word.split("=", 1) for word in words)


def _made(cls: type[Any], fields: Mapping[str, str]) -> Any:
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for name in dict.fromkeys(key.partition(".")[0] for key in fields):
        if name not in hints or name == "stamp":
            raise TranscriptError(f"{cls.__name__} has no field {name}")
        inner = {key.partition(".")[2]: word for key, word in fields.items() if key.startswith(f"{name}.")}
        values[name] = _parts(_plain(hints[name]), inner) if inner else _value(hints[name], fields[name])
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise TranscriptError(f"{cls.__name__} cannot be made: {error}") from None


def _parts(hint: Any, words: Mapping[str, str]) -> Any:
    """An object of its fields, or a mapping of its keys."""
    if typing.get_origin(hint) is abc.Mapping:
        return {key: _value(typing.get_args(hint)[1], word) for key, word in words.items()}
    return _made(hint, words)


def _value(hint: Any, word: str) -> Any:
    if word == "None" and type(None) in typing.get_args(hint):
        return None
    hint = _plain(hint)
    if typing.get_origin(hint) is tuple:
        return tuple(_value(typing.get_args(hint)[0], one) for one in word.split(",") if one)
    if attrs.has(hint):
        return _made(hint, {attrs.fields(hint)[0].name: word})
    try:
        if hint is bool:
            return {"True": True, "False": False}[word]
        return hint[word] if issubclass(hint, Enum) else hint(word)
    except (KeyError, ValueError, TypeError):
        raise TranscriptError(f"{word!r} is no {getattr(hint, '__name__', hint)}") from None


def _plain(hint: Any) -> Any:
    """The first of a union that is not None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(one for one in typing.get_args(hint) if one is not type(None))
    return hint


def _number(word: str) -> float:
    number: float = _value(float, word)
    return number


# -- saying


def _events_of(decision: Decision) -> Iterator[_Said]:
    for change in decision.changes.values():
        for record in change.records:
            member = f"{record.member.kind.rpartition('.')[2]}:{record.member.key}"
            yield _said((member, type(record.event).__name__), record.event)


def _effect(performance: Performance) -> _Said:
    effect = performance.effect
    name = type(effect).__name__
    if isinstance(effect, Reply):
        return _said(("!", name, type(effect.message).__name__), effect.message)
    if isinstance(effect, Send):
        told = _said(("!", name, type(effect.message).__name__), effect.message)
        addressee = {"to": effect.to, "only": _word(effect.only), "skip": _word(effect.skip)}
        return _Said(told.words, {**told.fields, **addressee})
    assert isinstance(effect, Ask), "no other effect is performed"
    asked = _said(("!", name, type(effect.request).__name__), effect.request)
    return _Said(asked.words, {**asked.fields, "port": effect.port})


def _said(words: tuple[str, ...], said: Any) -> _Said:
    return _Said(words, dict(_fields(said)))


def _fields(said: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in _named(said):
        yield f"{prefix}{name}", _word(value)
        yield from _fields(value, f"{prefix}{name}.")


def _named(said: Any) -> Iterator[tuple[str, Any]]:
    """The parts of an object or a mapping by their names; a plain value has none."""
    if isinstance(said, abc.Mapping):
        yield from said.items()
    elif attrs.has(type(said)):
        names = (field.name for field in attrs.fields(type(said)) if field.name != "stamp")
        yield from ((name, getattr(said, name)) for name in names)


def _word(value: Any) -> str:
    """A value as a transcript writes it; an object is named by its first field, a mapping by its keys."""
    if value is None:
        return ""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple | list | abc.Mapping):
        return ",".join(_word(one) for one in value)
    if attrs.has(type(value)):
        return _word(getattr(value, attrs.fields(type(value))[0].name))
    return str(value)
