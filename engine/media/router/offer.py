"""SDP offers as values: a reader that raises nothing but BadOfferError (RFC 8866, 8829, 8843, 8853)."""

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from engine.media.protocol import BadOfferError

OFFER_CHARACTERS_MAX = 256 * 1024
SECTIONS_MAX = 64
"""m-lines; a browser that reuses its connection may bring some that are dead."""
LINES_MAX = 8192
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,64}")
_RID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_ICE = re.compile(r"[0-9A-Za-z+/=_-]{4,256}")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}


@attrs.frozen(kw_only=True)
class Codec:
    """One payload type of an m-line."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    format_parameters: str = ""
    """What follows the payload type in `a=fmtp`."""
    feedback: tuple[str, ...] = ()

    def parameter(self, name: str, default: str = "") -> str:
        """One of the format parameters, in lower case."""
        for item in self.format_parameters.split(";"):
            key, _, value = item.strip().partition("=")
            if key.lower() == name:
                return value.strip().lower()
        return default


@attrs.frozen(kw_only=True)
class Section:
    """One m-line with what is beneath it."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str
    enabled: bool
    """False when its port is zero: the offerer has given it up."""
    direction: str
    codecs: tuple[Codec, ...]
    layers: tuple[str, ...]
    """RIDs of a simulcast that it wants to send, in the offer's order."""
    extensions: Mapping[str, int]
    """Header extensions: id by URI."""
    ssrc: int | None
    rtx_ssrc: int | None
    ufrag: str = attrs.field(repr=False)
    fingerprints: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    setup: str
    multiplexed: bool
    """Whether RTCP comes on the same port."""


@attrs.frozen(kw_only=True)
class Offer:
    """What we need of an offer."""

    sections: tuple[Section, ...]
    bundle: tuple[str, ...]
    """The mids of the first BUNDLE group."""
    lite: bool


def read_offer(text: str) -> Offer:
    """Read an offer.

    Raises:
        BadOfferError: it is not SDP, or too much of it; the text quotes nothing.
    """
    if len(text) > OFFER_CHARACTERS_MAX:
        raise BadOfferError("the offer is too long")
    lines = text.replace("\r\n", "\n").split("\n")
    if len(lines) > LINES_MAX:
        raise BadOfferError("the offer has too many lines")
    if lines[0] != "v=0":
        raise BadOfferError("the offer does not begin as SDP does")
    session, *media = _split(lines)
    if not media:
        raise BadOfferError("the offer has no media")
    if len(media) > SECTIONS_MAX:
        raise BadOfferError("the offer has too many media")
    bundle = _bundle(_Lines(session))
    sections = tuple(_section(one, _Lines(session)) for one in media)
    offer = Offer(
        sections=tuple(_bundled(one, sections, bundle) for one in sections),
        bundle=bundle,
        lite=_Lines(session).has("ice-lite"),
    )
    mids = [one.mid for one in offer.sections]
    if len(set(mids)) != len(mids):
        raise BadOfferError("two media have the same mid, or none")
    return offer


def _split(lines: Sequence[str]) -> Sequence[Sequence[str]]:
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


class _Lines:
    """The attributes of one part."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._attributes = [line[2:].partition(":")[::2] for line in lines if line.startswith("a=")]

    def all(self, name: str) -> Iterator[str]:
        return (value for key, value in self._attributes if key == name)

    def first(self, name: str) -> str | None:
        return next(self.all(name), None)

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self._attributes)

    def numbered(self, name: str) -> Iterator[tuple[int, str]]:
        """Values that begin with a number, such as a payload type; others are left out."""
        for value in self.all(name):
            number, _, rest = value.partition(" ")
            if (read := _number(number)) is not None:
                yield read, rest.strip()


def _number(text: str, maximum: int = 0xFFFFFFFF) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    return number if (number := int(text)) <= maximum else None


def _bundle(session: _Lines) -> tuple[str, ...]:
    groups = (value.split() for value in session.all("group"))
    return next((tuple(group[1:]) for group in groups if group[:1] == ["BUNDLE"]), ())


def _bundled(section: Section, sections: Sequence[Section], bundle: Sequence[str]) -> Section:
    """With the transport of its group's first one, if it leaves that out as `bundle-only` may (RFC 8843
    section 7.1.3, RFC 8829 section 5.2.1).
    """
    first = next((one for one in sections if one.mid and one.mid in bundle[:1]), None)
    own = section.ufrag or section.fingerprints or section.setup
    if first is None or own or section.mid not in bundle:
        return section
    return attrs.evolve(
        section,
        ufrag=first.ufrag,
        fingerprints=first.fingerprints,
        setup=first.setup,
        multiplexed=first.multiplexed,
    )


def _section(lines: Sequence[str], session: _Lines) -> Section:
    kind, _, rest = lines[0][2:].partition(" ")
    port, protocol, *formats = [*rest.split(), "", ""][: max(3, len(rest.split()))]
    if not _TOKEN.fullmatch(kind) or not re.fullmatch(r"[0-9A-Za-z/]{1,32}", protocol):
        raise BadOfferError("a media line cannot be read")
    if _number(port, 65535) is None or not formats or not all(_TOKEN.fullmatch(one) for one in formats):
        raise BadOfferError("a media line cannot be read")
    own = _Lines(lines)
    ssrc, rtx_ssrc = _sources(own)
    return Section(
        kind=kind,
        protocol=protocol,
        formats=tuple(formats),
        mid=_mid(own),
        enabled=port != "0" or own.has("bundle-only"),
        direction=_direction(own, session),
        codecs=_codecs(own, formats),
        layers=_layers(own),
        extensions=_extensions(own),
        ssrc=ssrc,
        rtx_ssrc=rtx_ssrc,
        ufrag=_ufrag(own, session),
        fingerprints=_fingerprints(own, session),
        setup=own.first("setup") or session.first("setup") or "",
        multiplexed=own.has("rtcp-mux"),
    )


def _mid(own: _Lines) -> str:
    mid = own.first("mid") or ""
    if mid and not _TOKEN.fullmatch(mid):
        raise BadOfferError("a mid cannot be read")
    return mid


def _direction(own: _Lines, session: _Lines) -> str:
    for part in (own, session):
        for one in _DIRECTIONS:
            if part.has(one):
                return one
    return "sendrecv"


def _codecs(own: _Lines, formats: Sequence[str]) -> tuple[Codec, ...]:
    maps = dict(own.numbered("rtpmap"))
    parameters = dict(own.numbered("fmtp"))
    feedback: dict[str, list[str]] = {}
    for value in own.all("rtcp-fb"):
        whose, _, what = value.partition(" ")
        feedback.setdefault(whose, []).append(what.strip())
    numbers = (number for one in formats if (number := _number(one, 127)) is not None and number in maps)
    codecs = []
    for number in numbers:
        name, _, rest = maps[number].partition("/")
        rate, _, channels = rest.partition("/")
        clock_rate = _number(rate)
        if not _TOKEN.fullmatch(name) or not clock_rate:
            continue
        codecs.append(
            Codec(
                payload_type=number,
                name=name,
                clock_rate=clock_rate,
                channels=_number(channels, 255) or 1,
                format_parameters=_printable(parameters.get(number, "")),
                feedback=(*feedback.get(str(number), ()), *feedback.get("*", ())),
            )
        )
    return tuple(codecs)


def _printable(text: str) -> str:
    # They go back in the answer, so they may hold nothing that ends a line in anybody's reader.
    return text if text.isascii() and text.isprintable() and len(text) <= 512 else ""


def _layers(own: _Lines) -> tuple[str, ...]:
    """RIDs of `a=simulcast:send`; of alternatives the first one, paused or not (RFC 8853 section 5.1)."""
    sendable = {words[0] for value in own.all("rid") if (words := value.split())[1:2] == ["send"]}
    words = (own.first("simulcast") or "").split()
    if "send" not in words[:-1]:
        return ()
    streams = words[words.index("send") + 1].split(";")
    names = [one.split(",")[0].removeprefix("~") for one in streams]
    usable = [one for one in names if one in sendable and _RID.fullmatch(one)]
    return tuple(dict.fromkeys(usable))


def _extensions(own: _Lines) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for value in own.all("extmap"):
        number, _, rest = value.partition(" ")
        words = rest.split()
        read = _number(number.partition("/")[0], 255)
        if read and words:
            found.setdefault(words[0], read)
    return found


def _sources(own: _Lines) -> tuple[int | None, int | None]:
    ssrcs = [number for number, _ in own.numbered("ssrc")]
    for value in own.all("ssrc-group"):
        semantics, *members = value.split() or [""]
        numbers = [number for one in members if (number := _number(one)) is not None]
        if semantics == "FID" and len(numbers) == 2:
            return numbers[0], numbers[1]
    return (ssrcs[0] if ssrcs else None), None


def _ufrag(own: _Lines, session: _Lines) -> str:
    ufrag = own.first("ice-ufrag") or session.first("ice-ufrag") or ""
    return ufrag if _ICE.fullmatch(ufrag) else ""


def _fingerprints(own: _Lines, session: _Lines) -> tuple[tuple[str, str], ...]:
    values = list(own.all("fingerprint")) or list(session.all("fingerprint"))
    found = []
    for value in values:
        algorithm, _, digest = value.partition(" ")
        size = _DIGEST_BYTES.get(algorithm.lower(), 0)
        if size and re.fullmatch(rf"(?:[0-9A-Fa-f]{{2}}:){{{size - 1}}}[0-9A-Fa-f]{{2}}", digest.strip()):
            found.append((algorithm.lower(), digest.strip().upper()))
    return tuple(found)
