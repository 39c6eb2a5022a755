"""The page of an API: paths, messages, shapes, codes."""

from typing import Any

import attrs

from docs.examples.doorbell.api import API
from engine.app.reference.apis import api_page, error_table, shape_text
from tests.engine.app.parlour import PARLOUR


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
    known: dict[str, Inner] = attrs.field(factory=dict)


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
        '  "known"?: map of {',
        '    "name": string',
        "  }",
        "}",
    ]


def test_an_endpoint_has_its_body_and_its_statuses() -> None:
    page = api_page(API)
    assert "| `POST /doors/{door}/ring` | Ring at a door | ours |" in page
    assert "Status 409, without a body." in page
    assert 'Status 200:\n\n```text\n{\n  "door": string\n  "number": int\n}\n```' in page
    assert 'Body:\n\n```text\n{\n  "visitor": string\n}\n```' in page


def test_an_endpoint_has_its_query_its_form_and_its_token() -> None:
    page = api_page(PARLOUR)
    assert 'Query:\n\n```text\n{\n  "times"?: int\n  "soft"?: bool\n}\n```' in page
    assert "Body (`application/x-www-form-urlencoded`):" in page
    assert "### `POST /parlour/token`\n\nA token.\n\nWithout a token." in page
    assert "All bells.\n\nWith `Authorization: Bearer TOKEN`." in page
    assert "Status 200:\n\n```text\n[string]\n```" in page


def test_pages_are_listed() -> None:
    assert "| `GET /parlour.html` | `parlour.html` | text/html; charset=utf-8 |" in api_page(PARLOUR)
    assert "## Pages" not in api_page(API)


def test_a_code_without_a_source_is_ours() -> None:
    assert "| 409 | `rings_already` | it rings already | ours |" in error_table(API)
