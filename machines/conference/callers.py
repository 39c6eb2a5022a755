"""Who calls the conference API, and what he may be."""

from enum import StrEnum

import attrs

NAME_CHARACTERS_MAX = 128


class Role(StrEnum):
    """The role that a token carries."""

    SERVICE = "SERVICE"
    """A program of the organization: may do everything in it."""
    AGENT = "AGENT"
    """Somebody who works for the organization, such as the agent of a contact centre."""
    USER = "USER"


@attrs.frozen(kw_only=True)
class Caller:
    """Whom a request comes from, as its token says."""

    user: str
    organization: str = ""
    role: Role = Role.USER


def is_name(text: str) -> bool:
    """Whether it may name a user or an organization: 1 to 128 printable characters."""
    return 1 <= len(text) <= NAME_CHARACTERS_MAX and text.isprintable()
