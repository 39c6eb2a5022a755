"""Where the members of a conference are."""

from engine.vocabulary import Address
from machines.conference import vocabulary as v


def stream_of(key: str) -> str:
    """The stream that all members of a conference share; their keys begin with its id."""
    return f"{v.CONFERENCE}:{key.partition('/')[0]}"


def conference_address(conference_id: str) -> Address:
    """The conference itself."""
    return Address(v.CONFERENCE, conference_id)


def seat_address(conference_id: str, user_endpoint_id: str) -> Address:
    """A participant's machine."""
    return Address(v.PARTICIPANT, f"{conference_id}/{user_endpoint_id}")


def stream_address(conference_id: str, stream_id: str) -> Address:
    """A stream's machine."""
    return Address(v.STREAM, f"{conference_id}/{stream_id}")


def view_key(stream_id: str, viewer_id: str) -> str:
    """A view inside its conference."""
    return f"{stream_id}/{viewer_id}"


def view_address(conference_id: str, stream_id: str, viewer_id: str) -> Address:
    """A view's machine."""
    return Address(v.VIEW, f"{conference_id}/{view_key(stream_id, viewer_id)}")


def delivery_address(conference_id: str, event_id: str) -> Address:
    """The machine of an event that must be acknowledged."""
    return Address(v.DELIVERY, f"{conference_id}/{event_id}")


def endpoint_address(user_endpoint_id: str) -> Address:
    """An endpoint's machine, in a stream of its own."""
    return Address(v.ENDPOINT, user_endpoint_id)
