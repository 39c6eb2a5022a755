"""Where an embedding program's commands begin, and which call they make."""

from engine.runtime.entry import Entry
from engine.vocabulary import Address, Command, Message
from machines.videochat import vocabulary as v


def _line_of_opponent(command: Command) -> Address:
    assert isinstance(command, v.RequestCall)
    return Address(v.LINE, command.opponent)


def _room(command: Command) -> Address:
    assert isinstance(command, v.InviteUser)
    return Address(v.ROOM, command.videochat_id)


def _ring(message: Message | None) -> Address:
    assert isinstance(message, v.RequestMade)
    return Address(v.RING, message.request_id)


REQUEST = Entry(command=v.RequestCall, to=_line_of_opponent, call=_ring)
"""A direct call: `engine.start(REQUEST, RequestCall(initiator="ann", opponent="bob"))`."""

INVITE = Entry(command=v.InviteUser, to=_room, call=_ring)
"""A third one is called into a videochat."""
