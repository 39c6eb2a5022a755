"""`switchhook serve`: the engine and its APIs as a process."""

import json
import os
import resource
import signal
import ssl
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import structlog
import trio

from engine.app.configuration import Configuration, load_configuration
from engine.app.discovery import installed_apis
from engine.app.engine import Engine, open_engine
from engine.app.logs import configure_logs
from engine.app.users import User
from engine.errors import ConfigurationError, EngineError

log = structlog.get_logger("switchhook.serve")


def run(
    listen: Sequence[str],
    journal: str,
    config: Path | None,
    *,
    dev: bool,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> int:
    """Serve until a signal; the exit status.

    Raises:
        ConfigurationError: with every fault, before anything is opened.
        EngineError: the journal or a port cannot be had.
    """
    configure_logs()
    _raise_file_limit()
    configuration = load_configuration(config) if config is not None else Configuration()
    ssl_context = _tls(tls_cert, tls_key)
    try:
        trio.run(partial(_serve, listen, journal, configuration, dev=dev, ssl_context=ssl_context))
    except* EngineError as group:
        # One fault is what a person can mend; a group of one is how trio hands it over.
        raise _first(group) from None
    return 0


async def _serve(
    listen: Sequence[str],
    journal: str,
    configuration: Configuration,
    *,
    dev: bool,
    ssl_context: ssl.SSLContext | None,
) -> None:
    stop = trio.Event()
    printed: dict[str, Any] = {}
    if dev:
        configuration, printed = _make_up(configuration)
    async with open_engine(journal, configuration=configuration) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, stop)
        if dev:
            await _create_users(engine, printed)
        serve = partial(engine.serve, listen, ssl_context=ssl_context, stop=stop)
        addresses: tuple[str, ...] = await nursery.start(serve)
        ready = {"listening": list(addresses), "pid": os.getpid(), "journal": journal}
        if dev:
            ready["dev"] = printed
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        log.info("ready", listening=list(addresses))
        await stop.wait()
        log.info("stopping")


async def _stop_on_signal(stop: trio.Event) -> None:
    """The first signal stops gracefully; the handler is gone by then, so a second one kills."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()
            return


def _make_up(configuration: Configuration) -> tuple[Configuration, dict[str, Any]]:
    settings, printed = dict(configuration.settings), {}
    for api in installed_apis():
        if api.development is not None:
            made_up = api.development(configuration.settings_of(api))
            settings[api.name] = made_up.settings
            printed[api.name] = dict(made_up.printed)
    return attrs.evolve(configuration, settings=settings), printed


async def _create_users(engine: Engine, printed: dict[str, Any]) -> None:
    for api in engine.apis:
        made_up = api.development and api.development(engine.configuration.settings_of(api))
        if not made_up:
            continue
        for user in made_up.users:
            await engine.users.set(User(id=user, first_name=user.capitalize()))
            printed[api.name].setdefault("users", {})[user] = await engine.users.add_token(user)


def _raise_file_limit() -> None:
    """Each socket is a file; the soft limit is often 1024, and the hard one is what the host allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ConfigurationError("--tls-cert", "a certificate and a key go together")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError("--tls-cert", f"cannot be used: {error}") from error
    return context


def _first(group: BaseExceptionGroup[EngineError]) -> EngineError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, EngineError)
    return error
