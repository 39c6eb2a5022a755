"""The demonstration of conferences: whole, interrupted, and how it judges a recording."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest

from engine.board import INTERRUPTED, Board, UnmetError
from machines.conference import demo
from machines.conference.demo import show
from machines.conference.demo.films import Film
from machines.conference.demo.show import check_film, look_at_recording

DEMO = "import sys; from engine.app.cli import main; sys.argv[1:] = ['demo', 'conference', '--plain']; main()"
PLAYED = Film(pictures=80, shades=40, seconds_of_sound=4.0, tone_hz=440.0)


@pytest.fixture
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of the demonstration are made in here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_two_viewers_record_what_was_published(
    own_temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = demo.run(plain=True, keep=True)
    text = capsys.readouterr().out
    assert status == 0, text
    assert "11 of 11 expectations held" in text
    assert "eve hears ConferenceStreamPublishedEvent, version 3" in text
    (kept,) = own_temporary.iterdir()
    assert {one.name for one in kept.iterdir()} >= {"film.webm", "bob.webm", "eve.webm", "calls.db"}


@pytest.mark.slow
def test_what_does_not_hold_is_summed_up(
    own_temporary: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meet(board: Board, *_: object) -> None:
        with board.expects("they meet"):
            raise UnmetError("nobody comes")

    monkeypatch.setattr(show, "_meet", meet)
    assert demo.run(plain=True) == 1
    text = capsys.readouterr().out
    assert "2 of 3 expectations held" in text
    assert "failed: they meet: nobody comes" in text


@pytest.mark.slow
def test_an_interrupt_ends_it_and_leaves_nothing(own_temporary: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", DEMO],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={"PYTHONPATH": str(Path.cwd()), "TMPDIR": str(own_temporary), "PATH": "/usr/bin:/bin"},
    )
    with running:
        assert running.stdout is not None
        for _ in range(3):
            assert running.stdout.readline().startswith("held")
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == INTERRUPTED
    assert [*own_temporary.iterdir()] == []


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"pictures": 39}, "39 of 80 pictures"),
        ({"shades": 19}, "stands still"),
        ({"seconds_of_sound": 3.1}, "3.1 of 4.0 seconds of sound"),
        ({"tone_hz": 400.0}, "a tone of 400 Hz"),
    ],
)
def test_a_recording_that_lacks_something_is_no_recording(found: dict[str, float], why: str) -> None:
    check_film(PLAYED, PLAYED)
    with pytest.raises(UnmetError, match=why):
        check_film(attrs.evolve(PLAYED, **found), PLAYED)


async def test_a_recording_that_is_not_there_or_no_film_is_unmet(tmp_path: Path) -> None:
    (tmp_path / "text.webm").write_text("no film")
    for name in ("text.webm", "nothing.webm"):
        with pytest.raises(UnmetError, match="cannot be decoded"):
            await look_at_recording(tmp_path / name)
