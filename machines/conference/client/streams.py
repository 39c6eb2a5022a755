"""What a program holds of the streams that it publishes and views."""

from collections.abc import Mapping
from typing import Any

from machines.conference import endpoints, wire
from machines.conference.client.feed import FeedState
from machines.conference.client.feeds import Stand, StreamDriver, ViewDriver


class PublishedStream:
    """A stream of ours. Lost, it is published again under its id, and its source begins anew.

    Raises, from each method:
        ConferenceRefusedError: the host says no.
        TransportError: the host was not reached in time.
    """

    def __init__(self, driver: StreamDriver, stand: Stand) -> None:
        self._driver = driver
        self._stand = stand

    def __repr__(self) -> str:
        return f"<PublishedStream {self.stream_id}: {self.state.value}>"

    @property
    def stream_id(self) -> str:
        """Its id in the conference."""
        return self._driver.stream_id

    @property
    def state(self) -> FeedState:
        """Where it stands."""
        return self._driver.state

    async def wait_for(self, *states: FeedState) -> FeedState:
        """Wait until it is in one of `states`; at once when it is.

        Raises:
            FeedFailedError: it has failed.
            TransportClosedError: it was unpublished.
        """
        return await self._driver.wait_for(*states)

    async def wait_finished(self) -> None:
        """Wait until its source has no more; the stream stays until it is unpublished.

        Raises:
            FeedFailedError: it has ended before.
            TransportClosedError: it was unpublished before.
        """
        await self._driver.wait_finished()

    async def update(self, metadata: Mapping[str, Any]) -> None:
        """Merge into its metadata; None takes a value away."""
        body = wire.UpdateConferenceStreamMetadataWebCommand(
            **self._stand.who, stream_id=self.stream_id, new_metadata=metadata
        )
        await self._stand.calls.do(endpoints.UPDATE_STREAM.path, body)
        self._driver.metadata = {**(self._driver.metadata or {}), **metadata}

    async def limit(self, bitrate_bps: int) -> None:
        """Cap its bitrate."""
        body = wire.ConferenceUpdatePublishedStreamBitrateWebCommand(
            **self._stand.who, stream_id=self.stream_id, video_bitrate=bitrate_bps
        )
        await self._stand.calls.do(endpoints.BITRATE.path, body)
        self._driver.bitrate_bps = bitrate_bps

    async def unpublish(self) -> None:
        """End it. Idempotent."""
        await self._driver.close()


class ViewedStream:
    """A stream that is viewed. Published again, it is viewed again."""

    def __init__(self, driver: ViewDriver) -> None:
        self._driver = driver

    def __repr__(self) -> str:
        return f"<ViewedStream {self.stream_id}: {self.state.value}>"

    @property
    def stream_id(self) -> str:
        """The stream's id in the conference."""
        return self._driver.stream_id

    @property
    def viewer_id(self) -> str:
        """The id of this view."""
        return self._driver.viewer_id

    @property
    def state(self) -> FeedState:
        """Where it stands."""
        return self._driver.state

    async def wait_for(self, *states: FeedState) -> FeedState:
        """Wait until it is in one of `states`; at once when it is.

        Raises:
            FeedFailedError: it has failed.
            TransportClosedError: it was stopped.
        """
        return await self._driver.wait_for(*states)

    @property
    def recordings(self) -> tuple[str, ...]:
        """The files of a FileSink so far: `call.webm`, and after a loss `call-2.webm` and so on.

        The last one is complete when the view has stopped; a peer that received nothing made no file.
        """
        return self._driver.recordings

    async def stop(self) -> None:
        """End it; what was recorded is complete then. Idempotent."""
        await self._driver.close()
