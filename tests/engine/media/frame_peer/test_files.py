"""Sources and sinks by themselves."""

import asyncio
import itertools
from array import array
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av import AudioFrame, VideoFrame

from engine.errors import MediaError
from engine.media.frame_peer.queues import Frame, kind_of
from engine.media.frame_peer.sinks import HELD_FRAMES_MAX, FileSink
from engine.media.frame_peer.sources import CallableSource, FileSource, PatternSource
from engine.media.protocol import Kind


async def given(source: PatternSource) -> Frame:
    frame = await source.next()
    assert frame is not None
    return frame


async def _recorded(sink: FileSink, source: PatternSource, frames: int) -> None:
    for _ in range(frames):
        await sink.take(await given(source))
    await sink.close()
    await sink.close()


def _kinds(path: Path) -> set[str]:
    with av.open(str(path)) as container:
        return {stream.type for stream in container.streams}


def test_a_file_with_sound_only_has_one_track_and_plays_as_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "sound.webm"

    async def main() -> None:
        await _recorded(FileSink(path), PatternSource(kinds=(Kind.AUDIO,)), 20)
        source = FileSource(path)
        assert await source.open() == (Kind.AUDIO,)
        samples = 0
        while (frame := await source.next()) is not None:
            assert isinstance(frame, AudioFrame)
            assert (frame.format.name, frame.layout.name, frame.sample_rate) == ("s16", "stereo", 48_000)
            samples += frame.samples
        await source.close()
        await source.close()
        assert samples >= 18 * 960

    asyncio.run(main())
    assert _kinds(path) == {"audio"}


def test_a_kind_that_comes_too_late_has_no_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"

    async def main() -> None:
        sink = FileSink(path)
        await sink.take(await given(PatternSource(kinds=(Kind.AUDIO,))))
        for _ in range(HELD_FRAMES_MAX[Kind.AUDIO]):
            # The same time again: held, and then left out.
            await sink.take(await given(PatternSource(kinds=(Kind.AUDIO,))))
        late = sink.late
        await sink.take(await given(PatternSource(kinds=(Kind.VIDEO,))))
        assert sink.late == late + 1 >= HELD_FRAMES_MAX[Kind.AUDIO]
        await sink.close()

    asyncio.run(main())
    assert _kinds(path) == {"audio"}


def test_pictures_of_another_size_and_without_a_time_do_not_break_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "sizes.webm"

    async def main() -> None:
        sink = FileSink(path, (Kind.VIDEO,))
        for number, size in enumerate([(33, 17), (64, 48), (33, 17)]):
            frame = VideoFrame(*size, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            await sink.take(frame)
        await sink.take(VideoFrame(16, 16, "yuv420p"))
        await sink.close()
        assert sink.late == 1

    asyncio.run(main())
    with av.open(str(path)) as container:
        sizes = [(one.width, one.height) for one in container.decode(video=0)]
    assert sizes == [(32, 16)] * 3


def test_a_recording_without_a_frame_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "none.webm"
    asyncio.run(FileSink(path).close())
    assert not path.exists()


@pytest.mark.parametrize(("name", "why"), [("x.avi", "webm, .mkv or .mp4"), ("none/x.mp4", "no folder")])
def test_a_recording_that_cannot_be_made_is_refused_at_once(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=why):
        FileSink(tmp_path / name)


def test_a_file_that_is_no_media_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.webm"
    path.write_text("hello")

    async def main() -> None:
        source = FileSource(path)
        with pytest.raises(MediaError, match="the file cannot be used: InvalidDataError"):
            await source.open()
        await source.close()

    asyncio.run(main())


def test_a_file_without_picture_and_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n\n")

    async def main() -> None:
        source = FileSource(path)
        with pytest.raises(MediaError, match="neither picture nor sound"):
            await source.open()
        await source.close()

    asyncio.run(main())


def test_a_pattern_is_in_the_order_of_time() -> None:
    async def main() -> list[Frame]:
        source = PatternSource()
        return [await given(source) for _ in range(70)]

    frames = asyncio.run(main())
    times = [one.pts * one.time_base for one in frames]  # type: ignore[operator] # patterns have both
    assert times == sorted(times)
    assert {kind_of(one) for one in frames} == {*Kind}
    assert any(bytes(one.planes[0]) != bytes(frames[0].planes[0]) for one in frames[1:])


def _sound(form: str = "s16", layout: str = "mono") -> AudioFrame:
    frame = AudioFrame(form, layout, 160)
    frame.pts, frame.time_base, frame.sample_rate = 0, Fraction(1, 8000), 8000
    return frame


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"no frame", "no audio frame"),
        (VideoFrame(16, 16, "yuv420p"), "no audio frame"),
        (AudioFrame("s16", "mono", 160), "without a time"),
        (_sound("fltp"), "not s16"),
        (_sound(layout="5.1"), "not s16"),
    ],
    ids=["octets", "picture", "no time", "floats", "six channels"],
)
def test_a_frame_that_cannot_be_sent_is_refused(frame: Frame, why: str) -> None:
    async def give() -> AsyncIterator[Frame]:
        yield frame

    with pytest.raises(MediaError, match=why):
        asyncio.run(CallableSource(give(), (Kind.AUDIO,)).next())


def test_an_iterator_ends_as_it_ends_and_gives_back_what_it_has_when_it_is_left() -> None:
    left = []

    async def give() -> AsyncIterator[Frame]:
        try:
            yield _sound()
        finally:
            left.append(True)

    async def main() -> None:
        source = CallableSource(give(), (Kind.AUDIO,))
        assert await source.open() == (Kind.AUDIO,)
        assert await source.next()
        assert await source.next() is None
        await source.close()
        source = CallableSource(give(), (Kind.AUDIO,))
        assert await source.next()
        assert left == [True]
        await source.close()
        assert left == [True, True]

    asyncio.run(main())


def test_a_pattern_ends_after_its_seconds() -> None:
    async def main() -> list[Frame]:
        source = PatternSource(seconds=0.5, frames_per_second=10)
        frames = []
        while (frame := await source.next()) is not None:
            frames.append(frame)
        return frames

    kinds = [kind_of(one) for one in asyncio.run(main())]
    assert (kinds.count(Kind.VIDEO), kinds.count(Kind.AUDIO)) == (5, 25)


def test_a_tone_has_the_pitch_that_is_asked_for() -> None:
    async def main() -> bytes:
        source = PatternSource(tone_hz=1000, kinds=(Kind.AUDIO,))
        return bytes((await given(source)).planes[0])[:1920]

    samples = array("h", asyncio.run(main()))
    crossings = sum(before < 0 <= after for before, after in itertools.pairwise(samples))
    assert crossings in (19, 20)


@pytest.mark.parametrize("kinds", [(Kind.AUDIO,), (Kind.VIDEO,), tuple(Kind)], ids=str)
def test_a_file_that_repeats_goes_on_in_time(kinds: tuple[Kind, ...], tmp_path: Path) -> None:
    path = tmp_path / "short.webm"

    async def main() -> list[Frame]:
        await _recorded(FileSink(path), PatternSource(width=32, height=32), 30)
        source = FileSource(path, kinds, loop=True)
        assert await source.open() == kinds
        frames = [await source.next() for _ in range(120)]
        await source.close()
        return [one for one in frames if one is not None]

    frames = asyncio.run(main())
    assert len(frames) == 120
    for kind in kinds:
        times = [one.pts * one.time_base for one in frames if kind_of(one) is kind]  # type: ignore[operator] # they have both
        assert all(before < after for before, after in itertools.pairwise(times))
        assert times[-1] > 1
    assert {kind_of(one) for one in frames} == {*kinds}


def test_a_file_without_a_frame_is_over_even_if_it_is_to_repeat(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    with av.open(str(path), "w") as container:
        container.add_stream("pcm_s16le", rate=48_000)
        container.start_encoding()

    async def main() -> None:
        source = FileSource(path, loop=True)
        await source.open()
        assert await source.next() is None
        await source.close()

    asyncio.run(main())


def test_a_recording_cannot_take_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.webm").mkdir()
    with pytest.raises(MediaError, match="cannot be written"):
        FileSink(tmp_path / "folder.webm")
