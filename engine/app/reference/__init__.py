"""The pages of `docs/reference`, and the generated parts of other pages, as texts made from what runs."""

from collections.abc import Sequence

from engine.app.api import Api
from engine.app.reference import apis as api_pages
from engine.app.reference import machines as machine_pages
from engine.app.reference import program, python
from engine.app.reference.markdown import page, table
from engine.machine.diagram import mermaid

FOLDER = "docs/reference"


def pages(apis: Sequence[Api]) -> dict[str, str]:
    """Every page of the reference by its path from the top of the repository."""
    found = {
        **{f"api-{api.name}.md": api_pages.api_page(api) for api in apis},
        **{f"machine-{kind.name}.md": machine_pages.machine_page(kind) for api in apis for kind in api.kinds},
        "cli.md": program.command_line_page(),
        "configuration.md": program.configuration_page(apis),
        "exceptions.md": program.exceptions_page(),
        "http.md": program.http_page(),
        "python.md": python.python_page(),
    }
    found["index.md"] = _index(found)
    return {f"{FOLDER}/{name}": text for name, text in sorted(found.items())}


def blocks(apis: Sequence[Api]) -> dict[str, str]:
    """Generated parts for pages written by hand, by the names that stand in the pages."""
    diagrams = {
        f"diagram {kind.name}": f"```mermaid\n{mermaid(kind.table)}```" for api in apis for kind in api.kinds
    }
    errors = {f"errors {api.name}": api_pages.error_table(api) for api in apis}
    messages = {f"messages {api.name}": api_pages.message_table(api) for api in apis}
    return {
        **diagrams,
        **errors,
        **messages,
        "configuration": f"```toml\n{program.configuration_text(apis)}```",
        "exceptions": program.exception_tree(),
        "http": program.http_table(),
    }


def _index(found: dict[str, str]) -> str:
    titles = {name: text.partition("\n")[0].removeprefix("# ") for name, text in found.items()}
    rows = [[f"[{titles[name]}]({name})"] for name in sorted(titles)]
    return page("Reference", table(["page"], rows))
