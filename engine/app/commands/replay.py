"""`switchhook replay`: every call of a journal rebuilt and compared."""

import sys
from collections.abc import Sequence

import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.app.api import Api
from engine.app.engine import codec_of, family_of
from engine.app.lookup import apis_named
from engine.journal.opening import open_journal
from engine.journal.replay import Difference, replay


def run(journal: str, *, own: Sequence[str] = ()) -> int:
    """Replay all streams; 1 when one differs.

    Raises:
        ConfigurationError: the URL or the name of an API of your own is wrong.
        EngineError: the journal cannot be read.
    """
    streams, events, found = trio.run(_replay, apis_named(own), journal)
    for difference in found:
        sys.stdout.write(f"{difference.stream} at version {difference.version}: {difference.reason}\n")
    sys.stdout.write(f"{streams} streams, {events} events, {len(found)} differences\n")
    return 1 if found else 0


async def _replay(apis: Sequence[Api], url: str) -> tuple[int, int, list[Difference]]:
    family = family_of(apis)
    codec = codec_of(apis, family)
    streams = events = 0
    found: list[Difference] = []
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with open_journal(url, read_only=True) as journal:
        total = 0
        after = ""
        while page := await journal.streams(after):
            total, after = total + len(page), page[-1][0]
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("replaying", total=total)
            async for replayed in replay(journal, family, codec):
                streams, events = streams + 1, events + replayed.events
                found += replayed.differences
                progress.advance(bar)
        for fault in await journal.check():
            found.append(Difference("journal", 0, fault))
    return streams, events, found
