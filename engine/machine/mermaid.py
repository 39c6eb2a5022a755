"""Text made safe for Mermaid."""

_PLAIN = frozenset(" _.,/()[]+=*!?'-")
NOTHING = "#160;"
"""A blank that Mermaid takes for text, where it demands some."""


def escaped(text: str) -> str:
    """`text` on one line, with everything that Mermaid might read as syntax as an entity."""
    plain = " ".join(text.split())
    made = "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one)};" for one in plain)
    return made or NOTHING
