"""Seats and issuers that the tests share."""

import attrs

from engine.media.access.agora import AgoraIssuer
from engine.media.access.livekit import LivekitIssuer
from engine.media.access.port import AccessIssuer, Seat
from engine.media.access.twilio import TwilioIssuer

SECRET = "s3cret" * 6
ACCOUNT_SID = "AC" + "0" * 31 + "1"
KEY_SID = "SK" + "0" * 31 + "2"
# The app of Agora's published test vectors; the certificate opens nothing.
APP_ID = "970CA35de60c44645bbae8a215061b33"
CERTIFICATE = "5CFd2fd1755d40ecb72977518be15d3b"


def ones(size: int) -> bytes:
    """Random bytes that are the number 1, little-endian."""
    return (1).to_bytes(size, "little")


SEAT = Seat(
    room="7d72365eb983485397e3e3f9d460bdda",
    identity="ann",
    uid=2882341273,
    name="Ann",
    can_publish=True,
    can_subscribe=True,
    can_publish_data=True,
    is_admin=False,
    metadata='{"hat":"red"}',
)
LISTENER = attrs.evolve(SEAT, can_publish=False, can_publish_data=False)
LIVEKIT = LivekitIssuer(key="devkey", secret=SECRET, url="wss://media.example")
TWILIO = TwilioIssuer(account_sid=ACCOUNT_SID, key=KEY_SID, secret=SECRET, random=ones)
AGORA = AgoraIssuer(app_id=APP_ID, certificate=CERTIFICATE, random=ones)
ISSUERS: list[AccessIssuer] = [LIVEKIT, TWILIO, AGORA]
