"""The command line: what it imports, what it says, its exit status."""

import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from engine.app.cli import app, main
from engine.errors import ConfigurationError, JournalCorruptError, UnavailableError
from tests.engine.app.process import ROOT, environment, switchhook


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["switchhook", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.slow
def test_the_help_imports_nothing_that_takes_long() -> None:
    program = (
        "import sys; from engine.app.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'trio', 'rich', 'apsw', 'attrs', 'cattrs', 'msgspec', 'httpx', 'structlog', 'machines'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "serve" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_each_command_has_help_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("serve", "demo", "diagram", "check", "events", "replay", "backup", "users add"):
        assert run(monkeypatch, *command.split(), "--help") == 0
        assert "Example" in capsys.readouterr().out


def test_an_unknown_command_is_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fly") == 2
    assert "fly" in capsys.readouterr().err


WRONG = ConfigurationError("listen", "is wrong")
DAMAGED = JournalCorruptError("a", 3, "the checksum\nis wrong")
CLOSED = UnavailableError("closed")


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (WRONG, 2, ["listen: is wrong"]),
        (DAMAGED, 1, ["a at version 3: the checksum is wrong"]),
        (ExceptionGroup("", [ExceptionGroup("", [CLOSED]), CLOSED]), 1, ["closed"]),
        (ExceptionGroup("", [CLOSED, WRONG]), 2, ["closed", "listen: is wrong"]),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), 130, []),
    ],
)
def test_an_error_is_told_in_lines_without_a_traceback(
    error: BaseException,
    status: int,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("engine.app.cli.app", fail)
    assert run(monkeypatch) == status
    assert capsys.readouterr().err == "".join(f"switchhook: {line}\n" for line in lines)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ExceptionGroup("", [CLOSED, LookupError("a bug")])

    monkeypatch.setattr("engine.app.cli.app", fail)
    with pytest.RaisesGroup(UnavailableError, LookupError):
        main()


def test_the_commands_are_those_of_the_manual() -> None:
    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert names == {"serve", "demo", "diagram", "check", "events", "replay", "backup", "bench"}


@pytest.mark.slow
def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ended = switchhook("events", "list", "--journal", "sqlite:///none.db", cwd=tmp_path)
    assert ended.status == 1
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("switchhook: none.db does not exist")


@pytest.mark.parametrize(
    ("arguments", "command", "told"),
    [
        ("serve", "serve.run", ["127.0.0.1:8080"]),
        ("serve --listen a:1 --listen b:2 --dev", "serve.run", ["a:1", "b:2"]),
        ("demo videochat --plain", "demo.run", "videochat"),
        ("diagram videochat.ring --format dot", "diagram.run", "videochat.ring"),
        ("check", "check.run", []),
        ("check videochat shop.calls", "check.run", ["videochat", "shop.calls"]),
        ("events some --follow", "events.run", "some"),
        ("replay sqlite:///a.db", "replay.run", "sqlite:///a.db"),
        ("backup copy.db --journal sqlite:///a.db", "backup.run", Path("copy.db")),
        ("users add ann --journal sqlite:///a.db", "users.add", "sqlite:///a.db"),
        ("users list --journal sqlite:///a.db", "users.list_all", "sqlite:///a.db"),
        ("users token ann --journal sqlite:///a.db", "users.token", "sqlite:///a.db"),
        ("users remove ann --journal sqlite:///a.db", "users.remove", "sqlite:///a.db"),
        ("bench journal", "bench.run", ["journal"]),
    ],
)
@pytest.mark.parametrize("status", [0, 3])
def test_a_command_is_told_its_options_and_its_status_is_the_exit_status(
    arguments: str, command: str, told: object, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[object, ...]] = []

    def record(*values: object, **_options: object) -> int:
        heard.append(values)
        return status

    importlib.import_module(f"engine.app.commands.{command.partition('.')[0]}")
    monkeypatch.setattr(f"engine.app.commands.{command}", record)
    assert run(monkeypatch, *arguments.split()) == status
    assert len(heard) == 1
    assert heard[0][:1] == (told,)


def test_a_version_before_the_first_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "events", "some", "--since", "-1") == 2
    assert "--since" in capsys.readouterr().err


def test_the_version_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"switchhook {version('switchhook')}\n"
