"""Two workers in one conference: one publishes, the other hears of it and records."""

import logging

import av
import trio

from engine import open_engine
from engine.app.configuration import Configuration
from engine.app.logs import configure_logs
from engine.media import protocol as p
from engine.media.frames import Limits
from engine.media.host import HostSettings
from engine.media.open import open_media
from engine.media.settings import MediaSettings
from machines.conference.client import open_conference_client
from machines.conference.oauth.service import ClientSettings
from machines.conference.settings import ConferenceSettings

KEYS = {"ann": "ann's secret, at best from a vault", "bob": "bob's secret, of 16 characters or more"}
CLIENTS = {name: ClientSettings(secret=key, organization="acme") for name, key in KEYS.items()}
# Servers say no sooner than this; here everything is on one machine, which may be busy.
CALM = Limits(lag_max_milliseconds=60_000, cpu_max_fraction=100)
MEDIA = MediaSettings(workers=1, lag_max_milliseconds=60_000, cpu_max_fraction=100)


async def publish(url: str, media: p.MediaHost) -> None:
    async with (
        open_conference_client(url, client_id="ann", client_secret=KEYS["ann"], media=media) as client,
        client.join("room", name="Ann") as seat,
    ):
        stream = await seat.publish(p.PatternSource(seconds=5.0))
        await stream.wait_finished()
    # Here the stream is unpublished, the conference left, and the endpoint unregistered.


async def record(url: str, media: p.MediaHost, nursery: trio.Nursery) -> None:
    async with (
        open_conference_client(url, client_id="bob", client_secret=KEYS["bob"], media=media) as client,
    ):
        await client.create("room")
        async with client.join("room", name="Bob") as seat:
            nursery.start_soon(publish, url, media)
            seen = await seat.wait_stream(user_id="ann")
            await seat.view(seen.stream_id, p.FileSink("ann.webm"))
            async for event in seat.events():
                print(event.conference_version, event.type, event.user_id)
                if event.type == "ConferenceLeftEvent":
                    break
    # Here the view is stopped, and the recording is complete.


async def main() -> None:
    configure_logs(logging.ERROR)
    configuration = Configuration(settings={"conference": ConferenceSettings(clients=CLIENTS)}, media=MEDIA)
    async with (
        open_engine("sqlite:///calls.db", configuration=configuration) as engine,
        open_media(workers=1, settings=HostSettings(limits=CALM)) as media,
        trio.open_nursery() as nursery,
    ):
        (url,) = await nursery.start(engine.serve, "127.0.0.1:0")
        async with trio.open_nursery() as workers:
            await record(url, media, workers)
        nursery.cancel_scope.cancel()
    with av.open("ann.webm") as recording:
        print("more than a second:", len(list(recording.decode(video=0))) > 20)


if __name__ == "__main__":
    trio.run(main)
