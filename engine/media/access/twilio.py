"""Twilio Video: an access token with a video grant (twilio.com/docs/iam/access-tokens)."""

import attrs
import jwt

from engine.media.access.port import DAY_SECONDS, RANDOM, Access, Randomness, Seat, check_seat
from engine.vocabulary import length

JTI_BYTES = 16


@attrs.frozen(kw_only=True)
class TwilioIssuer:
    """Signs with an API key of an account.

    A Twilio token says who and where, and nothing more: what a seat may do there is not in it, so a
    listener's client is trusted not to publish.
    """

    account_sid: str
    key: str
    """Sid of the API key."""
    secret: str = attrs.field(repr=length)
    random: Randomness = attrs.field(default=RANDOM, repr=False)

    @property
    def engine(self) -> str:
        """The name that goes into `Access.engine`."""
        return "twilio"

    def issue(self, seat: Seat, *, now: float, seconds: float) -> Access:
        """A token for `seat`; see the port. Twilio takes no token that lives longer than a day."""
        check_seat(self.engine, seat, seconds, DAY_SECONDS)
        claims = {
            "jti": f"{self.key}-{self.random(JTI_BYTES).hex()}",
            "iss": self.key,
            "sub": self.account_sid,
            "nbf": int(now),
            "exp": int(now + seconds),
            "grants": {"identity": seat.identity, "video": {"room": seat.room}},
        }
        token = jwt.encode(claims, self.secret, algorithm="HS256", headers={"cty": "twilio-fpa;v=1"})
        return Access(engine=self.engine, app_id="", url="", token=token)
