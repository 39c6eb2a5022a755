"""Every exception of the engine, as one tree.

EngineError
├── TableError              a table is wrong (import time)
├── LocalProtocolError      we built a message wrongly
├── RemoteProtocolError     the other side did
├── CodecError              a journaled record cannot be read or written
├── TransportError
│   ├── TransportClosedError     we closed it
│   ├── TransportBrokenError     they or the network did
│   └── TransportTimeoutError
├── JournalError
│   ├── ConflictError            the stream moved on; certainly not stored
│   ├── UnavailableError         certainly not stored
│   ├── UnknownOutcomeError      may be stored; read before deciding again
│   ├── HistoryLostError         the journal knows less than we do
│   └── JournalCorruptError
├── OverloadedError         a queue with a limit is full
├── ConfigurationError      one fault of a configuration, with its key
├── CommandRefusedError     a rule says no
├── CallCrashedError        a rule raised; the call has ended
├── CallEndedError          what is waited for can never come
├── PushRefusedError        a push that nobody takes, now or later
└── MediaError
"""

from typing import Any


class EngineError(Exception):
    """Base of all errors raised by `engine` and `machines`."""


class TableError(EngineError):
    """A table contradicts itself or leaves a cell undecided."""


class LocalProtocolError(EngineError):
    """We were about to send something the protocol forbids."""


class RemoteProtocolError(EngineError):
    """The other side sent something the protocol forbids.

    `path` is a JSON path such as `$.data.targetUser`; `reason` never quotes a secret value.
    """

    def __init__(self, path: str, reason: str, faults: tuple[tuple[str, str], ...] = ()) -> None:
        self.faults = faults or ((path, reason),)
        super().__init__("; ".join(f"{where}: {why}" for where, why in self.faults))
        self.path = path
        self.reason = reason
        """`path` and `reason` are the first of `faults`, which lists every (path, reason) that was found."""


class CodecError(EngineError):
    """A class has no form outside, or bytes are not what the codec wrote."""


class TransportError(EngineError):
    """A connection cannot be used any more."""


class TransportClosedError(TransportError):
    """We closed it."""


class TransportBrokenError(TransportError):
    """The other side or the network ended it. `code` is the WebSocket close code, if one came."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class TransportTimeoutError(TransportError):
    """It did not answer in time."""


class JournalError(EngineError):
    """The journal did not do what was asked."""


class ConflictError(JournalError):
    """A stream's head is not the expected version; certainly nothing was stored."""

    def __init__(self, stream: str, expected: int, head: int, missed: tuple[Any, ...] | None = None) -> None:
        super().__init__(f"{stream}: expected version {expected}, the head is {head}")
        self.stream = stream
        self.expected = expected
        self.head = head
        self.missed = missed
        """Records after `expected` in version order, or None when the caller must load."""


class UnavailableError(JournalError):
    """Certainly nothing was stored: full, locked or closed."""


class UnknownOutcomeError(JournalError):
    """It may be stored: read the stream, then retry with the same command id."""


class HistoryLostError(JournalError):
    """The head is behind what we have seen: a restored backup, or a failover that lost events."""


class JournalCorruptError(JournalError):
    """A record's checksum or numbering is wrong. `version` is the first record that cannot be trusted."""

    def __init__(self, stream: str, version: int, reason: str) -> None:
        super().__init__(f"{stream} at version {version}: {reason}")
        self.stream = stream
        self.version = version


class OverloadedError(EngineError):
    """A queue is at its limit. The command was not looked at; trying again later is safe."""


TRY_AGAIN = (OverloadedError, UnavailableError, ConflictError, UnknownOutcomeError)
"""What passes: the same command, with the same id, may be taken a moment later."""


class ConfigurationError(EngineError):
    """One fault of a configuration: its key, and what would be right."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


class CommandRefusedError(EngineError):
    """A rule says no, and nothing was changed. `reason` is a key of the API, such as `unavailable`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"refused: {reason}")
        self.reason = reason


class CallCrashedError(EngineError):
    """A rule of the call raised; the call has ended and its parties have been told."""


class CallEndedError(EngineError):
    """The call has ended in another state than the one that is waited for. `state` is that one."""

    def __init__(self, call: str, state: Any) -> None:
        super().__init__(f"{call} has ended: it is {state.name}")
        self.call = call
        self.state = state


class PushRefusedError(EngineError):
    """A push will not be taken, however often it is tried."""


class MediaError(EngineError):
    """A media engine or media node did not do what was asked."""
