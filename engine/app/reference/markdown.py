"""Markdown as texts: pages, tables, code."""

from collections.abc import Iterable, Sequence

MADE = "<!-- Generated from the code: `python -m tests.contracts.write_docs` writes this page anew. -->"


def page(title: str, *parts: str) -> str:
    """A whole page; empty parts are left out."""
    return "\n\n".join((f"# {title}", MADE, *(part.rstrip("\n") for part in parts if part))) + "\n"


def section(title: str, *parts: str, level: int = 2) -> str:
    """A section, or nothing when it has no parts."""
    filled = [part.rstrip("\n") for part in parts if part]
    return "\n\n".join((f"{'#' * level} {title}", *filled)) if filled else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or nothing when it has no rows."""
    lines = [_row(row) for row in rows]
    if not lines:
        return ""
    return "\n".join((_row(heads), _row(["---"] * len(heads)), *lines))


def code(text: str) -> str:
    """A word of code, or nothing."""
    return f"`{text}`" if text else ""


def fenced(text: str, language: str = "") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def _row(cells: Sequence[str]) -> str:
    # A line break would end the row, and a bar the cell.
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
