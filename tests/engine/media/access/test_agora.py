"""Agora tokens, compared with published vectors and with those of Agora's own package."""

import base64
import importlib
import warnings
import zlib
from typing import Any

import attrs
import pytest

from engine.errors import MediaError
from engine.media.access.agora import UID_MAX
from engine.media.access.port import Seat
from tests.engine.media.access.seats import AGORA, APP_ID, CERTIFICATE, LISTENER, SEAT

ISSUED = 1111111
LIFETIME = 600

# Agora's vector for "join with a numeric uid": the app, channel, uid, time and lifetime above, salt 1.
VECTOR = (
    "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcwMk4yN"
    "3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj"
)


def theirs() -> Any:
    """Agora's module; the package warns of older modules that it imports as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("agoraiotools.AccessToken2")


def payload(token: str) -> bytes:
    """What is deflated in a token; how well it is deflated is the library's affair."""
    assert token.startswith("007")
    return zlib.decompress(base64.b64decode(token[3:], validate=True))


def their_token(seat: Seat, salt: int) -> str:
    agora = theirs()
    token = agora.AccessToken(APP_ID, CERTIFICATE, issue_ts=ISSUED, expire=LIFETIME)
    token._AccessToken__salt = salt
    service = agora.ServiceRtc(seat.room, seat.uid)
    service.add_privilege(service.kPrivilegeJoinChannel, LIFETIME)
    if seat.can_publish:
        service.add_privilege(service.kPrivilegePublishAudioStream, LIFETIME)
        service.add_privilege(service.kPrivilegePublishVideoStream, LIFETIME)
    if seat.can_publish_data:
        service.add_privilege(service.kPrivilegePublishDataStream, LIFETIME)
    token.add_service(service)
    made: str = token.build()
    return made


def test_the_published_vector_is_made_again() -> None:
    token = AGORA.issue(LISTENER, now=ISSUED, seconds=LIFETIME).token
    assert payload(token) == payload(VECTOR)


@pytest.mark.parametrize("publishes", [True, False])
@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize("salt", [1, 99_999_999, 2**32 - 1])
def test_the_bytes_are_those_of_agoras_package(publishes: bool, sends: bool, salt: int) -> None:
    seat = attrs.evolve(SEAT, can_publish=publishes, can_publish_data=sends, room="room {1}", uid=7)
    issuer = attrs.evolve(AGORA, random=lambda size: salt.to_bytes(size, "little"))
    assert issuer.issue(seat, now=ISSUED + 0.9, seconds=LIFETIME).token == their_token(seat, salt)


def test_agora_reads_the_seat_out_of_the_token() -> None:
    agora = theirs()
    read = agora.AccessToken()
    assert read.from_string(AGORA.issue(LISTENER, now=ISSUED, seconds=LIFETIME).token)
    service = read._AccessToken__service[agora.ServiceRtc.kServiceType]
    assert service._Service__privileges == {agora.ServiceRtc.kPrivilegeJoinChannel: LIFETIME}
    assert service._ServiceRtc__channel_name == SEAT.room.encode()
    assert service._ServiceRtc__uid == b"2882341273"


@pytest.mark.parametrize("uid", [1, UID_MAX])
def test_a_uid_is_a_positive_number_of_32_bits(uid: int) -> None:
    assert AGORA.issue(attrs.evolve(SEAT, uid=uid), now=ISSUED, seconds=60).app_id == APP_ID


@pytest.mark.parametrize("uid", [0, -1, UID_MAX + 1])
def test_a_uid_that_is_good_for_everybody_or_too_large_is_refused(uid: int) -> None:
    with pytest.raises(MediaError, match="uid"):
        AGORA.issue(attrs.evolve(SEAT, uid=uid), now=ISSUED, seconds=60)


def test_a_room_that_agora_cannot_name_is_refused() -> None:
    assert AGORA.issue(attrs.evolve(SEAT, room="r" * 63), now=ISSUED, seconds=60).token
    for room in ("r" * 64, "café", "a/b", "a\nb"):
        with pytest.raises(MediaError, match="1 to 63 plain characters"):
            AGORA.issue(attrs.evolve(SEAT, room=room), now=ISSUED, seconds=60)
