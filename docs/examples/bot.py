"""A bot that shows a picture getting brighter, and another that records it, through the media router."""

from collections.abc import AsyncIterator
from fractions import Fraction

import av
import trio
from av import VideoFrame

from engine.media import protocol as p
from engine.media.open import open_media


async def brighter(*, pictures: int) -> AsyncIterator[VideoFrame]:
    """Runs inside a worker; `paced` lets each picture wait until its time."""
    for number in range(pictures):
        frame = VideoFrame(320, 240, "yuv420p")
        frame.planes[0].update(bytes([4 * number]) * frame.planes[0].buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, 20)
        yield frame


async def publish(media: p.MediaHost, stream_id: str, source: p.FrameSource) -> None:
    offered = await media.request(p.OpenFramePeer(peer_id="bot", send=source))
    assert isinstance(offered, p.Offered)
    # Here to our own router; another server gets the offer by its own signalling.
    request = p.Publish(stream_id=stream_id, peer_id="bot's publisher", sdp_offer=offered.with_candidates())
    answered = await media.request(request)
    assert isinstance(answered, p.Answered)
    await media.request(p.TakeAnswer(peer_id="bot", sdp_answer=answered.with_candidates()))


async def record(media: p.MediaHost, stream_id: str, path: str) -> None:
    offered = await media.request(p.OpenFramePeer(peer_id="recorder", receive=p.FileSink(path, audio=False)))
    assert isinstance(offered, p.Offered)
    request = p.View(stream_id=stream_id, peer_id="recorder's viewer", sdp_offer=offered.with_candidates())
    answered = await media.request(request)
    assert isinstance(answered, p.Answered)
    await media.request(p.TakeAnswer(peer_id="recorder", sdp_answer=answered.with_candidates()))


async def main() -> None:
    async with open_media(workers=1) as media, media.events() as batches:
        await publish(media, "stream", p.CallableSource("bot:brighter", {"pictures": 40}, paced=True))
        await record(media, "stream", "bot.mp4")
        async for _, events in batches:
            if p.SourceFinished(peer_id="bot") in events:
                break
        await media.request(p.ClosePeer(peer_id="recorder"))  # answered when the file is complete

    with av.open("bot.mp4") as recording:
        pictures = list(recording.decode(video=0))
    first, last = (bytes(one.planes[0])[0] for one in (pictures[0], pictures[-1]))
    size = f"{pictures[0].width}x{pictures[0].height}"
    print(f"{size}, more than 20: {len(pictures) > 20}, brighter: {last > first}")


if __name__ == "__main__":  # the worker imports this file, to find `brighter`
    trio.run(main)
