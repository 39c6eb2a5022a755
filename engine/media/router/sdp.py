"""From an offer to a plan of what flows, and from the plan to the answer. Pure.

One m-line of a kind is used, with one codec; every other m-line is answered with port zero. The answer is
that of an ICE-lite agent and always passive, because the DTLS server chooses the SRTP profile (AES-GCM).
"""

import string
from collections.abc import Iterator, Mapping, Sequence

import attrs

from engine.media.protocol import BadOfferError, Kind, NoCommonCodecError
from engine.media.router.offer import Codec, Offer, Section, read_offer

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID_URI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_URI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
"""Three octets: the least and the most delay, twelve bits each, in steps of ten milliseconds."""
_SHORT_IDS = range(1, 15)
"""Of header extensions in the one-byte form (RFC 8285 section 4.2)."""
VIDEO_CODECS = ("VP8", "VP9", "H264", "AV1")
_FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb")
_FEEDBACK_OF_SOUND = ("nack",)
"""Browsers can do it, but offer it only when their page says so."""
_PROTOCOLS = ("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVP")
_MSID_CHARACTERS = frozenset("!#$%&'*+-.^_`{|}~" + string.ascii_letters + string.digits)


@attrs.frozen(kw_only=True)
class Track:
    """One m-line that media flows through."""

    index: int
    kind: Kind
    mid: str
    codec: Codec
    rtx_payload_type: int | None
    feedback: tuple[str, ...]
    layers: tuple[str, ...] = ()
    mid_extension: int | None = None
    rid_extension: int | None = None
    repaired_rid_extension: int | None = None
    ssrc: int | None = None
    """Of a publisher: what the offer says it will be, if it does."""
    rtx_ssrc: int | None = None
    delay_extension: int | None = None
    """Of a viewer with RTX: by what we may tell it how late to play."""


@attrs.frozen(kw_only=True)
class Plan:
    """What of an offer is used."""

    offer: Offer = attrs.field(repr=False)
    tracks: tuple[Track, ...]
    """At most one of a kind, in the order of their m-lines; never empty."""
    ufrag: str = attrs.field(repr=False)
    fingerprints: tuple[tuple[str, str], ...] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Local:
    """What an answer says about us."""

    session_id: int
    ufrag: str = attrs.field(repr=False)
    password: str = attrs.field(repr=False)
    fingerprint: str


@attrs.frozen(kw_only=True)
class Outgoing:
    """What a viewer's m-line will carry."""

    ssrc: int
    rtx_ssrc: int
    cname: str
    stream_id: str


def plan_publish(text: str, video_codecs: Sequence[str] = VIDEO_CODECS) -> Plan:
    """What to take of a publisher's offer; `video_codecs` are wanted in this order.

    Raises:
        BadOfferError: the offer cannot be used.
    """
    offer = read_offer(text)
    tracks: dict[Kind, Track] = {}
    for index, section in enumerate(offer.sections):
        kind = _usable_kind(section, "sendrecv", "sendonly")
        if kind is None or kind in tracks:
            continue
        codec = _wanted(section.codecs, kind, video_codecs)
        if codec is not None:
            tracks[kind] = _incoming(index, kind, section, codec)
    if not tracks:
        raise BadOfferError("the offer sends no media that we can take")
    return _checked(offer, tuple(tracks.values()))


def plan_view(text: str, published: Mapping[Kind, Codec]) -> Plan:
    """What to give to a viewer of a stream with the codecs `published`.

    Raises:
        BadOfferError: the offer cannot be used.
        NoCommonCodecError: it wants a kind that is there, but not in the codec that it is in.
    """
    offer = read_offer(text)
    tracks: dict[Kind, Track] = {}
    strange = False
    for index, section in enumerate(offer.sections):
        kind = _usable_kind(section, "sendrecv", "recvonly")
        if kind is None or kind in tracks or kind not in published:
            continue
        codec = _same(section.codecs, published[kind])
        strange |= codec is None
        if codec is not None:
            tracks[kind] = _outgoing(index, kind, section, codec)
    if strange and len(tracks) < len(published):
        raise NoCommonCodecError("the offer cannot receive a codec that the stream is in")
    if not tracks:
        raise BadOfferError("the offer receives no media that the stream has")
    return _checked(offer, tuple(tracks.values()))


def _usable_kind(section: Section, *directions: str) -> Kind | None:
    if section.kind not in ("audio", "video") or not section.enabled or section.direction not in directions:
        return None
    return Kind(section.kind) if section.protocol in _PROTOCOLS else None


def _checked(offer: Offer, tracks: tuple[Track, ...]) -> Plan:
    used = [offer.sections[track.index] for track in tracks]
    first = used[0]
    if offer.lite:
        raise BadOfferError("both sides are ICE-lite")
    if len(used) > 1 and not all(one.mid and one.mid in offer.bundle for one in used):
        raise BadOfferError("the media are not in one BUNDLE group")
    if not all(one.multiplexed for one in used):
        raise BadOfferError("the media do without rtcp-mux")
    if not all(one.setup in ("actpass", "active") for one in used):
        raise BadOfferError("the offer does not let us be passive in DTLS")
    if not first.ufrag:
        raise BadOfferError("the offer has no ICE user fragment that can be used")
    if not first.fingerprints:
        raise BadOfferError("the offer has no fingerprint that can be used")
    return Plan(offer=offer, tracks=tracks, ufrag=first.ufrag, fingerprints=first.fingerprints)


# -- codecs


def _wanted(codecs: Sequence[Codec], kind: Kind, video_codecs: Sequence[str]) -> Codec | None:
    if kind is Kind.AUDIO:
        return next(filter(_is_opus, codecs), None)
    for name in video_codecs:
        same = [one for one in codecs if _video_name(one) == name.upper()]
        if same:
            return min(same, key=_strangeness)
    return None


def _is_opus(codec: Codec) -> bool:
    return codec.name.lower() == "opus" and codec.clock_rate == 48000 and codec.channels == 2


def _video_name(codec: Codec) -> str | None:
    name = codec.name.upper()
    return name if name in VIDEO_CODECS and codec.clock_rate == 90000 else None


def codec_name(codec: Codec) -> str:
    """In the spelling of the registry."""
    return codec.name.upper() if _video_name(codec) else codec.name.lower()


def _strangeness(codec: Codec) -> int:
    """Of two variants of a codec, more viewers can decode the one with less of it."""
    name = codec.name.upper()
    if name == "H264":
        baseline = codec.parameter("profile-level-id", "42000a").startswith("42e0")
        return 2 * (codec.parameter("packetization-mode", "0") != "1") + (not baseline)
    return 0 if _profile(codec) == "0" else 1


def _profile(codec: Codec) -> str:
    """What a decoder must be made for; equal in both offers when one can play what the other sends."""
    name = codec.name.upper()
    if name == "H264":
        return codec.parameter("profile-level-id", "42000a")[:4] + codec.parameter("packetization-mode", "0")
    parameter = {"VP9": "profile-id", "AV1": "profile"}.get(name)
    return codec.parameter(parameter, "0") if parameter else "0"


def _same(codecs: Sequence[Codec], published: Codec) -> Codec | None:
    same = (one for one in codecs if codec_name(one) == codec_name(published))
    return next((one for one in same if _profile(one) == _profile(published)), None)


def _rtx(codecs: Sequence[Codec], codec: Codec) -> int | None:
    of_codec = (
        one.payload_type
        for one in codecs
        if one.name.lower() == "rtx" and one.parameter("apt") == str(codec.payload_type)
    )
    return next(of_codec, None)


def _feedback(kind: Kind, codec: Codec) -> tuple[str, ...]:
    ours = _FEEDBACK if kind is Kind.VIDEO else _FEEDBACK_OF_SOUND
    return tuple(one for one in ours if one in codec.feedback)


def _outgoing(index: int, kind: Kind, section: Section, codec: Codec) -> Track:
    rtx, delay = _rtx(section.codecs, codec), section.extensions.get(PLAYOUT_DELAY_URI)
    tellable = kind is Kind.VIDEO and rtx is not None and delay in _SHORT_IDS
    return Track(
        index=index,
        kind=kind,
        mid=section.mid,
        codec=codec,
        rtx_payload_type=rtx,
        feedback=_feedback(kind, codec),
        delay_extension=delay if tellable else None,
    )


def _incoming(index: int, kind: Kind, section: Section, codec: Codec) -> Track:
    extensions, rtx = section.extensions, _rtx(section.codecs, codec)
    # Without the extension no packet says which layer it is of, and the first layer is what we get.
    layers = section.layers if kind is Kind.VIDEO and RID_URI in extensions else ()
    return Track(
        index=index,
        kind=kind,
        mid=section.mid,
        codec=codec,
        rtx_payload_type=rtx,
        feedback=_feedback(kind, codec),
        layers=layers,
        mid_extension=extensions.get(MID_URI),
        rid_extension=extensions[RID_URI] if layers else None,
        repaired_rid_extension=extensions.get(REPAIRED_RID_URI) if layers else None,
        ssrc=None if layers else section.ssrc,
        rtx_ssrc=None if layers or rtx is None else section.rtx_ssrc,
    )


# -- the answer


def write_answer(plan: Plan, local: Local, outgoing: Mapping[Kind, Outgoing] | None = None) -> str:
    """The answer, without candidates. With `outgoing` it sends (to a viewer), without it receives."""
    by_index = {track.index: track for track in plan.tracks}
    lines = [
        "v=0",
        f"o=- {local.session_id} 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=extmap-allow-mixed",
        "a=msid-semantic:WMS *",
    ]
    mids = [track.mid for track in plan.tracks if track.mid in plan.offer.bundle]
    lines += [f"a=group:BUNDLE {' '.join(mids)}"] if mids else []
    for index, section in enumerate(plan.offer.sections):
        track = by_index.get(index)
        if track is None:
            lines += _rejected(section)
        elif outgoing is None:
            lines += _received(track)
        else:
            lines += _sent(track, outgoing[track.kind])
        # A rejected section needs none of it, but aiortc as a client insists on it in every one.
        lines += _transport(local)
    return "\r\n".join(lines) + "\r\n"


def _transport(local: Local) -> Iterator[str]:
    yield f"a=ice-ufrag:{local.ufrag}"
    yield f"a=ice-pwd:{local.password}"
    yield f"a=fingerprint:{local.fingerprint}"
    yield "a=setup:passive"


def _rejected(section: Section) -> Iterator[str]:
    yield f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}"
    yield "c=IN IP4 0.0.0.0"
    if section.mid:
        yield f"a=mid:{section.mid}"
    yield "a=inactive"
    if section.multiplexed:
        yield "a=rtcp-mux"
    for codec in section.codecs:
        yield _map(codec)


def _map(codec: Codec) -> str:
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    return f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}"


def _begin(track: Track, direction: str) -> Iterator[str]:
    codec, rtx = track.codec, track.rtx_payload_type
    formats = f"{codec.payload_type}" if rtx is None else f"{codec.payload_type} {rtx}"
    yield f"m={track.kind} 9 UDP/TLS/RTP/SAVPF {formats}"
    yield "c=IN IP4 0.0.0.0"
    if track.mid:
        yield f"a=mid:{track.mid}"
    yield f"a={direction}"
    yield "a=rtcp-mux"
    yield _map(codec)
    if codec.format_parameters:
        yield f"a=fmtp:{codec.payload_type} {codec.format_parameters}"
    for one in track.feedback:
        yield f"a=rtcp-fb:{codec.payload_type} {one}"
    if rtx is not None:
        yield f"a=rtpmap:{rtx} rtx/{codec.clock_rate}"
        yield f"a=fmtp:{rtx} apt={codec.payload_type}"


def _received(track: Track) -> Iterator[str]:
    yield from _begin(track, "recvonly")
    ids = {
        MID_URI: track.mid_extension,
        RID_URI: track.rid_extension,
        REPAIRED_RID_URI: track.repaired_rid_extension,
    }
    for uri, number in ids.items():
        if number is not None:
            yield f"a=extmap:{number} {uri}"
    for layer in track.layers:
        yield f"a=rid:{layer} recv"
    if track.layers:
        yield f"a=simulcast:recv {';'.join(track.layers)}"


def _sent(track: Track, outgoing: Outgoing) -> Iterator[str]:
    # No header extension of the stream's packets: each would be parsed and written again for every viewer.
    # This one goes with packets that are sent to one viewer only, by RTX.
    yield from _begin(track, "sendonly")
    if track.delay_extension is not None:
        yield f"a=extmap:{track.delay_extension} {PLAYOUT_DELAY_URI}"
    stream = "".join(one if one in _MSID_CHARACTERS else "-" for one in outgoing.stream_id)[:64] or "-"
    yield f"a=msid:{stream} {track.kind}"
    resends = track.rtx_payload_type is not None
    if resends:
        yield f"a=ssrc-group:FID {outgoing.ssrc} {outgoing.rtx_ssrc}"
    # Chromium takes the first one for the stream, whatever the group says: the other way round it is black.
    yield f"a=ssrc:{outgoing.ssrc} cname:{outgoing.cname}"
    if resends:
        yield f"a=ssrc:{outgoing.rtx_ssrc} cname:{outgoing.cname}"
