"""The demonstration says how much is logged; tests behind it hear everything again."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def every_log_line_afterwards() -> Iterator[None]:
    yield
    structlog.reset_defaults()
