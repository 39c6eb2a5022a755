"""Text made safe for the two languages of diagrams."""

import re

_PLAIN = frozenset(" _.,/()[]+=*!?'-")
_BLANK = "#160;"


def for_mermaid(text: str) -> str:
    """`text` on one line, with everything that Mermaid might read as syntax as an entity.

    Empty text becomes a blank, where Mermaid demands some.
    """
    plain = " ".join(text.split())
    made = "".join(one if one.isalnum() or one in _PLAIN else f"#{ord(one)};" for one in plain)
    # The two words would close the note that they stand in.
    return re.sub(r"(?i)(end) (?=note)", r"\1#32;", made) or _BLANK


def for_dot(text: str) -> str:
    """`text` as a quoted string of Graphviz; line breaks stay."""
    safe = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "\\n".join(safe.splitlines()) + '"'
