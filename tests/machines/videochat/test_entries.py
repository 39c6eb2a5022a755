"""Where a call begins, and which machine is the call."""

from engine.vocabulary import Address
from machines import videochat
from machines.videochat import vocabulary as v


def test_a_direct_call_begins_at_the_line_of_the_opponent() -> None:
    command = videochat.RequestCall(initiator="ann", opponent="bob")
    assert videochat.REQUEST.to(command) == Address(v.LINE, "bob")


def test_an_invitation_begins_at_the_room() -> None:
    command = videochat.InviteUser(videochat_id="talk", inviter="ann", target="eve")
    assert videochat.INVITE.to(command) == Address(v.ROOM, "talk")


def test_the_call_is_the_ring_that_the_answer_names() -> None:
    answer = v.RequestMade(request_id="r1")
    assert videochat.REQUEST.call(answer) == Address(v.RING, "r1")
    assert videochat.INVITE.call(answer) == Address(v.RING, "r1")
