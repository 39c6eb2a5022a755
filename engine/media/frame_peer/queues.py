"""A bounded queue of frames. Frames that do not fit are lost and counted; nobody waits to put one in."""

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import Self, TypeAlias

from av import AudioFrame, VideoFrame

from engine.media.protocol import Kind

Frame: TypeAlias = AudioFrame | VideoFrame


class WhenFull(StrEnum):
    """Which frame is lost."""

    DROP_OLDEST = "drop_oldest"
    """An old picture is worth less than a new one."""
    DROP_NEWEST = "drop_newest"
    """What is heard goes on without a gap in what waits already."""


POLICY = {Kind.VIDEO: WhenFull.DROP_OLDEST, Kind.AUDIO: WhenFull.DROP_NEWEST}


def kind_of(frame: Frame) -> Kind:
    """What the frame is of."""
    return Kind.VIDEO if isinstance(frame, VideoFrame) else Kind.AUDIO


class FrameQueue:
    """Frames in order of arrival, with a limit for each kind."""

    def __init__(self, maximum: Mapping[Kind, int]) -> None:
        self._maximum = maximum
        self._frames: deque[Frame] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self.taken = dict.fromkeys(Kind, 0)
        """Frames that were put in, those included that were lost later."""
        self.dropped = dict.fromkeys(Kind, 0)
        self.samples = 0
        """Of the sound that was put in."""

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def ended(self) -> bool:
        """Nothing is put in any more; what is inside can still be had."""
        return self._ended

    def put(self, frame: Frame) -> None:
        """Never waits; loses a frame by the policy of its kind."""
        kind = kind_of(frame)
        self.taken[kind] += 1
        if isinstance(frame, AudioFrame):
            self.samples += frame.samples
        if self._ended or not self._has_room(kind):
            self.dropped[kind] += 1
            return
        self._frames.append(frame)
        self._changed.set()

    def _has_room(self, kind: Kind) -> bool:
        same = [one for one in self._frames if kind_of(one) is kind]
        if len(same) < self._maximum[kind]:
            return True
        if POLICY[kind] is WhenFull.DROP_NEWEST:
            return False
        # By identity: frames of PyAV do not compare.
        self._frames = deque(one for one in self._frames if one is not same[0])
        self.dropped[kind] += 1
        return True

    def end(self) -> None:
        """No frame comes after those that wait."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        frame = await self.get()
        if frame is None:
            raise StopAsyncIteration
        return frame

    async def get(self) -> Frame | None:
        """The next one; None at the end."""
        while not self._frames:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._frames.popleft()
