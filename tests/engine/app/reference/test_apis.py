"""The page of an API: paths, messages, shapes, codes."""

from typing import Any

import attrs

from docs.examples.doorbell.api import API
from engine.app.reference.apis import api_page, error_table, shape_text


@attrs.frozen
class Inner:
    """An object in an object."""

    name: str


@attrs.frozen
class Outer:
    """Every form that a field can have."""

    inner: Inner
    several: tuple[Inner, ...]
    numbers: tuple[int, ...]
    either: str | int
    perhaps: Inner | None = None
    anything: Any = None
    by_name: dict[str, bool] = attrs.field(factory=dict)


def test_a_shape_is_written_as_the_source_documents_do() -> None:
    assert shape_text(Outer).splitlines() == [
        "{",
        '  "inner": {',
        '    "name": string',
        "  }",
        '  "several": [{',
        '    "name": string',
        "  }]",
        '  "numbers": [int]',
        '  "either": string or int',
        '  "perhaps"?: {',
        '    "name": string',
        "  }",
        '  "anything"?: any',
        '  "byName"?: map of bool',
        "}",
    ]


def test_an_endpoint_has_its_body_and_its_statuses() -> None:
    page = api_page(API)
    assert "| `POST /doors/{door}/ring` | Ring at a door | ours |" in page
    assert "Status 409, without a body." in page
    assert 'Status 200:\n\n```text\n{\n  "door": string\n  "number": int\n}\n```' in page
    assert 'Body:\n\n```text\n{\n  "visitor": string\n}\n```' in page


def test_a_code_without_a_source_is_ours() -> None:
    assert "| 409 | `rings_already` | it rings already | ours |" in error_table(API)
