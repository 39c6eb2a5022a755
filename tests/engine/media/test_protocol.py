"""What the protocol's values can do by themselves."""

from engine.media import protocol as p

ANSWER = "v=0\r\nt=0 0\r\nm=audio 9 X 1\r\na=mid:0\r\nm=video 9 X 2\r\na=mid:1\r\n"
CANDIDATES = (p.Candidate(candidate="candidate:1"), p.Candidate(candidate=""))


def test_candidates_go_into_every_section_for_clients_that_do_not_trickle() -> None:
    whole = p.Answered(sdp_answer=ANSWER, candidates=CANDIDATES).with_candidates()
    inside = "a=candidate:1\r\na=end-of-candidates\r\n"
    assert (
        whole == f"v=0\r\nt=0 0\r\nm=audio 9 X 1\r\na=mid:0\r\n{inside}m=video 9 X 2\r\na=mid:1\r\n{inside}"
    )


def test_an_answer_without_sections_stays_as_it_is() -> None:
    assert p.Answered(sdp_answer="v=0\r\n", candidates=CANDIDATES).with_candidates() == "v=0\r\n"


def test_lost_events_stand_for_their_numbers() -> None:
    stalled = p.PeerStalled(peer_id="ann")
    assert p.numbers_of([stalled, p.EventsLost(count=5), stalled]) == 7


def test_an_offer_does_not_print() -> None:
    assert "secret" not in repr(p.View(stream_id="s", peer_id="ann", sdp_offer="secret"))
    assert "secret" not in repr(
        p.Answered(sdp_answer="secret", candidates=(p.Candidate(candidate="secret"),))
    )
