"""`switchhook events`: what the journal says happened."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
import trio

from engine.app.api import Api
from engine.app.engine import codec_of, family_of
from engine.app.lines import line_of, shown
from engine.app.lookup import apis_named
from engine.codec.records import RecordCodec
from engine.errors import ConfigurationError
from engine.journal.fold import Episode, episodes
from engine.journal.opening import open_journal
from engine.journal.port import Journal
from engine.machine.sequence import Arrow, sequence_diagram

LOOK_AGAIN_SECONDS = 0.5
"""Another process writes the journal; it cannot wake us."""

_FORMS = ("text", "json", "mermaid")


def run(stream: str, journal: str, *, follow: bool, since: int, form: str, own: Sequence[str] = ()) -> int:
    """Print a stream; 1 when it does not exist.

    Raises:
        ConfigurationError: the URL, the form or the name of an API of your own is wrong.
        EngineError: the journal cannot be read.
    """
    if form not in _FORMS:
        raise ConfigurationError("--format", f"must be one of {', '.join(_FORMS)}")
    if follow and form == "mermaid":
        raise ConfigurationError("--follow", "a diagram has an end; use text or json")
    apis = apis_named(own)
    try:
        return trio.run(_print, apis, stream, journal, follow, since, form)
    except KeyboardInterrupt:
        return 0


async def _print(apis: Sequence[Api], stream: str, url: str, follow: bool, since: int, form: str) -> int:
    codec = codec_of(apis, family_of(apis))
    async with open_journal(url, read_only=True) as journal:
        if stream == "list":
            await _list(journal)
            return 0
        cursor, seen = since, False
        while True:
            loaded = await journal.load(stream, cursor, snapshot=False)
            found = [*episodes(codec, stream, loaded)]
            seen = seen or bool(found)
            cursor = max(cursor, loaded.head)
            sys.stdout.write(_written(found, codec, form))
            sys.stdout.flush()
            if not follow:
                break
            await trio.sleep(LOOK_AGAIN_SECONDS)
    if not seen and not since:
        sys.stderr.write(f"switchhook: no stream {stream}; `switchhook events list` names them\n")
        return 1
    return 0


async def _list(journal: Journal) -> None:
    after = ""
    while page := await journal.streams(after):
        for name, head in page:
            sys.stdout.write(f"{head:>8}  {name}\n")
        after = page[-1][0]


def _written(found: list[Episode], codec: RecordCodec, form: str) -> str:
    if form == "mermaid":
        return sequence_diagram(arrow for episode in found for arrow in arrows_of(episode))
    return "".join(_lines(found, codec, form))


def arrows_of(episode: Episode) -> Iterator[Arrow]:
    """The episode as arrows of a sequence diagram: the command comes in, the events stand beside it."""
    member = f"{episode.member.kind.rpartition('.')[2]} {episode.member.key}"
    says = ", ".join(type(record.event).__name__ for record in episode.records)
    sender = getattr(episode.cause, "sender", None) or getattr(episode.cause, "initiator", None)
    name = type(episode.cause).__name__ if episode.cause is not None else "restart"
    state = episode.records[-1].state
    yield Arrow(sender if isinstance(sender, str) else "engine", member, name, note=f"{says}: {state}")


def _lines(found: list[Episode], codec: RecordCodec, form: str) -> Iterator[str]:
    for episode in found:
        for version, record in enumerate(episode.records, episode.version):
            when = datetime.fromtimestamp(episode.at, UTC).isoformat(timespec="milliseconds")
            if form == "json":
                line = {
                    "version": version,
                    "at": when,
                    "member": str(record.member),
                    "state": record.state,
                    "event": codec.tag_of(type(record.event)),
                    "fields": shown(record.event),
                    "cause": type(record.cause).__name__ if record.cause is not None else None,
                }
                yield msgspec.json.encode(line).decode() + "\n"
            else:
                cause = f"  <- {type(record.cause).__name__}" if record.cause is not None else ""
                said = line_of(record.event)
                yield f"{version:>6}  {when}  {record.member}  {record.state}  {said}{cause}\n"
