"""The client half of the conference API: join, publish, view, record, follow events."""

from machines.conference.client.client import ConferenceClient, Events, Seat, open_conference_client
from machines.conference.client.errors import (
    ConferenceOverError,
    ConferenceRefusedError,
    FeedFailedError,
    TokenRefusedError,
)
from machines.conference.client.events import Resumed, SentEvent

__all__ = [
    "ConferenceClient",
    "ConferenceOverError",
    "ConferenceRefusedError",
    "Events",
    "FeedFailedError",
    "Resumed",
    "Seat",
    "SentEvent",
    "TokenRefusedError",
    "open_conference_client",
]
