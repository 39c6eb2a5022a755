"""The load of the media bench: what it counts is what was sent."""

import pytest
import trio

from engine.media.router.fanout import batching_is_possible
from tests.bench.media.peers import AV
from tests.bench.media.stage import Options, open_stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not batching_is_possible(), reason="the load reads with recvmmsg of 64-bit Linux"),
]
VIEWERS = 4


async def test_every_viewer_gets_every_packet_of_its_own_stream() -> None:
    async with open_stage(Options()) as stage:
        await stage.publish(2)
        await stage.view(VIEWERS, AV, streams=2)
        report = await stage.run(0.5)
        held = await stage.held()
    assert (report.lost, report.lost_at_load, report.asked_again) == (0, 0, 0)
    assert report.received == report.sent * VIEWERS // 2 > 0
    assert report.cpu_seconds > 0
    assert 0 < report.latencies[0] <= report.latencies[1]
    assert (held["publishers_count"], held["viewers_count"]) == (2, VIEWERS)


async def test_what_does_not_come_is_lost() -> None:
    async with open_stage(Options()) as stage:
        await stage.publish()
        await stage.view(VIEWERS)
        await stage.load.begin(stage.worker)
        await stage.mute("viewer-1")
        await trio.sleep(0.3)  # While packets are sent that he does not get.
        report = await stage.load.end()
    assert 0 < report.lost <= report.sent
    assert report.received == VIEWERS * report.sent - report.lost
