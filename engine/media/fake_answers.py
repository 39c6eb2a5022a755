"""What the fake host answers: SDP that looks right, always the same for the same offer and peer."""

import hashlib
import itertools

from engine.media import protocol as p
from engine.media.frame_parts import kinds_of

_CODECS = {p.Kind.AUDIO: "111 opus/48000/2", p.Kind.VIDEO: "96 VP8/90000"}


def offer_of(request: p.OpenFramePeer) -> p.Offered:
    """An offer with a section for each kind that is sent or received."""
    kinds = [kind for kind in p.Kind if _direction(request, kind) != "inactive"]
    text = ["v=0", f"o=- {_digest(request.peer_id, 15)} 1 IN IP4 0.0.0.0", "s=-", "t=0 0"]
    text.append(f"a=group:BUNDLE {' '.join(kinds)}")
    for kind in kinds:
        number, _, name = _CODECS[kind].partition(" ")
        section = [f"m={kind} 9 UDP/TLS/RTP/SAVPF {number}", f"a=rtpmap:{number} {name}"]
        text += _described(section, kind, request.peer_id, _direction(request, kind), "actpass")
    candidates = _candidates(request.peer_id, kinds[0])
    return p.Offered(sdp_offer="\r\n".join(text) + "\r\n", candidates=candidates)


def _direction(request: p.FramePeerRequest, kind: str) -> str:
    sends = request.send is not None and kind in kinds_of(request.send)
    receives = request.receive is not None and kind in kinds_of(request.receive)
    return ("sendrecv" if receives else "sendonly") if sends else "recvonly" if receives else "inactive"


def answer_to(request: p.Publish | p.View | p.AnswerFramePeer) -> p.Answered:
    """An answer with the offer's sections, and secrets that are drawn from the peer's id.

    Raises:
        BadOfferError: it is not an offer with media.
    """
    lines = request.sdp_offer.replace("\r\n", "\n").split("\n")
    if lines[0] != "v=0":
        raise p.BadOfferError("it does not begin with v=0")
    sections = _sections(lines)
    if not sections:
        raise p.BadOfferError("it has no media")
    mids = [_attribute(section, "mid") or str(index) for index, section in enumerate(sections)]
    text = ["v=0", f"o=- {_digest(request.peer_id, 15)} 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite"]
    text.append(f"a=group:BUNDLE {' '.join(mids)}")
    for section, mid in zip(sections, mids, strict=True):
        text += _answer_section(section, mid, request)
    candidates = _candidates(request.peer_id, mids[0])
    return p.Answered(sdp_answer="\r\n".join(text) + "\r\n", candidates=candidates)


def _candidates(peer_id: str, mid: str) -> tuple[p.Candidate, ...]:
    port = 10_000 + int(_digest(peer_id, 3)) % 50_000
    line = f"candidate:1 1 udp 2130706431 192.0.2.1 {port} typ host"
    return tuple(p.Candidate(candidate=each, sdp_mid=mid, sdp_m_line_index=0) for each in (line, ""))


def _sections(lines: list[str]) -> list[list[str]]:
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")]
    return [lines[start:end] for start, end in itertools.pairwise([*starts, len(lines)])]


def _kind(section: list[str]) -> str:
    return section[0].removeprefix("m=").split(" ")[0]


def _attribute(section: list[str], name: str) -> str | None:
    return next((line.partition(":")[2] for line in section if line.startswith(f"a={name}:")), None)


def _answer_section(
    section: list[str], mid: str, request: p.Publish | p.View | p.AnswerFramePeer
) -> list[str]:
    if isinstance(request, p.FramePeerRequest):
        direction = _direction(request, _kind(section))
    else:
        direction = "recvonly" if isinstance(request, p.Publish) else "sendonly"
    return _described(section, mid, request.peer_id, direction, "passive")


def _described(section: list[str], mid: str, peer_id: str, direction: str, setup: str) -> list[str]:
    digest = hashlib.sha256(peer_id.encode()).hexdigest().upper()
    kept = [line for line in section if line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"))]
    return [
        section[0],
        "c=IN IP4 0.0.0.0",
        f"a={direction}",
        f"a=mid:{mid}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{digest[:4]}",
        f"a=ice-pwd:{digest[4:28]}",
        f"a=fingerprint:sha-256 {':'.join(digest[at : at + 2] for at in range(0, 64, 2))}",
        f"a=setup:{setup}",
        *kept,
    ]


def _digest(text: str, digits: int) -> str:
    """Decimal digits that are always the same for the same text."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return str(10 ** (digits - 1) + number % (9 * 10 ** (digits - 1)))


def sources_of(request: p.Publish) -> list[p.SourceStarted]:
    """One for each audio and video section of the offer, with the codec it names first."""
    started = []
    for section in _sections(request.sdp_offer.replace("\r\n", "\n").split("\n")):
        kind = _kind(section)
        if kind in tuple(p.Kind):
            codec = (_attribute(section, "rtpmap") or "0 PCMU").split(" ")[-1].split("/")[0]
            started.append(
                p.SourceStarted(
                    peer_id=request.peer_id, stream_id=request.stream_id, kind=p.Kind(kind), codec=codec
                )
            )
    return started
