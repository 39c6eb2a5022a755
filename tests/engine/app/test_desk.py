"""Offers and candidates that wait for their answer."""

import pytest

from engine.app.desk import CANDIDATES_MAX, Desk, Negotiation
from engine.errors import MediaError
from engine.media.protocol import Candidate


async def test_the_first_end_of_a_negotiation_counts() -> None:
    negotiation = Negotiation("offer")
    negotiation.fail(MediaError("first"))
    negotiation.fail(MediaError("second"))
    with pytest.raises(MediaError, match="first"):
        await negotiation.wait_answer()
    answered = Negotiation("offer")
    answered.answer("answer")
    answered.fail(MediaError("late"))
    assert await answered.wait_answer() == "answer"


def test_the_desk_keeps_a_limited_number_of_candidates_and_prints_no_sdp() -> None:
    desk = Desk()
    negotiation = desk.lay("p1", "v=0 ice-pwd:secret")
    for _ in range(3):
        negotiation.keep((Candidate(candidate="c"),) * 90)
    assert len(negotiation.candidates) == CANDIDATES_MAX
    assert "secret" not in repr(negotiation)
    assert desk.get("p1") is negotiation
    desk.clear("p1")
    desk.clear("p1")
    assert (desk.get("p1"), len(desk)) == (None, 0)
