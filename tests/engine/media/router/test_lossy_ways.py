"""Sixty seconds of loss on all four ways, in virtual time, with a viewer that asks as Chromium does."""

import random
import struct
from itertools import pairwise

import attrs
import pytest

from engine.media.router import rtcp
from engine.media.router.rtp import HEADER, extensions_of, payload_of
from engine.media.router.sdp import Track
from tests.engine.media.router.clients import VP8_DELTA
from tests.engine.media.router.test_repair import LATE
from tests.engine.media.router.test_source import VIDEO, begun, packet, rtx

LOSS = 0.05
FRAMES = 1200
STEPS_OF_A_FRAME = 5
STEP_SECONDS = 0.01
TICK_STEPS = 2
ASKS_AGAIN_SECONDS = 0.11
"""Chromium's tenth of a second when it has measured no round trip, and half of its timer's rhythm."""
USUAL_DELAY_SECONDS = 0.015
FREEZE_SECONDS = 0.2
"""Between two pictures, at twenty a second: a hundred and fifty milliseconds more than usual."""
WARM_FRAMES = 60
"""Until the router has seen the loss."""


@attrs.define
class Frame:
    """What the viewer needs to show it."""

    sent_at: float
    last: int
    shown_at: float | None = None


class World:
    """A publisher, the router's source and sink, and a viewer; each datagram may be lost."""

    def __init__(self, track: Track, seed: int) -> None:
        self.scene = begun(track)
        self.first = self.scene.sent.packets[0][1]
        self.now = 1.0
        self.frames: list[Frame] = []
        self.had = {0}
        """By our numbers from the first one on."""
        self.delay = 0.0
        """How late the viewer has heard that it is to play."""
        self._random = random.Random(seed)
        self._next = 1
        self._whole = 0
        self._asked: dict[int, float] = {}
        self._seen = [1, 0, 0]
        self.highest = 0

    def arrives(self) -> bool:
        return self._random.random() >= LOSS

    def run(self) -> None:
        for step in range(FRAMES * STEPS_OF_A_FRAME):
            self.now += STEP_SECONDS
            if step % STEPS_OF_A_FRAME == 0:
                self.publish()
            if step % TICK_STEPS == 0:
                self.scene.source.tick(self.now)
            self.answer()
            self.view()
            self.show()

    def publish(self) -> None:
        for _ in range(self._random.randint(1, 3)):
            if self.arrives():
                plain = packet(100 + self._next, 3000 * (1 + len(self.frames)), VP8_DELTA)
                self.scene.source.take(plain, self.now)
            self._next += 1
        self.frames.append(Frame(self.now, self._next - 1))

    def answer(self) -> None:
        """The publisher sends again what it hears of."""
        for one in self.scene.back.rtcp[self._seen[2] :]:
            numbers = rtcp.asked_again(one) if self.arrives() else ()
            for number in filter(lambda _: self.arrives(), numbers):
                self.scene.source.take_again(rtx(number), self.now)
        self._seen[2] = len(self.scene.back.rtcp)

    def view(self) -> None:
        """The viewer takes what comes, and asks for what is missing."""
        sent = self.scene.sent
        # What tells a delay is sent before the packet that it is a copy of.
        for late in sent.late[self._seen[1] :]:
            self.take_late(*late)
        for _, number, _, _ in sent.packets[self._seen[0] :]:
            self.take(number)
        self._seen[:2] = len(sent.packets), len(sent.late)
        due = [
            number
            for number in range(self._whole, self.highest)
            if number not in self.had and self.now - self._asked.get(number, 0.0) >= ASKS_AGAIN_SECONDS
        ]
        self._asked.update(dict.fromkeys(due, self.now))
        if due and self.arrives():
            self.scene.sink.take_request([(self.first + one) & 0xFFFF for one in due], self.now)

    def take(self, number: int) -> None:
        if self.arrives():
            number = (number - self.first) & 0xFFFF
            self.had.add(number)
            self.highest = max(self.highest, number)

    def take_late(self, ssrc: int, payload_type: int, number: int, timestamp: int, rest: bytes) -> None:
        if payload_type == 96:
            self.take(number)
            return
        # Without its header it begins with what the header goes on with.
        first = 0x90 if rest.startswith(b"\xbe\xde") else 0x80
        whole = HEADER.pack(first, payload_type, number, timestamp, ssrc) + rest
        payload = payload_of(whole)
        assert payload is not None
        before = len(self.had)
        self.take(struct.unpack_from("!H", payload)[0])
        for value in extensions_of(whole).values() if len(self.had) > before else ():
            self.delay = (int.from_bytes(value, "big") >> 12) / 100

    def show(self) -> None:
        while self._whole in self.had:
            self._whole += 1
        for frame in self.frames:
            if frame.shown_at is None and frame.last < self._whole:
                usual = frame.sent_at + max(USUAL_DELAY_SECONDS, self.delay)
                frame.shown_at = max(self.now, usual)

    def freezes(self) -> list[float]:
        """Seconds between two pictures, where that is too long."""
        shown = [one.shown_at for one in self.frames[WARM_FRAMES:-WARM_FRAMES]]
        assert None not in shown, "a packet has not come at all"
        times = [one for one in shown if one is not None]
        steps = (later - sooner for sooner, later in pairwise(times))
        return [seconds for seconds in steps if seconds > FREEZE_SECONDS]


def freezes(track: Track) -> list[float]:
    """Of five minutes."""
    found: list[float] = []
    for seed in range(5):
        world = World(track, seed)
        world.run()
        assert world.scene.source.missing.given_up == 0
        found += world.freezes()
    return found


@pytest.mark.slow
def test_five_percent_of_loss_each_way_freeze_nothing() -> None:
    assert freezes(LATE) == []


@pytest.mark.slow
def test_who_cannot_be_told_to_play_later_sees_freezes() -> None:
    assert len(freezes(VIDEO)) > 5
