"""LiveKit: a JWT with a video grant (docs.livekit.io, Authentication)."""

import attrs
import jwt

from engine.media.access.port import Access, Seat, check_seat
from engine.vocabulary import length


@attrs.frozen(kw_only=True)
class LivekitIssuer:
    """Signs with a key of the LiveKit server at `url`. Expiry counts when connecting, not afterwards."""

    key: str
    secret: str = attrs.field(repr=length)
    url: str

    @property
    def engine(self) -> str:
        """The name that goes into `Access.engine`."""
        return "livekit"

    def issue(self, seat: Seat, *, now: float, seconds: float) -> Access:
        """A token for `seat`; see the port."""
        check_seat(self.engine, seat, seconds)
        claims = {
            "iss": self.key,
            "sub": seat.identity,
            "nbf": int(now),
            "exp": int(now + seconds),
            "name": seat.name,
            "metadata": seat.metadata,
            "video": {
                "room": seat.room,
                "roomJoin": True,
                "canPublish": seat.can_publish,
                "canSubscribe": seat.can_subscribe,
                "canPublishData": seat.can_publish_data,
                "roomAdmin": seat.is_admin,
            },
        }
        token = jwt.encode(claims, self.secret, algorithm="HS256")
        return Access(engine=self.engine, app_id="", url=self.url, token=token)
