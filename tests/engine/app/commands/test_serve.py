"""The server as a process: its ready line, its signals, and what it says when it cannot serve."""

import io
import json
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
import trio
import trustme

from engine.app.cli import main
from engine.app.commands.serve import run
from engine.app.users import SqliteUsers, User
from engine.errors import EngineError, MediaError, TransportBrokenError
from engine.transport.http import HttpClient
from engine.transport.websocket import connect
from tests.engine.app.parlour import PARLOUR
from tests.engine.app.process import Running, started, switchhook
from tests.machines.videochat.wiretap import Phone

ANY = "127.0.0.1:0"
OTHER = "stop what listens there, or choose another port (0 takes a free one)"


def ready(server: Running) -> dict[str, Any]:
    line = json.loads(server.line())
    assert isinstance(line, dict)
    return line


async def phone(url: str, user: str, token: str, context: ssl.SSLContext | None = None) -> None:
    """Authenticate, and hang up."""
    async with connect(url, ssl_context=context) as link:
        one = Phone(link, user)
        await one.send("authenticate", {"token": token, "device": "d1"})
        assert (await one.hear("user_info"))["data"]["user"]["id"] == user


async def close_code(user: Phone) -> int | None:
    with trio.fail_after(5):
        while True:
            try:
                await user.link.receive()
            except TransportBrokenError as error:
                return error.code


# -- as a process of its own


@pytest.mark.slow
async def test_users_of_a_development_server_call_each_other_and_the_logs_hold_no_secret(
    tmp_path: Path,
) -> None:
    with started("serve", "--listen", ANY, "--dev", cwd=tmp_path) as server:
        line = ready(server)
        (address,) = line["listening"]
        made_up = line["dev"]["videochat"]
        tokens = made_up["users"]
        assert line["pid"] == server.process.pid
        assert set(tokens) == {"ann", "bob", "eve"}
        url = address.replace("http", "ws") + "/videochat"
        async with connect(url) as one, connect(url) as two, connect(url) as stranger:
            ann, bob = Phone(one, "ann"), Phone(two, "bob")
            for user in (ann, bob):
                await user.send("authenticate", {"token": tokens[user.user], "device": "d1"})
                await user.hear("user_info")
            request = await ann.request("bob")
            await bob.hear("videochatRequested")
            seat = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
            await stranger.send('{"type": "authenticate", "data": {"token": "a wrong one"}}')
            with pytest.raises(TransportBrokenError):
                await stranger.receive()
            server.send(signal.SIGTERM)
            closed = [await close_code(user) for user in (ann, bob)]
        ended = server.end()
    assert closed == [1001, 1001]
    assert ended.status == 0
    assert [one["event"] for one in ended.logs] == ["media_ready", "ready", "stopping"]
    secrets = [*line["dev"]["conference"]["clients"].values()]
    secrets += [*tokens.values(), "a wrong one", seat["data"]["token"], seat["data"]["sharedSecret"]]
    assert not [one for one in (*secrets, made_up["engine"]["secret"]) if one in ended.err]


@pytest.mark.slow
async def test_a_second_signal_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[server]\ngrace_seconds = 3600\nclose_seconds = 3600\n")
    options = ("--journal", "memory:", "--config", "c.toml")
    with started("serve", "--listen", ANY, *options, cwd=tmp_path) as server:
        host, port = ready(server)["listening"][0].removeprefix("http://").split(":")
        # It never reads and never closes, so that the grace alone would go on for an hour.
        with socket.create_connection((host, int(port))) as deaf:
            deaf.sendall(UPGRADE)
            assert deaf.recv(4096).startswith(b"HTTP/1.1 101")
            server.send(signal.SIGINT)
            assert deaf.recv(4096), "1001 has been said, so the first signal was heeded"
            ended = server.stop(signal.SIGTERM)
    assert ended.status == 128 + signal.SIGTERM
    assert [one["event"] for one in ended.logs][-1] == "stopping"


UPGRADE = (
    b"GET /videochat HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.slow
def test_two_servers_cannot_have_one_journal_or_one_port(tmp_path: Path) -> None:
    with started("serve", "--listen", ANY, cwd=tmp_path) as server:
        address = ready(server)["listening"][0].removeprefix("http://")
        second = switchhook("serve", "--listen", ANY, cwd=tmp_path)
        assert second.status == 1
        (line,) = second.lines
        assert line.startswith("switchhook: switchhook.db is owned by another engine (pid ")
        third = switchhook("serve", "--listen", address, "--journal", "memory:", cwd=tmp_path)
        assert third.status == 1
        assert third.lines[-1] == f"switchhook: cannot listen on {address}: Address already in use; {OTHER}"
        assert "Traceback" not in third.err
        assert server.stop(signal.SIGINT).status == 0


@pytest.mark.slow
def test_every_fault_of_the_configuration_is_a_line_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        "[server]\nping_seconds = -1\nspeed = 3\n[videochat]\nring_seconds = 4\nglare = 'maybe'\n"
        "[videochat.engine]\nengine = 'livekit'\nkey = 'k'\nsecret = 'short'\n[phones]\n"
    )
    options = ("--journal", "mysql://x", "--config", "c.toml", "--tls-cert", "none.pem")
    ended = switchhook("serve", "--listen", "nowhere", "--listen", "[::1]:x", *options, cwd=tmp_path)
    assert ended.status == 2
    assert ended.out == ""
    assert [line.split(": ")[1] for line in ended.lines] == [
        "server.ping_seconds",
        "server.speed",
        "videochat.ring_seconds",
        "videochat.glare",
        "videochat.engine.url",
        "videochat.engine.secret",
        "phones",
        "--tls-key",
        "listen",
        "listen",
        "journal",
    ]
    assert "short" not in ended.err
    assert not [path.name for path in tmp_path.iterdir() if path.name != "c.toml"], "nothing was opened"


# -- in this process


class Told(io.StringIO):
    """Standard output that tells when a line has come."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()

    @property
    def text(self) -> str:
        return self.getvalue()

    def flush(self) -> None:
        self.came.set()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Told]:
    """Runs in a folder of its own; what a command configured is forgotten."""
    monkeypatch.chdir(tmp_path)
    yield Told()
    structlog.reset_defaults()


def serve(told: Told, *listen: str, use: Callable[[dict[str, Any]], None], **options: Any) -> int:
    """Serve; when it is ready, `use` it from a thread and send SIGTERM."""
    failed: list[BaseException] = []

    def client() -> None:
        try:
            told.came.wait(10)
            use(json.loads(told.text))
        except BaseException as error:
            failed.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=client)
    thread.start()
    try:
        with redirect_stdout(told):
            status = run(
                list(listen) or [ANY],
                options.pop("journal", "memory:"),
                options.pop("config", None),
                dev=True,
                **options,
            )
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return status


def nothing(_ready: dict[str, Any]) -> None:
    """The server is only started and stopped."""


@pytest.mark.slow
def test_it_serves_by_tls_and_says_so(told: Told, tmp_path: Path) -> None:
    authority = trustme.CA()
    cert = authority.issue_cert("127.0.0.1")
    cert.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for blob in cert.cert_chain_pems:
        blob.write_to_path(str(tmp_path / "cert.pem"), append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def use(line: dict[str, Any]) -> None:
        (address,) = line["listening"]
        assert address.startswith("https://127.0.0.1:")
        token = line["dev"]["videochat"]["users"]["ann"]
        trio.run(phone, address.replace("https", "wss") + "/videochat", "ann", token, context)

    paths = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    assert serve(told, use=use, **paths) == 0


async def healthy(address: str) -> None:
    async with HttpClient() as client:
        answer = await client.request("GET", f"{address}/readyz")
        assert answer.status == 200


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_it_listens_at_several_addresses(told: Told) -> None:
    listen = (ANY, ANY, "[::1]:0") if has_ipv6() else (ANY, ANY)

    def use(line: dict[str, Any]) -> None:
        addresses = line["listening"]
        assert len(set(addresses)) == len(listen)
        assert all(one.startswith(("http://127.0.0.1:", "http://[::1]:")) for one in addresses)
        for one in addresses:
            trio.run(healthy, one)

    assert serve(told, *listen, use=use) == 0


def with_media(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A configuration for an API that needs media."""
    monkeypatch.setattr("engine.app.engine.installed_apis", lambda: [attrs.evolve(PARLOUR, media=True)])
    path = tmp_path / "media.toml"
    path.write_text('[media]\ndriver = "fake"\n')
    return path


@pytest.mark.slow
def test_media_is_opened_before_the_ready_line(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_media(monkeypatch, tmp_path)
    # It is a development server, which a browser beside it must reach.
    monkeypatch.setattr("engine.app.commands.serve.own_address", lambda: "192.0.2.7")
    assert serve(told, use=nothing, config=config) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (ready,) = [line for line in lines if line["event"] == "media_ready"]
    assert (ready["driver"], ready["listening"], ready["port"]) == (
        "fake",
        ["127.0.0.1", "192.0.2.7"],
        0,
    )
    events = [line["event"] for line in lines]
    assert events.index("media_ready") < events.index("ready")


@pytest.mark.slow
def test_a_server_whose_media_cannot_be_opened_ends_before_the_ready_line(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def failing(*_given: Any, **_options: Any) -> AsyncIterator[Any]:
        raise MediaError("no ports")
        yield

    config = with_media(monkeypatch, tmp_path)
    monkeypatch.setattr("engine.media.open.open_media", failing)
    with redirect_stdout(told), pytest.raises(MediaError, match="cannot be opened: no ports"):
        run([ANY], "memory:", config, dev=False)
    assert told.text == ""


@pytest.mark.slow
def test_made_up_users_leave_known_ones_as_they_are(told: Told, tmp_path: Path) -> None:
    users = SqliteUsers(tmp_path / "my calls.db")
    trio.run(users.set, User(id="ann", first_name="Annette"))
    assert serve(told, use=nothing, journal="sqlite:///my%20calls.db") == 0
    names = {user.id: user.first_name for user in trio.run(users.all)}
    users.close()
    assert names == {"ann": "Annette", "bob": "Bob", "eve": "Eve"}
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "my calls.db"


@pytest.mark.slow
def test_a_signal_before_it_is_ready_ends_it_at_once(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.journal.memory import MemoryJournal

    async def timers(journal: MemoryJournal) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await trio.sleep_forever()

    monkeypatch.setattr(MemoryJournal, "timers", timers)
    with redirect_stdout(told):
        assert run([ANY], "memory:", None, dev=False) == 0
    assert told.text == ""


@pytest.mark.parametrize(
    ("journal", "line"),
    [
        ("sqlite:///none/calls.db", "there is no folder none for calls.db; make it first"),
        ("sqlite:///broken.db", "broken.db at version 0: the file is damaged"),
        ("sqlite:///folder", "folder: CantOpenError"),
    ],
)
def test_a_journal_that_cannot_be_had_is_one_error(
    told: Told, tmp_path: Path, journal: str, line: str
) -> None:
    (tmp_path / "broken.db").write_text("no database" * 1000)
    (tmp_path / "folder").mkdir()
    with pytest.raises(EngineError) as caught:
        run([ANY], journal, None, dev=False)
    assert str(caught.value).startswith(line)


def arguments_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["switchhook", *arguments])


@pytest.mark.parametrize(
    ("files", "options", "line"),
    [
        ({}, ("--tls-key", "key.pem"), "--tls-cert: is missing; a certificate and a key go together"),
        (
            {},
            ("--tls-cert", "cert.pem", "--tls-key", "key.pem"),
            "--tls-cert: cert.pem cannot be read: No such file or directory",
        ),
        (
            {"cert.pem": "no certificate", "key.pem": "no key"},
            ("--tls-cert", "cert.pem", "--tls-key", "key.pem"),
            "--tls-cert: cert.pem and key.pem are no PEM certificate with its unencrypted private key",
        ),
        ({}, ("--config", "none.toml"), "none.toml: cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(
    files: dict[str, str],
    options: tuple[str, ...],
    line: str,
    told: Told,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    arguments_of(monkeypatch, "serve", *options)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"switchhook: {line}\n"
