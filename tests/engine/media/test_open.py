"""Opening a host by its driver's name."""

import os
from typing import get_args

import pytest

from engine.media import protocol as p
from engine.media.open import Driver, open_media
from tests.engine.media.rigs import held, publish, settings


@pytest.mark.slow
@pytest.mark.parametrize("driver", get_args(Driver))
async def test_every_driver_opens_and_closes(driver: Driver) -> None:
    before = held()
    async with open_media(driver, workers=1, settings=settings()) as host:
        assert isinstance(await host.request(publish()), p.Answered)
    assert held() == before


@pytest.mark.slow
async def test_there_is_a_process_for_each_core_unless_it_is_told() -> None:
    before = held()
    async with open_media(settings=settings()):
        assert len(held()[2] - before[2]) == len(os.sched_getaffinity(0))


async def test_there_is_one_thread_unless_it_is_told() -> None:
    before = held()
    async with open_media("thread", settings=settings()):
        assert len(held()[1] - before[1]) == 1


async def test_an_unknown_driver_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no media driver 'janus'; there are process, thread and fake"):
        async with open_media("janus"):  # type: ignore[arg-type] # a mistake in a configuration
            pass
