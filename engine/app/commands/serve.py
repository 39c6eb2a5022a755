"""`switchhook serve`: the engine and its APIs as a process."""

import json
import os
import signal
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import structlog
import trio

from engine.app.api import Api, Development
from engine.app.configuration import (
    Configuration,
    ConfigurationFaultsError,
    default_configuration,
    faults_of,
    load_configuration,
)
from engine.app.engine import Engine, open_engine
from engine.app.logs import configure_logs
from engine.app.lookup import apis_named
from engine.app.users import User
from engine.errors import ConfigurationError
from engine.journal.opening import open_journal
from engine.media.local import own_address
from engine.media.settings import MediaSettings
from engine.nurseries import open_block_nursery
from engine.transport.listening import parse_address

log = structlog.get_logger("switchhook.serve")

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class _Plan:
    """What is served, once every option has been found right."""

    listen: Sequence[str]
    journal: str
    configuration: Configuration
    ssl_context: ssl.SSLContext | None
    apis: Sequence[Api]
    made_up: Mapping[str, Development]
    """What `--dev` made up, by API; nothing without it."""


@attrs.define(eq=False)
class _Life:
    """How far the server has come."""

    stop: trio.Event = attrs.field(factory=trio.Event)
    ready: bool = False
    status: int = 0


def run(
    listen: Sequence[str],
    journal: str,
    config: Path | None,
    *,
    dev: bool,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    own: Sequence[str] = (),
) -> int:
    """Serve until a signal; the exit status.

    Raises:
        ConfigurationFaultsError: with every fault, before anything is opened.
        EngineError: the journal or a port cannot be had.
    """
    configure_logs()
    plan = _plan(listen, journal, config, own, dev=dev, tls=(tls_cert, tls_key))
    return trio.run(_serve, plan)


def _plan(
    listen: Sequence[str],
    journal: str,
    config: Path | None,
    own: Sequence[str],
    *,
    dev: bool,
    tls: tuple[Path | None, Path | None],
) -> _Plan:
    faults: list[ConfigurationError] = []

    def checked(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigurationError as error:
            faults.extend(faults_of(error))
            return None

    apis = checked(lambda: apis_named(own))
    configuration = checked(lambda: load_configuration(config, apis) if config else default_configuration())
    ssl_context = checked(lambda: _tls(*tls))
    for address in listen:
        checked(partial(parse_address, address))
    # Made and not entered: nothing is opened by that.
    checked(lambda: open_journal(journal))
    if faults or configuration is None or apis is None:
        raise ConfigurationFaultsError(faults)
    made_up = _make_up(configuration, apis) if dev else {}
    settings = {**configuration.settings, **{name: one.settings for name, one in made_up.items()}}
    return _Plan(
        listen=listen,
        journal=journal,
        configuration=attrs.evolve(
            configuration,
            settings=settings,
            media=_beside_browsers(configuration.media) if dev else configuration.media,
        ),
        ssl_context=ssl_context,
        apis=apis,
        made_up=made_up,
    )


def _beside_browsers(media: MediaSettings) -> MediaSettings:
    return media.patient().reached_from_beside(own_address())


def _make_up(configuration: Configuration, apis: Sequence[Api]) -> dict[str, Development]:
    return {
        api.name: api.development(configuration.settings_of(api))
        for api in apis
        if api.development is not None
    }


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        option = "--tls-cert" if cert is None else "--tls-key"
        raise ConfigurationError(option, "is missing; a certificate and a key go together")
    for option, path in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigurationError(option, f"{path} cannot be read: {error.strerror}") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # With a password of ours an encrypted key is an error, and not a question at the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        reason = "no PEM certificate with its unencrypted private key"
        raise ConfigurationError("--tls-cert", f"{cert} and {key} are {reason}") from error
    return context


async def _serve(plan: _Plan) -> int:
    life = _Life()
    async with open_block_nursery() as nursery:
        await nursery.start(_heed_signals, life, nursery.cancel_scope)
        await _serve_until_stopped(plan, life)
        nursery.cancel_scope.cancel()
    return life.status


async def _heed_signals(
    life: _Life, everything: trio.CancelScope, *, task_status: trio.TaskStatus[None]
) -> None:
    """The first signal stops gracefully, the second at once; a third one finds nobody and kills."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if life.stop.is_set():
                life.status = 128 + number
                everything.cancel()
                return
            log.info("stopping", signal=signal.Signals(number).name)
            life.stop.set()
            if not life.ready:
                everything.cancel()


async def _serve_until_stopped(plan: _Plan, life: _Life) -> None:
    async with (
        open_engine(plan.journal, configuration=plan.configuration, apis=plan.apis) as engine,
        open_block_nursery() as nursery,
    ):
        printed = {name: await _printed(engine, made_up) for name, made_up in plan.made_up.items()}
        serve = partial(engine.serve, plan.listen, ssl_context=plan.ssl_context, stop=life.stop)
        addresses: tuple[str, ...] = await nursery.start(serve)
        if any(api.media for api in engine.apis):
            # Behind the sockets: after a crash, calls without media go on while the workers start.
            await _warm_up_media(engine)
        ready = {"listening": list(addresses), "pid": os.getpid(), "journal": plan.journal}
        if plan.made_up:
            ready["dev"] = printed
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        life.ready = True
        log.info("ready", listening=list(addresses))


async def _warm_up_media(engine: Engine) -> None:
    """Before the ready line: a server that cannot take media says so at its start."""
    await engine.warm_up_media()
    media = engine.configuration.media
    log.info(
        "media_ready",
        driver=media.driver,
        workers=media.workers,
        listening=list(media.listen),
        port=media.port,
        advertised=media.advertised,
    )


async def _printed(engine: Engine, made_up: Development) -> dict[str, Any]:
    """The credentials of one API, with its users made where they are not known."""
    tokens = {}
    for user in made_up.users:
        if await engine.users.get(user) is None:
            await engine.users.set(User(id=user, first_name=user.capitalize()))
        tokens[user] = await engine.users.add_token(user)
    return {**made_up.printed, "users": tokens}
