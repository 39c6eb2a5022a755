"""Calls that ended long ago leave the journal."""

import attrs
import structlog
import trio

from engine.errors import JournalError
from engine.runtime.runtime import Runtime

SWEEP_SECONDS = 3600.0
"""From one look for ended calls to the next."""

AT_ONCE_MAX = 100
"""Calls that are erased by one transaction."""

SECONDS_PER_DAY = 86_400.0

log = structlog.get_logger("switchhook.retention")


@attrs.frozen(kw_only=True)
class JournalSettings:
    """What becomes of a journal in the long run."""

    keep_ended_days: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    """How long a call can be read after its last event. Then it is erased for good; 0 keeps all of them."""


async def sweep(runtime: Runtime, keep_seconds: float) -> None:
    """Forget ended calls now and every hour, until cancelled."""
    while True:
        try:
            count = await forget_ended(runtime, runtime.world.clock() - keep_seconds)
        except JournalError as error:
            # The next sweep finds them again.
            log.warning("sweep_failed", reason=str(error))
        else:
            if count:
                log.info("ended_calls_forgotten", streams_count=count)
        await trio.sleep(SWEEP_SECONDS)


async def forget_ended(runtime: Runtime, before: float) -> int:
    """Erase every call that has ended and had its last event before that time (UTC seconds); how many.

    So are the streams of machines that are as at their beginning again, such as an endpoint that is not
    registered any more, unless devices count its versions. Whatever runs, has a timer, or is followed stays.

    Raises:
        JournalError: the journal cannot be read, or erases nothing.
    """
    count, after = 0, ""
    while found := await runtime.journal.quiet(before, after, AT_ONCE_MAX):
        count += len(await runtime.forget(found))
        after = found[-1]
    return count
