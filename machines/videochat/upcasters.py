"""What makes records of older schemas readable."""

from collections.abc import Mapping
from typing import Any

from engine.codec.records import Upcaster


def without_card(fields: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 of AcceptCall had the sender's card, which no rule read."""
    return {name: value for name, value in fields.items() if name != "card"}


UPCASTERS: Mapping[tuple[str, int], Upcaster] = {("videochat.AcceptCall", 1): without_card}
"""By tag and old schema number."""
