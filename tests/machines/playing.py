"""What the laws and scenarios of every API share: scenes, journals kept by hand, random commands."""

import importlib.util
import os
import random
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from engine.app.api import Api
from engine.app.discovery import installed_apis
from engine.app.engine import codec_of
from engine.codec.records import RecordCodec
from engine.journal.port import StoredEvent
from engine.machine.family import OWED, Decision, Draft, Family, RuleError, split_index_name
from engine.machine.stage import Stage
from engine.machine.step import step
from engine.machine.table import Crash
from engine.machine.transcript import Scene, play, scenes
from engine.vocabulary import Address, Command, Stamp

NAMES = ("ann", "bob", "eve")
"""Few, so that guards collide."""
WORDS = (*NAMES, "phone", "laptop", "")
NUMBERS = (0.0, 1.0, 7.5, 60.0, 5_000.0)
KEYS = ("participant_limit", "RECORDER", *NAMES)
"""Of mappings: those that rules look at, and others."""
JSON_TEXTS = ("0", "1", "2", "true", "null")
WAITS = (*[0.0] * 12, 1.0, 9.0, 20.0, 60.0, 400.0)

LARGE = os.environ.get("SWITCHHOOK_PROFILE") == "large"


@cache
def family_of(api: Api) -> Family:
    """The machines of one API."""
    return Family(api.kinds)


@cache
def scenes_of(api: Api) -> tuple[Scene, ...]:
    """Every scene of one API."""
    return tuple(scene for one, _, scene in scenarios() if one is api)


@cache
def codec_for(api: Api) -> RecordCodec:
    """The journal's codec for one API."""
    return codec_of((api,), family_of(api))


def scenarios() -> Iterator[tuple[Api, str, Scene]]:
    """(API, file name, scene) of every transcript in `machines`."""
    for api in installed_apis():
        spec = importlib.util.find_spec(f"machines.{api.name}")
        assert spec is not None
        assert spec.origin is not None
        for path in sorted((Path(spec.origin).parent / "scenarios").glob("*.txt")):
            for scene in scenes(path.read_text(encoding="utf-8")):
                yield api, path.stem, scene


class BookFamily(Family):
    """A family that steps by the book."""

    def step(self, address: Address, now: Any, command: Command) -> Any:
        try:
            return step(self.kinds[address.kind].table, now, command)
        except Exception as error:
            raise RuleError(address) from error


class Run(Stage):
    """A stage that keeps what a journal would: records as bytes, and the index of timers."""

    def __init__(self, api: Api, rng: random.Random) -> None:
        super().__init__(family_of(api))
        self.api = api
        self.codec = codec_for(api)
        self.rng = rng
        self.book = BookFamily(api.kinds)
        self.journal: dict[str, list[StoredEvent]] = {}
        self.index: dict[str, float] = {}
        self.crashes = 0

    def begin(self) -> None:
        """Play some scenario, so that chance begins where something is going on."""
        play(self.family, self.rng.choice(scenes_of(self.api)), on=self)

    def send(self, to: Address, command: Command, **options: Any) -> Decision:
        """Decide; a rule that meets what cannot be crashes its machine, as the dispatcher does it."""
        try:
            decision = super().send(to, command, **options)
        except RuleError as error:
            if not isinstance(error.__cause__, AssertionError):
                raise
            self.crashes += 1
            decision = super().send(error.address, Crash())
        self._keep(decision)
        return decision

    def _keep(self, decision: Decision) -> None:
        for stream, change in decision.changes.items():
            kept = self.journal.setdefault(stream, [])
            for record in change.records:
                data = self.codec.encode(record)
                kept.append(StoredEvent(len(kept) + 1, "", self.now, data))
            for name, due in change.timers.items():
                if split_index_name(name)[1].startswith(OWED):
                    continue
                self.index.pop(name, None)
                if due is not None:
                    self.index[name] = due

    def decisions(self, to: Address, command: Command) -> list[Decision]:
        """What is decided about `command`, without keeping it: twice compiled, then by the book."""
        stamp = Stamp(at=self.now, id="once", entropy=f"{self._count:064x}")
        stamped = attrs.evolve(command, stamp=stamp)
        families = (self.family, self.family, self.book)
        return [Draft(family, self.streams).decide(to, stamped) for family in families]

    # -- chance

    def any_address(self) -> Address:
        """A machine, most often one that something has happened to."""
        members = [one for stream in self.streams.values() for one in stream.members]
        if members and self.rng.random() < 0.8:
            return self.rng.choice(members)
        return Address(self.rng.choice([*self.family.kinds]), self.rng.choice(self._texts()))

    def any_command(self, to: Address) -> Command:
        """A command that its state has a row for, or else any."""
        cells = self.family.kinds[to.kind].table.cells[self.snapshot(to).state]
        heard = [on for on, entries in cells.items() if on is not Crash and any(one.row for one in entries)]
        commands = heard if heard and self.rng.random() < 0.7 else [*cells]
        made: Command = self._made(self.rng.choice(commands))
        return made

    def _texts(self) -> list[str]:
        keys = [one.key for stream in self.streams.values() for one in stream.members][-12:]
        return [*WORDS, *keys]

    def _made(self, cls: type[Any]) -> Any:
        hints = typing.get_type_hints(cls)
        fields = [one for one in attrs.fields(cls) if one.init and one.name != "stamp"]
        chosen = [one for one in fields if one.default is attrs.NOTHING or self.rng.random() < 0.7]
        return cls(**{one.name: self._value(hints[one.name]) for one in chosen})

    def _value(self, hint: Any) -> Any:
        rng = self.rng
        origin, inner = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return self._value(rng.choice(inner))
        if hint in (None, type(None)):
            return None
        if origin is tuple:
            return tuple(self._value(inner[0]) for _ in range(rng.randrange(3)))
        if origin is not None and issubclass(origin, Mapping):
            return {key: rng.choice(JSON_TEXTS) for key in rng.sample(KEYS, rng.randrange(3))}
        if hint is Address:
            return self.any_address()
        if attrs.has(hint):
            return self._made(hint)
        if issubclass(hint, Enum):
            return rng.choice([*hint])
        plain = {bool: (True, False), int: (0, 1, 2, 50), float: NUMBERS, str: self._texts(), bytes: (b"",)}
        return rng.choice(plain[hint])
