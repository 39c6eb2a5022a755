"""Whether a figure is what is asked."""

import pytest

from tests.bench.report import Figure


@pytest.mark.parametrize(
    ("value", "ratio", "ask", "held"),
    [
        (3.0, None, "<= 3", True),
        (3.1, None, "<= 3", False),
        (99_999.0, None, ">= 100,000", False),
        (100_000.0, None, ">= 100,000", True),
        (9.0, 1.5, "<= 1.6", True),
        (1.0, 1.7, "<= 1.6", False),
        (1.0, 1.7, "<= 1 ms", True),
        (1.1, 0.2, "<= 1 ms", False),
        (1.0, 1.7, "", None),
    ],
)
def test_an_ask_with_a_unit_is_about_the_value_and_one_without_about_the_ratio(
    value: float, ratio: float | None, ask: str, held: bool | None
) -> None:
    assert Figure("it", value, "ms", ratio, ask).held is held
