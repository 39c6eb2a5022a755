"""Videochat handshake: requested -> accepted / declined -> merged, over a WebSocket.

For embedding: `videochat.REQUEST` and the commands, messages and states of `vocabulary`.
"""

from machines.videochat.entries import INVITE, REQUEST
from machines.videochat.vocabulary import (
    AcceptCall,
    DeclineCall,
    InviteUser,
    MergeCall,
    RequestCall,
    UserCard,
)
from machines.videochat.vocabulary import RingState as State

__all__ = [
    "INVITE",
    "REQUEST",
    "AcceptCall",
    "DeclineCall",
    "InviteUser",
    "MergeCall",
    "RequestCall",
    "State",
    "UserCard",
]
