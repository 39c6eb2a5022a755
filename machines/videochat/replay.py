"""What a device without a cursor is told when it comes: open rings, and the endings of the last minutes."""

from engine.effects import Send
from engine.journal.fold import episodes
from engine.runtime.runtime import Runtime
from engine.vocabulary import Address, Event
from machines.videochat import vocabulary as v
from machines.videochat.line import announce, is_terminal, seat_address
from machines.videochat.vocabulary import SeatState

MISSED_SECONDS = 300.0
MISSED_EVENTS_MAX = 256
"""How far back is looked; a line that says more in five minutes is not a person's."""


async def missed_without_cursor(
    runtime: Runtime, user: str, device: str, head: int
) -> list[tuple[int, float, Send]]:
    """(version, UTC seconds, message) up to version `head`, in order.

    A ring is told again while it rings and never after; an ending is told for five minutes; a seat is
    offered again to the device that asked, until it is taken.
    """
    address = Address(v.LINE, user)
    stream = runtime.family.stream_of(address)
    line: v.Line = (await runtime.snapshot(address)).data
    loaded = await runtime.journal.load(stream, max(0, head - MISSED_EVENTS_MAX), snapshot=False)
    told: list[tuple[int, float, Send]] = []
    since = runtime.world.clock() - MISSED_SECONDS
    for episode in episodes(runtime.codec, stream, loaded):
        for version, record in enumerate(episode.records, episode.version):
            if version > head or not await _is_missed(
                runtime, line, device, record.event, episode.at >= since
            ):
                continue
            told += [(version, episode.at, send) for send in announce(address, record.event)]
    return told


async def _is_missed(runtime: Runtime, line: v.Line, device: str, event: Event, recent: bool) -> bool:
    if isinstance(event, v.RingArrived):
        return any(ring.request_id == event.ring.request_id for ring in line.rings)
    if not recent or not is_terminal(event):
        return False
    granted = getattr(event, "grant", None)
    if granted is None:
        return True
    if getattr(event, "device", "") != device:
        return False
    seat = await runtime.snapshot(seat_address(granted.room.videochat_id, line.user))
    return seat.state is SeatState.RESERVED
