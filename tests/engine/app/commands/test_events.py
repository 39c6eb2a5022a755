"""What the journal says happened, as people read it."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.app.commands.events import run
from engine.errors import ConfigurationError, UnavailableError
from engine.transport.websocket import connect
from tests.engine.app.process import started
from tests.machines.videochat.wiretap import Phone

RING = "videochat.ring:"
ROOM = "videochat.room:"


def streams(journal: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run("list", journal, follow=False, since=0, form="text") == 0
    return [line.split()[1] for line in capsys.readouterr().out.splitlines()]


def test_the_streams_are_listed_with_their_heads(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = streams(journal, capsys)
    assert {"videochat.line:ann", "videochat.line:bob"} < set(names)
    assert names == sorted(names)


def test_a_stream_is_told_line_by_line_and_its_secrets_by_their_length(
    journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in streams(journal, capsys):
        assert run(name, journal, follow=False, since=0, form="text") == 0
        out = capsys.readouterr().out
        assert [int(line.split()[0]) for line in out.splitlines()] == [*range(1, out.count("\n") + 1)]
    ring = next(name for name in streams(journal, capsys) if name.startswith(RING))
    assert run(ring, journal, follow=False, since=1, form="text") == 0
    (line,) = capsys.readouterr().out.splitlines()
    version, _, rest = line.split(maxsplit=2)
    said, _, cause = rest.partition("  <- ")
    assert (version, cause) == ("2", "AcceptCall")
    room = next(name for name in streams(journal, capsys) if name.startswith(ROOM)).removeprefix(ROOM)
    assert said == f"{ring}  ACCEPTED  RingAccepted device=phone videochat_id={room}"
    assert run(f"{ROOM}{room}", journal, follow=False, since=0, form="text") == 0
    assert "card.shared_secret=<64 characters> owner.id=ann" in capsys.readouterr().out


def test_json_is_one_object_an_event(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    ring = next(name for name in streams(journal, capsys) if name.startswith(RING))
    assert run(ring, journal, follow=False, since=1, form="json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["version"] == 2
    assert {line["member"] for line in lines} == {ring}
    assert lines[0]["cause"] == "AcceptCall"
    assert set(lines[0]) == {"version", "at", "member", "state", "event", "fields", "cause"}


def test_a_diagram_shows_who_commanded_whom(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    ring = next(name for name in streams(journal, capsys) if name.startswith(RING))
    assert run(ring, journal, follow=False, since=0, form="mermaid") == 0
    out = capsys.readouterr().out
    assert out.startswith("sequenceDiagram")
    assert "AcceptCall" in out


def test_a_stream_that_does_not_exist_is_status_1(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nobody", journal, follow=False, since=0, form="text") == 1
    assert "no stream nobody" in capsys.readouterr().err


def test_nothing_new_is_no_failure(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("videochat.line:bob", journal, follow=False, since=10_000, form="text") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("journal_url", "follow", "form"),
    [("sqlite:///x.db", False, "yaml"), ("sqlite:///x.db", True, "mermaid"), ("memory:", False, "text")],
)
def test_what_makes_no_sense_is_a_configuration_error(journal_url: str, follow: bool, form: str) -> None:
    with pytest.raises(ConfigurationError):
        run("a", journal_url, follow=follow, since=0, form=form)


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnavailableError):
        run("a", "sqlite:///x.db", follow=False, since=0, form="text")
    assert not [*tmp_path.iterdir()]


async def ring_bob(line: dict[str, Any]) -> None:
    """Ann rings Bob at a development server."""
    url = line["listening"][0].replace("http", "ws") + "/videochat"
    async with connect(url) as one, connect(url) as two:
        ann, bob = Phone(one, "ann"), Phone(two, "bob")
        for phone in (ann, bob):
            await phone.send("authenticate", {"token": line["dev"]["videochat"]["users"][phone.user]})
            await phone.hear("user_info")
        await ann.request("bob")
        await bob.hear("videochatRequested")


@pytest.mark.slow
def test_following_goes_on_beside_a_running_server_until_interrupted(tmp_path: Path) -> None:
    serve = ("serve", "--listen", "127.0.0.1:0", "--dev", "--journal", "sqlite:///calls.db")
    watch = ("events", "videochat.line:bob", "--journal", "sqlite:///calls.db", "--follow")
    with started(*serve, cwd=tmp_path) as server:
        line = json.loads(server.line())
        with started(*watch, cwd=tmp_path) as events:
            trio.run(ring_bob, line)
            first = events.line()
            ended = events.stop(signal.SIGINT)
        assert server.stop().status == 0
    assert "videochat.line:bob" in first
    assert (ended.status, ended.err) == (0, "")
