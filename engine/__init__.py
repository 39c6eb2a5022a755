"""The engine: pure machines, their journal, and the trio runtime that runs them.

The names here are the public ones; each is imported when it is first used, so that `import engine` is free.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.app.api import (
        Api,
        Backstage,
        Bearer,
        Crew,
        Endpoint,
        ErrorCode,
        Found,
        Host,
        MessageType,
        Page,
        Service,
        SocketRoute,
    )
    from engine.app.configuration import Configuration, load_configuration
    from engine.app.engine import Call, Engine, VersionedEvent, open_engine
    from engine.app.push import PushNotice, PushPort
    from engine.app.users import MemoryUsers, SqliteUsers, User, UserDirectory
    from engine.effects import Ask, Push, Reply, Request, Send, Tell
    from engine.errors import (
        CallCrashedError,
        CallEndedError,
        CommandRefusedError,
        ConfigurationError,
        EngineError,
        JournalError,
        OverloadedError,
        PushRefusedError,
        RemoteProtocolError,
        TableError,
        UnavailableError,
        UnknownOutcomeError,
    )
    from engine.machine.check import check_table
    from engine.machine.diagram import mermaid
    from engine.machine.family import Family, Kind
    from engine.machine.laws import breaches
    from engine.machine.paths import paths
    from engine.machine.reference import from_transitions, to_transitions
    from engine.machine.step import Outcome, Snapshot, Step, initial_snapshot, step
    from engine.machine.table import (
        After,
        Crash,
        Defer,
        EndOnCrash,
        Ignore,
        OnRestart,
        RebuildOnCrash,
        Refuse,
        Row,
        Said,
        Table,
    )
    from engine.machine.transcript import play, scenes
    from engine.runtime.entry import Entry
    from engine.runtime.performers import Asked, Performer
    from engine.runtime.world import World
    from engine.vocabulary import Address, Command, Effect, Event, Message, Stamp, length

__all__ = [
    "Address",
    "After",
    "Api",
    "Ask",
    "Asked",
    "Backstage",
    "Bearer",
    "Call",
    "CallCrashedError",
    "CallEndedError",
    "Command",
    "CommandRefusedError",
    "Configuration",
    "ConfigurationError",
    "Crash",
    "Crew",
    "Defer",
    "Effect",
    "EndOnCrash",
    "Endpoint",
    "Engine",
    "EngineError",
    "Entry",
    "ErrorCode",
    "Event",
    "Family",
    "Found",
    "Host",
    "Ignore",
    "JournalError",
    "Kind",
    "MemoryUsers",
    "Message",
    "MessageType",
    "OnRestart",
    "Outcome",
    "OverloadedError",
    "Page",
    "Performer",
    "Push",
    "PushNotice",
    "PushPort",
    "PushRefusedError",
    "RebuildOnCrash",
    "Refuse",
    "RemoteProtocolError",
    "Reply",
    "Request",
    "Row",
    "Said",
    "Send",
    "Service",
    "Snapshot",
    "SocketRoute",
    "SqliteUsers",
    "Stamp",
    "Step",
    "Table",
    "TableError",
    "Tell",
    "UnavailableError",
    "UnknownOutcomeError",
    "User",
    "UserDirectory",
    "VersionedEvent",
    "World",
    "breaches",
    "check_table",
    "from_transitions",
    "initial_snapshot",
    "length",
    "load_configuration",
    "mermaid",
    "open_engine",
    "paths",
    "play",
    "scenes",
    "step",
    "to_transitions",
]

_NAMES = {
    "engine.app.api": "Api Backstage Bearer Crew Endpoint ErrorCode Found Host MessageType Page Service "
    "SocketRoute",
    "engine.app.configuration": "Configuration load_configuration",
    "engine.app.engine": "Call Engine VersionedEvent open_engine",
    "engine.app.push": "PushNotice PushPort",
    "engine.app.users": "MemoryUsers SqliteUsers User UserDirectory",
    "engine.effects": "Ask Push Reply Request Send Tell",
    "engine.errors": "CallCrashedError CallEndedError CommandRefusedError ConfigurationError EngineError "
    "JournalError OverloadedError PushRefusedError RemoteProtocolError TableError UnavailableError "
    "UnknownOutcomeError",
    "engine.machine.check": "check_table",
    "engine.machine.diagram": "mermaid",
    "engine.machine.family": "Family Kind",
    "engine.machine.laws": "breaches",
    "engine.machine.paths": "paths",
    "engine.machine.reference": "from_transitions to_transitions",
    "engine.machine.step": "Outcome Snapshot Step initial_snapshot step",
    "engine.machine.table": "After Crash Defer EndOnCrash Ignore OnRestart RebuildOnCrash Refuse Row Said "
    "Table",
    "engine.machine.transcript": "play scenes",
    "engine.runtime.entry": "Entry",
    "engine.runtime.performers": "Asked Performer",
    "engine.runtime.world": "World",
    "engine.vocabulary": "Address Command Effect Event Message Stamp length",
}
_PLACES = {name: place for place, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it (PEP 562)."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(place), name)
    return found


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
