"""The page of the public names."""

from engine.app.reference.python import prose, python_page


def test_classes_functions_enumerations_and_aliases_have_their_entries() -> None:
    page = python_page()
    assert "async def open_engine(\n" in page
    assert "| `MOVED` | `moved` |" in page
    assert "Said = tuple[Event | Effect, ...]" in page
    assert "| `seconds_max` |" not in page


def test_the_parts_of_a_docstring_become_lists() -> None:
    text = "Do it.\n\nRaises:\n    A: when it\n        rains.\n    B: else.\n\nMore."
    assert prose(text) == "Do it.\n\nRaises:\n\n- A: when it rains.\n- B: else.\n\nMore."


def test_an_empty_part_is_an_empty_list() -> None:
    assert prose("Do it.\n\nRaises:\n").rstrip().endswith("Raises:")
