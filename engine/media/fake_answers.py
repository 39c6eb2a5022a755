"""What the fake host answers: SDP that looks right, always the same for the same offer and peer."""

import hashlib
import itertools

from engine.media import protocol as p


def answer_to(request: p.Publish | p.View) -> p.Answered:
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
    port = 10_000 + int(_digest(request.peer_id, 3)) % 50_000
    line = f"candidate:1 1 udp 2130706431 192.0.2.1 {port} typ host"
    ours = tuple(p.Candidate(candidate=each, sdp_mid=mids[0], sdp_m_line_index=0) for each in (line, ""))
    return p.Answered(sdp_answer="\r\n".join(text) + "\r\n", candidates=ours)


def _sections(lines: list[str]) -> list[list[str]]:
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")]
    return [lines[start:end] for start, end in itertools.pairwise([*starts, len(lines)])]


def _attribute(section: list[str], name: str) -> str | None:
    return next((line.partition(":")[2] for line in section if line.startswith(f"a={name}:")), None)


def _answer_section(section: list[str], mid: str, request: p.Publish | p.View) -> list[str]:
    digest = hashlib.sha256(request.peer_id.encode()).hexdigest().upper()
    kept = [line for line in section if line.startswith(("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"))]
    return [
        section[0],
        "c=IN IP4 0.0.0.0",
        "a=recvonly" if isinstance(request, p.Publish) else "a=sendonly",
        f"a=mid:{mid}",
        "a=rtcp-mux",
        f"a=ice-ufrag:{digest[:4]}",
        f"a=ice-pwd:{digest[4:28]}",
        f"a=fingerprint:sha-256 {':'.join(digest[at : at + 2] for at in range(0, 64, 2))}",
        "a=setup:passive",
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
        kind = section[0].removeprefix("m=").split(" ")[0]
        if kind in tuple(p.Kind):
            codec = (_attribute(section, "rtpmap") or "0 PCMU").split(" ")[-1].split("/")[0]
            started.append(
                p.SourceStarted(
                    peer_id=request.peer_id, stream_id=request.stream_id, kind=p.Kind(kind), codec=codec
                )
            )
    return started
