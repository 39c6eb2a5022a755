"""All pages and all parts together."""

from docs.examples.doorbell.api import API
from engine.app.discovery import installed_apis
from engine.app.reference import blocks, pages


def test_an_api_brings_its_pages_and_is_found_from_the_first_one() -> None:
    found = pages([API])
    assert {"docs/reference/api-doorbell.md", "docs/reference/machine-doorbell.door.md"} <= set(found)
    index = found["docs/reference/index.md"]
    names = [name.rpartition("/")[2] for name in found if not name.endswith("index.md")]
    assert [name for name in names if f"({name})" not in index] == []


def test_every_installed_machine_has_a_page() -> None:
    names = {f"docs/reference/machine-{kind.name}.md" for api in installed_apis() for kind in api.kinds}
    assert names <= set(pages(installed_apis()))


def test_a_page_is_the_same_each_time_it_is_made() -> None:
    assert pages([API]) == pages([API])


def test_parts_for_other_pages_go_by_name() -> None:
    found = blocks([API])
    assert found["diagram doorbell.door"].startswith("```mermaid\nstateDiagram-v2\n")
    assert {"configuration", "exceptions", "http", "errors doorbell", "messages doorbell"} <= set(found)
