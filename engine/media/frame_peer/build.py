"""Sources and sinks from their plain values."""

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.frame_parts import kinds_of
from engine.media.frame_peer import sinks, sources
from engine.media.frame_peer.queues import Frame


async def source_of(value: p.FrameSource) -> sources.Source:
    """A source that is not open yet.

    Raises:
        BadSourceError: there is no such callable, or it gives no async iterator.
    """
    kinds = kinds_of(value)
    match value:
        case p.FileSource():
            return sources.FileSource(value.path, kinds, loop=value.loop)
        case p.PatternSource():
            return sources.PatternSource(
                width=value.width,
                height=value.height,
                frames_per_second=value.frames_per_second,
                seconds=value.seconds,
                tone_hz=value.tone_hz or sources.TONE_HZ,
                kinds=kinds,
            )
        case p.CallableSource():
            frames = await _frames(value)
            return sources.CallableSource(frames, kinds, paced=value.paced)


async def sink_of(value: p.FrameSink) -> sinks.Sink:
    """A sink that has not begun.

    Raises:
        BadSinkError: there is no such callable, or the file cannot be written.
    """
    kinds = kinds_of(value)
    try:
        if isinstance(value, p.FileSink):
            return sinks.FileSink(value.path, kinds)
        return sinks.CallableSink(await _take(value), kinds)
    except MediaError as error:
        raise p.BadSinkError(str(error)) from error


async def _frames(value: p.CallableSource) -> AsyncIterator[Frame]:
    try:
        give = await _target(value.target)
        frames = give(**value.arguments)
    except MediaError as error:
        raise p.BadSourceError(str(error)) from error
    except Exception as error:  # It is the program's own, and so is what it raises.
        raise p.BadSourceError(f"{value.target} raised {type(error).__name__}") from error
    if not isinstance(frames, AsyncIterator):
        if inspect.iscoroutine(frames):
            frames.close()
        raise p.BadSourceError(f"{value.target} does not give an async iterator")
    return frames


async def _take(value: p.CallableSink) -> Callable[[AsyncIterator[Frame]], Awaitable[None]]:
    take = await _target(value.target)
    if not inspect.iscoroutinefunction(take):
        raise p.BadSinkError(f"{value.target} is not an async function")
    try:
        inspect.signature(take).bind(None, **value.arguments)
    except TypeError as error:
        raise p.BadSinkError(f"{value.target} does not take frames and these arguments") from error
    return partial(take, **value.arguments)


async def _target(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        # Not on the loop: what it imports may take seconds.
        found = getattr(await asyncio.to_thread(importlib.import_module, module), attribute)
    except Exception as error:  # A module raises what it likes while it is imported.
        raise MediaError(f"{name} cannot be imported: {type(error).__name__}") from error
    if not callable(found):
        raise MediaError(f"{name} cannot be called")
    called: Callable[..., Any] = found
    return called
