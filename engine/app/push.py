"""The push port: who is reached without a socket, and how he is told. A push that fails costs no call."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs
import structlog
import trio

from engine.app.users import User
from engine.codec.wire import WireCodec
from engine.effects import Push
from engine.errors import EngineError, PushRefusedError
from engine.runtime.performers import Asked
from engine.runtime.supervisor import contained

PUSH_SECONDS = 10.0
"""How long one attempt may take."""

PAUSES = (0.0, 1.0, 4.0)
"""Seconds before each attempt: all of them end within the minute that a call rings."""

REACHES_SECONDS = 2.0
"""How long the caller waits for the answer to whether a push reaches somebody; then it does not."""

IN_FLIGHT_MAX = 10_000
"""Pushes that may be on their way at once; one more is dropped."""

log = structlog.get_logger("switchhook.push")


@attrs.frozen(kw_only=True)
class PushNotice:
    """What the sleeping devices of one user are to be told."""

    type: str
    """Such as `pushVideochatRequest`."""
    user: str
    """Whose devices."""
    data: Mapping[str, Any]
    """What they get: plain JSON values, without tokens and keys."""
    key: str
    """The same each time this notice is sent again, after a failure or a crash."""


class PushPort(Protocol):
    """How devices without a socket are reached. A host may bring its own."""

    async def reaches(self, user: User) -> bool:
        """Whether the user has devices that a push would wake; asked once for each request to him."""

    async def push(self, notice: PushNotice) -> None:
        """Tell all his devices. What it raises is logged, and it is tried again.

        Raises:
            PushRefusedError: trying again is of no use.
        """


class NoPush:
    """Nobody is reached."""

    async def reaches(self, user: User) -> bool:  # noqa: ARG002 - part of the port
        """False."""
        return False

    async def push(self, notice: PushNotice) -> None:
        """Refuse what was asked when there still was a port.

        Raises:
            PushRefusedError: always.
        """
        raise PushRefusedError(f"{notice.type} was asked for, and there is no push port any more")


class Pushes:
    """A push port as one API uses it: bounded in time and number, and never the end of a call."""

    def __init__(
        self, port: PushPort, *, pauses: Sequence[float] = PAUSES, in_flight_max: int = IN_FLIGHT_MAX
    ) -> None:
        self._port = port
        self._pauses = pauses
        self._in_flight_max = in_flight_max
        self._codec = WireCodec()
        self._in_flight = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        """Pushes by type and outcome: `sent`, `failed` (in all attempts) or `dropped`."""

    async def reaches(self, user: User) -> bool:
        """What the port says; False when it does not say it in time, or raises."""
        found = False
        with contained("push_lookup_failed"):
            with trio.move_on_after(REACHES_SECONDS) as waiting:
                found = bool(await self._port.reaches(user))
            if waiting.cancelled_caught:
                log.warning("push_lookup_failed", reason=f"no answer within {REACHES_SECONDS:g} s")
        return found

    async def perform(self, asked: Asked) -> None:
        """Do what a machine asks by `Push`."""
        push = asked.request
        assert isinstance(push, Push), f"{asked.member} asks a push port for something else"
        if self._in_flight >= self._in_flight_max:
            log.warning("push_dropped", type=str(push.type), key=asked.key)
            self.counts[str(push.type), "dropped"] += 1
            return
        self._in_flight += 1
        try:
            sent = await self._deliver(push, asked.key)
        finally:
            self._in_flight -= 1
        self.counts[str(push.type), "sent" if sent else "failed"] += 1

    async def _deliver(self, push: Push, key: str) -> bool:
        for pause in self._pauses:
            await trio.sleep(pause)
            failure = await self._attempt(push, key)
            if failure is None:
                return True
            if isinstance(failure, PushRefusedError):
                break
        return False

    async def _attempt(self, push: Push, key: str) -> Exception | None:
        """Why it failed."""
        failures: list[Exception] = []
        with contained("push_raised", failures.append, type=str(push.type), key=key):
            try:
                data = self._codec.to_value(push.message)
                with trio.fail_after(PUSH_SECONDS):
                    await self._port.push(PushNotice(type=str(push.type), user=push.to, data=data, key=key))
            except (EngineError, trio.TooSlowError) as error:
                # What a network does is worth a line; what somebody's code does is worth a traceback.
                reason = str(error) or f"it took longer than {PUSH_SECONDS:g} s"
                log.warning("push_failed", type=str(push.type), key=key, reason=reason)
                failures.append(error)
        return failures[0] if failures else None
