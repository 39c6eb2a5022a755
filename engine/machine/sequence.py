"""Mermaid sequence diagrams: who told whom what, in order."""

from collections.abc import Iterable

import attrs

from engine.machine.escape import for_mermaid


@attrs.frozen
class Arrow:
    """One message, or with `source` equal to `target` something that happened to one party."""

    source: str
    target: str
    text: str
    note: str | None = None
    """Shown over both parties, beneath the arrow."""


def sequence_diagram(lines: Iterable[Arrow]) -> str:
    """Mermaid text; parties stand in the order in which they appear."""
    arrows = tuple(lines)
    parties = dict.fromkeys(party for arrow in arrows for party in (arrow.source, arrow.target))
    # Names are free text, so that parties get plain ids: a name such as `end` would be a keyword.
    ids = {party: f"p{number}" for number, party in enumerate(parties)}
    text = ["sequenceDiagram"]
    text += [f"    participant {id_} as {for_mermaid(party)}" for party, id_ in ids.items()]
    for arrow in arrows:
        source, target = ids[arrow.source], ids[arrow.target]
        text.append(f"    {source}->>{target}: {for_mermaid(arrow.text)}")
        if arrow.note is not None:
            over = source if source == target else f"{source},{target}"
            text.append(f"    Note over {over}: {for_mermaid(arrow.note)}")
    return "\n".join(text) + "\n"
