"""Films of the demonstration: one that is made on the spot, and recordings that are looked at."""

from fractions import Fraction
from math import pi, sin
from pathlib import Path

import attrs
import av
from av import AudioFrame, VideoFrame

SECONDS = 4
WIDTH, HEIGHT, FRAMES_PER_SECOND = 320, 240, 20
TONE_HZ, RATE_HZ, SAMPLES = 440, 48_000, 960
"""The tone, and the sound that has it: 20 ms a frame."""
LOUDNESS = 8_000
MIDDLE = 128
"""Of a colour channel without colour."""


@attrs.frozen(kw_only=True)
class Film:
    """What a file has."""

    pictures: int
    shades: int
    """Different brightnesses among the pictures: a picture that stands still has one."""
    seconds_of_sound: float
    tone_hz: float
    """How often the sound crosses zero, halved; 0 when there is none."""


def make_film(path: Path) -> Film:
    """Make a film with a tone, whose pictures grow brighter."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx", rate=FRAMES_PER_SECOND)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"deadline": "realtime", "cpu-used": "8"}
        audio = container.add_stream("libopus", rate=RATE_HZ)
        for number in range(SECONDS * FRAMES_PER_SECOND):
            container.mux(video.encode(_picture(number)))
        for number in range(SECONDS * RATE_HZ // SAMPLES):
            container.mux(audio.encode(_sound(number)))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return look_at(path)


def look_at(path: Path) -> Film:
    """Decode a file to its end.

    Raises:
        av.error.FFmpegError: it cannot be decoded.
    """
    pictures, shades = 0, set[int]()
    samples = crossings = 0
    before = False
    with av.open(str(path)) as container:
        for frame in container.decode():
            if isinstance(frame, VideoFrame):
                pictures += 1
                shades.add(bytes(frame.reformat(format="gray").planes[0])[0] // 4)
            elif isinstance(frame, AudioFrame):
                for value in _samples_of(frame):
                    samples += 1
                    crossings += (value > 0) is not before
                    before = value > 0
    seconds = samples / RATE_HZ
    tone_hz = crossings / 2 / seconds if seconds else 0.0
    return Film(pictures=pictures, shades=len(shades), seconds_of_sound=seconds, tone_hz=tone_hz)


def _picture(number: int) -> VideoFrame:
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    shade = 32 + 2 * number % 192
    for plane, value in zip(frame.planes, (shade, MIDDLE, MIDDLE), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
    return frame


def _sound(number: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
    first = number * SAMPLES
    values = (round(LOUDNESS * sin(2 * pi * TONE_HZ * at / RATE_HZ)) for at in range(first, first + SAMPLES))
    frame.planes[0].update(b"".join(value.to_bytes(2, "little", signed=True) for value in values))
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, first, Fraction(1, RATE_HZ)
    return frame


def _samples_of(frame: AudioFrame) -> memoryview:
    """Of the first channel."""
    (mono,) = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ).resample(frame)
    return memoryview(bytes(mono.planes[0])[: mono.samples * 2]).cast("h")
