"""Journal records: msgpack of attrs classes, each with its tag and schema number, and upcasters.

A tagged value is `[tag, schema, fields]`; a record is `[kind, key, state, entries, event, cause]`. The
bytes depend on the value alone: sets are sorted, mappings keep their order, a float is always a float.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import islice
from pathlib import PurePath
from types import ModuleType, NoneType
from typing import Any, TypeAlias

import attrs
import msgspec
from cattrs import BaseValidationError

from engine.codec.dialect import Dialect, UnfitError, fields_of
from engine.codec.faults import faults_of
from engine.codec.readers import REFUSALS, Reader, Readers, freeze
from engine.codec.writers import Writer, Writers
from engine.errors import CodecError, LocalProtocolError
from engine.machine.family import Record, TimerMoved
from engine.machine.step import CommandDeferred, Snapshot, Timer
from engine.machine.table import Crash
from engine.vocabulary import Address, Command, Event

__all__ = ["Record", "RecordCodec", "StreamSnapshot", "Upcaster", "tag_of"]

Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes the fields of one schema number into those of the next; may change its argument."""

ENGINE_WORDS = (Crash, CommandDeferred, TimerMoved)
"""What the engine itself journals, whatever the API."""

SNAPSHOT_FORMAT = 1
FAULTS_SHOWN_MAX = 5
PLAIN = ""
"""Tag of data that is no attrs class."""


class StreamSnapshot(msgspec.Struct, frozen=True):
    """A stream, folded."""

    members: dict[Address, Snapshot]
    seen: tuple[tuple[str, int], ...]
    """(command id, version), newest last."""


class _Frame(msgspec.Struct, array_like=True, frozen=True):
    kind: str
    key: str
    state: str
    entries: int
    event: tuple[str, int, dict[str, Any]]
    cause: tuple[str, int, dict[str, Any]] | None


class _Member(msgspec.Struct, array_like=True, frozen=True):
    kind: str
    key: str
    state: str
    entries: int
    data: tuple[str, int, Any]
    timers: list[tuple[str, float, int]]
    deferred: list[tuple[str, int, dict[str, Any]]]


class _Fold(msgspec.Struct, array_like=True, frozen=True):
    format: int
    members: list[_Member]
    seen: tuple[tuple[str, int], ...]


class _Entry(msgspec.Struct, frozen=True):
    """A registered class."""

    cls: type
    tag: str
    schema: int
    write: Writer
    read: Reader
    read_slowly: Reader


_DIALECT = Dialect(
    name_of=lambda field: field.name, enums_by_name=True, closed=True, bounded=False, exact=True
)

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_unpack_frame = msgspec.msgpack.Decoder(_Frame).decode
_unpack_fold = msgspec.msgpack.Decoder(_Fold).decode
_UNPACK_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_PACK_FAULTS = (UnfitError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)


def tag_of(cls: type) -> str:
    """`<package>.<Class>`, the package being the last folder of the module: `videochat.RingAccepted`.

    A module outside of packages stands for one, by the same name whether it is imported or run.
    """
    module = sys.modules[cls.__module__]
    package = (module.__package__ or _name_of(module)).split(".")
    return f"{package[0] if package[0] == 'engine' else package[-1]}.{cls.__name__}"


def _name_of(module: ModuleType) -> str:
    file = getattr(module, "__file__", None) if module.__name__ == "__main__" else None
    return PurePath(file).stem if file else module.__name__


class RecordCodec:
    """Encodes and decodes the records of the registered classes: events, commands, and machines' data.

    A class's schema number is its `SCHEMA: ClassVar[int]`, or 1. It goes up when the fields of the class
    or of a class inside it change; an upcaster at (tag, old number) makes the old fields the new ones. A
    new field with a default needs neither. Fields of the types Command and Event are tagged themselves.

    Raises:
        CodecError: a class has no form outside, two share a tag, or an upcaster is missing.
    """

    def __init__(
        self,
        classes: Iterable[type],
        upcasters: Mapping[tuple[str, int], Upcaster] | None = None,
        *,
        states: Mapping[str, type[Enum]] | None = None,
    ) -> None:
        self._upcasters = dict(upcasters or {})
        self._states = dict(states or {})
        self._by_class: dict[type, _Entry] = {}
        self._by_tag: dict[str, _Entry] = {}
        read_special = dict.fromkeys((Command, Event), self._read_inner)
        self._writers = Writers(_DIALECT, dict.fromkeys((Command, Event), self._tagged))
        self._readers = Readers(_DIALECT, detailed=False, special=read_special)
        self._detailed = Readers(_DIALECT, detailed=True, special=read_special)
        for cls in dict.fromkeys((*ENGINE_WORDS, *classes)):
            self._register(cls)

    def tag_of(self, cls: type) -> str:
        """The tag of a registered class.

        Raises:
            CodecError: it is not registered.
        """
        return self._entry(cls).tag

    def encode(self, record: Record) -> bytes:
        """The bytes of `record`; equal records have equal bytes.

        Raises:
            CodecError: a class is not registered, or a value does not fit its field.
        """
        member, cause = record.member, record.cause
        try:
            event = self._tagged(record.event)
            because = None if cause is None else self._tagged(cause)
            return _pack((member.kind, member.key, record.state, record.entries, event, because))
        except _PACK_FAULTS as error:
            raise CodecError(f"{type(record.event).__qualname__} cannot be journaled: {error}") from error

    def check(self, command: Command) -> None:
        """See that a command that Python code has made holds what its fields say.

        A class that is not registered is not journaled, and passes.

        Raises:
            LocalProtocolError: it does not; the fields are named, and no value is quoted.
        """
        entry = self._by_class.get(type(command))
        if entry is None:
            return
        name = type(command).__qualname__
        try:
            fields = _unpack(_pack(entry.write(command)))
        except (*_PACK_FAULTS, CodecError):
            unfit = ", ".join(f"$.{field}" for field in self._unwritable(command))
            # Not chained: float() quotes what it refuses.
            raise LocalProtocolError(f"{name}: {unfit}: a value does not fit its field") from None
        try:
            entry.read(fields, None)
        except REFUSALS:
            reason = "; ".join(islice(self._faults(entry, fields), FAULTS_SHOWN_MAX))
        else:
            return
        raise LocalProtocolError(f"{name}: {reason}")

    def _unwritable(self, command: Command) -> Iterable[str]:
        cls: type = type(command)
        for field in fields_of(cls):
            try:
                _pack(self._writers.writer(field.type)(getattr(command, field.name)))
            except (*_PACK_FAULTS, CodecError):
                yield field.name

    def decode(self, data: bytes) -> Record:
        """The record in `data`.

        Raises:
            CodecError: these are not the bytes of a record, its tag is unknown, or its fields do not fit.
        """
        try:
            frame = _unpack_frame(data)
        except _UNPACK_FAULTS as error:
            raise CodecError(f"not a record: {_reason(error)}") from error
        event = self._read(frame.event)
        cause = None if frame.cause is None else self._read(frame.cause)
        if not isinstance(event, Event) or (cause is not None and not isinstance(cause, Command)):
            raise CodecError(f"{frame.event[0]} is no event, or its cause no command")
        return Record(Address(frame.kind, frame.key), frame.state, frame.entries, event, cause)

    def encode_snapshot(self, snapshot: StreamSnapshot) -> bytes:
        """The bytes of a folded stream.

        Raises:
            CodecError: a class is not registered, or a value does not fit its field.
        """
        try:
            members = [self._member(address, now) for address, now in snapshot.members.items()]
            return _pack((SNAPSHOT_FORMAT, members, snapshot.seen))
        except _PACK_FAULTS as error:
            raise CodecError(f"a snapshot cannot be stored: {error}") from error

    def decode_snapshot(self, data: bytes) -> StreamSnapshot:
        """The folded stream in `data`.

        Raises:
            CodecError: these are not the bytes of one, or a kind, state or tag in it is unknown.
        """
        try:
            fold = _unpack_fold(data)
        except _UNPACK_FAULTS as error:
            raise CodecError(f"not a snapshot: {_reason(error)}") from error
        if fold.format != SNAPSHOT_FORMAT:
            raise CodecError(f"a snapshot of format {fold.format}, known is {SNAPSHOT_FORMAT}")
        members = {Address(member.kind, member.key): self._snapshot(member) for member in fold.members}
        return StreamSnapshot(members, fold.seen)

    def _member(self, address: Address, now: Snapshot) -> tuple[Any, ...]:
        timers = [(timer.name, float(timer.due), timer.armed) for timer in now.timers]
        deferred = [self._tagged(command) for command in now.deferred]
        data = self._tagged_data(now.data)
        return (address.kind, address.key, now.state.name, now.entries, data, timers, deferred)

    def _snapshot(self, member: _Member) -> Snapshot:
        states = self._states.get(member.kind)
        if states is None:
            raise CodecError(f"no states are known of machines of the kind {member.kind}")
        if member.state not in states.__members__:
            raise CodecError(f"{states.__qualname__} has no member {member.state}")
        timers = tuple(Timer(*timer) for timer in member.timers)
        deferred = tuple(self._read(command) for command in member.deferred)
        data = freeze(member.data[2]) if member.data[0] == PLAIN else self._read(member.data)
        return Snapshot(states[member.state], data, timers, deferred, member.entries)

    def _register(self, cls: type) -> None:
        tag, schema = tag_of(cls), getattr(cls, "SCHEMA", 1)
        if not attrs.has(cls):
            raise CodecError(f"{tag} is no attrs class")
        if tag in self._by_tag:
            raise CodecError(f"{tag} names both {self._by_tag[tag].cls} and {cls}")
        missing = [number for number in range(1, schema) if (tag, number) not in self._upcasters]
        if missing:
            raise CodecError(f"{tag} is at schema {schema} and has no upcaster from {missing[0]}")
        readers = self._readers.reader(cls), self._detailed.reader(cls)
        entry = _Entry(cls, tag, schema, self._writers.writer(cls), *readers)
        self._by_class[cls] = self._by_tag[tag] = entry

    def _entry(self, cls: type) -> _Entry:
        entry = self._by_class.get(cls)
        if entry is None:
            raise CodecError(f"{cls.__module__}.{cls.__qualname__} is not registered")
        return entry

    def _tagged(self, value: Any) -> tuple[str, int, Any]:
        entry = self._by_class.get(type(value)) or self._entry(type(value))
        return entry.tag, entry.schema, entry.write(value)

    def _tagged_data(self, data: Any) -> tuple[str, int, Any]:
        if isinstance(data, str | int | float | NoneType | tuple | Mapping):
            return PLAIN, 0, self._writers.thaw(data)
        return self._tagged(data)

    def _read(self, tagged: tuple[str, int, Any]) -> Any:
        tag, schema, fields = tagged
        entry = self._by_tag.get(tag)
        if entry is None:
            raise CodecError(f"the tag {tag} is unknown")
        if schema != entry.schema:
            fields = self._upcast(entry, schema, fields)
        try:
            return entry.read(fields, None)
        except REFUSALS:
            reason = "; ".join(islice(self._faults(entry, fields), FAULTS_SHOWN_MAX))
        raise CodecError(f"{tag}: {reason}")

    def _read_inner(self, value: Any, _: Any) -> Any:
        """A tagged value inside a field."""
        if type(value) is not list or [type(part) for part in value] != [str, int, dict]:
            raise UnfitError("wants a tagged value")
        return self._read((value[0], value[1], value[2]))

    def _upcast(self, entry: _Entry, schema: int, fields: dict[str, Any]) -> dict[str, Any]:
        if not 1 <= schema < entry.schema:
            raise CodecError(f"{entry.tag} is of schema {schema}, known are 1 to {entry.schema}")
        try:
            for number in range(schema, entry.schema):
                fields = self._upcasters[entry.tag, number](fields)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CodecError(
                f"{entry.tag}: the upcaster from {number} raised {type(error).__name__}"
            ) from error
        return fields

    def _faults(self, entry: _Entry, fields: Any) -> Iterable[str]:
        try:
            entry.read_slowly(fields, None)
        except (UnfitError, BaseValidationError, RecursionError) as error:
            for path, reason in faults_of(error, _DIALECT, "$"):
                yield f"{path}: {reason}"


def _reason(error: Exception) -> str:
    # msgspec quotes no values here: the frames hold no enums and no patterns.
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
