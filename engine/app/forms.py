"""The fields of a form, as HTML and OAuth2 send them."""

from urllib.parse import parse_qsl

from engine.errors import RemoteProtocolError
from engine.transport.application import Request

FORM_TYPE = "application/x-www-form-urlencoded"
FIELDS_MAX = 100


def form_pairs(request: Request) -> tuple[tuple[str, str], ...]:
    """The fields in the order sent, for `WireCodec.decode_pairs(pairs, cls, "form")`.

    Raises:
        RemoteProtocolError: the body is no form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise RemoteProtocolError("form", f"must be sent as {FORM_TYPE}")
    try:
        text = request.body.decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        # Without its cause, which may quote a secret.
        raise RemoteProtocolError("form", f"is not UTF-8, or has more than {FIELDS_MAX} fields") from None
    return tuple(pairs)
