"""The desk: where offers wait for the media host and answers for the client, outside of the journal."""

import attrs
import trio

from engine.media.protocol import Candidate
from engine.vocabulary import length

CANDIDATES_MAX = 200
"""Candidates that wait for one answer; a client with many networks finds about 40."""


@attrs.define(eq=False)
class Negotiation:
    """One offer on its way to its answer."""

    sdp_offer: str = attrs.field(repr=length)
    candidates: list[Candidate] = attrs.field(factory=list, repr=False)
    """What came before the answer, in its order."""
    sdp_answer: str = attrs.field(default="", repr=length)
    failure: Exception | None = None
    _settled: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    def answer(self, sdp_answer: str) -> None:
        """The media host has answered, and the journal knows it."""
        self.sdp_answer = sdp_answer
        self._settled.set()

    def fail(self, failure: Exception) -> None:
        """There will be no answer; the first reason counts."""
        if not self._settled.is_set():
            self.failure = failure
            self._settled.set()

    async def wait_answer(self) -> str:
        """The answer's SDP.

        Raises:
            EngineError: there is none, as `failure` says; a MediaError is about the offer or the media host.
        """
        await self._settled.wait()
        if self.failure is not None:
            raise self.failure
        return self.sdp_answer

    def keep(self, candidates: tuple[Candidate, ...]) -> None:
        """Keep candidates until the peer is there; what is too much is dropped, because ICE needs none."""
        self.candidates += candidates[: CANDIDATES_MAX - len(self.candidates)]


class Desk:
    """Negotiations by the id of their peer. Whoever lays one takes it away."""

    def __init__(self) -> None:
        self._negotiations: dict[str, Negotiation] = {}

    def __len__(self) -> int:
        return len(self._negotiations)

    def lay(self, peer_id: str, sdp_offer: str) -> Negotiation:
        """Put an offer where the performer finds it."""
        negotiation = self._negotiations[peer_id] = Negotiation(sdp_offer)
        return negotiation

    def get(self, peer_id: str) -> Negotiation | None:
        """The negotiation, unless it is over or was another engine's."""
        return self._negotiations.get(peer_id)

    def clear(self, peer_id: str) -> None:
        """Nobody waits for it any more."""
        self._negotiations.pop(peer_id, None)
