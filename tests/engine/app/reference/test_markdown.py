"""Markdown as texts."""

from engine.app.reference.markdown import page, section, table


def test_a_table_without_rows_is_nothing() -> None:
    assert table(["a"], []) == ""


def test_a_cell_cannot_break_its_row() -> None:
    assert table(["a"], [["x | y\nz"]]).splitlines()[-1] == "| x \\| y z |"


def test_a_section_without_parts_is_nothing() -> None:
    assert section("title", "", "") == ""


def test_empty_parts_leave_no_gap() -> None:
    assert page("title", "", "text").endswith("writes this page anew. -->\n\ntext\n")
