"""Agora: AccessToken2, version "007", with the service RTC.

A token is `007` and the base64 of the deflated bytes `signature, app id, issued, lifetime, salt,
services`. Numbers are little-endian, texts and byte strings have their length in 16 bits before them.
The key of the signature is made in two rounds, from the certificate with the time and with the salt.
"""

import base64
import hashlib
import hmac
import re
import struct
import zlib

import attrs

from engine.errors import MediaError
from engine.media.access.port import DAY_SECONDS, RANDOM, Access, Randomness, Seat, check_seat
from engine.vocabulary import length

VERSION = "007"
RTC = 1
JOIN, PUBLISH_AUDIO, PUBLISH_VIDEO, PUBLISH_DATA = 1, 2, 3, 4
UID_MAX = 2**32 - 1

CHANNEL = re.compile(r"[A-Za-z0-9 !#$%&()+\-:;<=.>?@\[\]^_{}|~,]{1,63}")
"""What Agora takes for the name of a channel, which is its word for a room."""


@attrs.frozen(kw_only=True)
class AgoraIssuer:
    """Signs with the certificate of an app.

    A participant is known by the number `uid`. Agora has no right to subscribe, everybody may; and no
    administrators.
    """

    app_id: str
    certificate: str = attrs.field(repr=length)
    random: Randomness = attrs.field(default=RANDOM, repr=False)

    @property
    def engine(self) -> str:
        """The name that goes into `Access.engine`."""
        return "agora"

    def issue(self, seat: Seat, *, now: float, seconds: float) -> Access:
        """A token for `seat`; see the port. Agora takes no token that lives longer than a day."""
        check_seat(self.engine, seat, seconds, DAY_SECONDS)
        if not CHANNEL.fullmatch(seat.room):
            raise MediaError("agora: a room's name is 1 to 63 plain characters")
        if not 1 <= seat.uid <= UID_MAX:
            # 0 is left out of the token, which is then good for every participant.
            raise MediaError(f"agora: a uid is 1 to {UID_MAX}")
        salt = self.random(4)
        token = self._token(seat, int(now), int(seconds), salt)
        return Access(engine=self.engine, app_id=self.app_id, url="", token=token)

    def _token(self, seat: Seat, issued: int, lifetime: int, salt: bytes) -> str:
        times = struct.pack("<II", issued, lifetime)
        body = _text(self.app_id) + times + salt + _number(1) + _service(seat, lifetime)
        key = _digest(salt, _digest(times[:4], self.certificate.encode()))
        packed = zlib.compress(_sized(_digest(key, body)) + body)
        return VERSION + base64.b64encode(packed).decode()


def _service(seat: Seat, lifetime: int) -> bytes:
    privileges = [JOIN]
    if seat.can_publish:
        privileges += [PUBLISH_AUDIO, PUBLISH_VIDEO]
    if seat.can_publish_data:
        privileges.append(PUBLISH_DATA)
    granted = b"".join(struct.pack("<HI", privilege, lifetime) for privilege in privileges)
    return _number(RTC) + _number(len(privileges)) + granted + _text(seat.room) + _text(str(seat.uid))


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _number(number: int) -> bytes:
    return struct.pack("<H", number)


def _sized(data: bytes) -> bytes:
    return _number(len(data)) + data


def _text(text: str) -> bytes:
    return _sized(text.encode())
