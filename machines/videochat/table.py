"""The family of the videochat handshake: ring, line, room and seat step as one."""

from engine.machine.family import Kind
from machines.videochat import line, ring, room, seat
from machines.videochat import vocabulary as v


def _stream_of_seat(key: str) -> str:
    """A seat lives in the stream of its room."""
    return f"{v.ROOM}:{key.partition('/')[0]}"


KINDS = (
    Kind(name=v.RING, table=ring.TABLE, indexed=True),
    Kind(name=v.LINE, table=line.TABLE, announce=line.announce),
    Kind(name=v.ROOM, table=room.TABLE, indexed=True),
    Kind(name=v.SEAT, table=seat.TABLE, stream=_stream_of_seat),
)
