"""The command line. Only typer is imported here, so that `--help` answers at once."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="switchhook",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users = typer.Typer(
    help="Administer the users of a journal's file; the server may be running.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(users, name="users")

JOURNAL = "sqlite:///switchhook.db"
MACHINE_HELP = "Such as videochat.ring, or a module of your own; all installed when missing"
JournalOption = Annotated[
    str, typer.Option("--journal", help="sqlite:///FILE, sqlite:////ABSOLUTE/FILE or memory:")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; docs/reference/configuration.md has every key")
]
ApiOption = Annotated[
    list[str] | None,
    typer.Option("--api", help="Module with an Api of your own, such as shop.calls; repeatable"),
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"switchhook {version('switchhook')}")
        raise typer.Exit


@app.callback()
def switchhook(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Real-time call lifecycles as explicit finite state machines: serve them, check them, draw them."""


@app.command(
    epilog="Examples: switchhook serve --dev   |   "
    "switchhook serve --listen 0.0.0.0:8443 --journal sqlite:////var/lib/switchhook/calls.db "
    "--config /etc/switchhook.toml --tls-cert cert.pem --tls-key key.pem"
)
def serve(
    listen: Annotated[
        list[str] | None, typer.Option("--listen", help="HOST:PORT; port 0 takes a free one; repeatable")
    ] = None,
    journal: JournalOption = JOURNAL,
    config: ConfigOption = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Make up keys and the users ann, bob, eve; print their tokens")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="PEM certificate chain")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="PEM private key")] = None,
    api: ApiOption = None,
) -> None:
    """Serve the documented APIs until SIGTERM or Ctrl-C.

    When it is ready it prints one line of JSON: {"listening": [...], "pid": ...}. Logs go to standard error
    as JSON lines. Sections of the configuration: [server] (limits), [media] (addresses and UDP ports), and
    one for each API: [videochat], [conference].
    """
    from engine.app.commands.serve import run

    addresses = listen or ["127.0.0.1:8080"]
    _exit(run(addresses, journal, config, dev=dev, tls_cert=tls_cert, tls_key=tls_key, own=api or []))


@app.command(
    epilog="Examples: switchhook demo   |   switchhook demo videochat --plain   |   switchhook demo media"
)
def demo(
    name: Annotated[str, typer.Argument(help="An API, or media; all APIs when missing")] = "",
    plain: Annotated[bool, typer.Option("--plain", help="One line an event instead of a live table")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the files that it makes, and say where")] = False,
) -> None:
    """Place real calls over real sockets into a real database, crash the server in between, and check."""
    from engine.app.commands.demo import run

    _exit(run(name, plain=plain, keep=keep))


@app.command(
    epilog="Examples: switchhook diagram videochat.ring --format svg > ring.svg   |   "
    "switchhook diagram --format svg --to pictures   |   switchhook diagram shop.calls"
)
def diagram(
    machine: Annotated[str, typer.Argument(help=MACHINE_HELP)] = "",
    form: Annotated[str, typer.Option("--format", help="mermaid, dot or svg (needs Graphviz)")] = "mermaid",
    asides: Annotated[bool, typer.Option("--asides", help="Show what is ignored, deferred, refused")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write a file for each machine into this folder")
    ] = None,
) -> None:
    """Draw the state machines from the tables that run them, and those of your own."""
    from engine.app.commands.diagram import run

    _exit(run(machine, form, asides=asides, to=to))


@app.command(epilog="Examples: switchhook check   |   switchhook check shop.calls")
def check(
    machines: Annotated[list[str] | None, typer.Argument(help=MACHINE_HELP)] = None,
) -> None:
    """Run all static checks on tables; exit 1 with the reasons when one fails."""
    from engine.app.commands.check import run

    _exit(run(machines or []))


@app.command(epilog="Example: switchhook events videochat.line:ann --journal sqlite:///calls.db --follow")
def events(
    stream: Annotated[str, typer.Argument(help="Such as videochat.line:ann; `list` names the streams")],
    journal: JournalOption = JOURNAL,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C")] = False,
    since: Annotated[int, typer.Option("--since", min=0, help="Only events behind this version")] = 0,
    form: Annotated[
        str, typer.Option("--format", help="text, json or mermaid (a sequence diagram)")
    ] = "text",
    api: ApiOption = None,
) -> None:
    """Print what the journal says happened; secrets are shown by their length."""
    from engine.app.commands.events import run

    _exit(run(stream, journal, follow=follow, since=since, form=form, own=api or []))


@app.command(epilog="Example: switchhook replay sqlite:///calls.db")
def replay(
    journal: Annotated[str, typer.Argument(help="sqlite:///FILE; the server may be running")] = JOURNAL,
    api: ApiOption = None,
) -> None:
    """Rebuild every call from its events and compare; exit 1 on a difference."""
    from engine.app.commands.replay import run

    _exit(run(journal, own=api or []))


@app.command(epilog="Example: switchhook backup /backup/calls.db --journal sqlite:///calls.db")
def backup(
    file: Annotated[Path, typer.Argument(help="The copy; it must not be there yet")],
    journal: JournalOption = JOURNAL,
) -> None:
    """Copy a journal, users included, while the server may be running; the copy is for its owner alone."""
    from engine.app.commands.backup import run

    _exit(run(file, journal))


@users.command("add", epilog='Example: switchhook users add ann --first-name Ann --company-name "ACME"')
def users_add(
    user: Annotated[str, typer.Argument(help="The user's id")],
    journal: JournalOption = JOURNAL,
    first_name: Annotated[str, typer.Option()] = "",
    last_name: Annotated[str, typer.Option()] = "",
    avatar: Annotated[str, typer.Option(help="URL of a picture")] = "",
    company_name: Annotated[str, typer.Option()] = "",
    company_title: Annotated[str, typer.Option()] = "",
    incognito: Annotated[bool, typer.Option("--incognito", help="privacyMode 1")] = False,
    push: Annotated[
        bool | None, typer.Option("--push/--no-push", help="The webhook of the configuration reaches him")
    ] = None,
) -> None:
    """Add a user, or change one, and print a new token for him."""
    from engine.app.commands.users import add

    names = {
        "first_name": first_name,
        "last_name": last_name,
        "avatar": avatar,
        "company_name": company_name,
        "company_title": company_title,
    }
    _exit(add(journal, user, names, privacy_mode=int(incognito), push=push))


@users.command("list", epilog="Example: switchhook users list --journal sqlite:///calls.db")
def users_list(journal: JournalOption = JOURNAL) -> None:
    """List the users."""
    from engine.app.commands.users import list_all

    _exit(list_all(journal))


@users.command("token", epilog="Example: switchhook users token ann")
def users_token(
    user: Annotated[str, typer.Argument(help="The user's id")], journal: JournalOption = JOURNAL
) -> None:
    """Print a new token for a user; older ones stay valid."""
    from engine.app.commands.users import token

    _exit(token(journal, user))


@users.command("remove", epilog="Example: switchhook users remove eve")
def users_remove(
    user: Annotated[str, typer.Argument(help="The user's id")], journal: JournalOption = JOURNAL
) -> None:
    """Remove a user and his tokens."""
    from engine.app.commands.users import remove

    _exit(remove(journal, user))


@app.command(hidden=True)
def bench(names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Run the benchmarks of a source checkout."""
    from engine.app.commands.bench import run

    _exit(run(names or []))


def main() -> None:
    """Entry point of the `switchhook` command."""
    from engine.errors import EngineError

    try:
        app()
    except (EngineError, KeyboardInterrupt, BaseExceptionGroup) as error:
        sys.exit(_explained(error))


def _explained(error: BaseException) -> int:
    """Say what went wrong, one line a fault, and give the exit status; a bug keeps its traceback."""
    from engine.errors import ConfigurationError, EngineError

    causes = [*_causes(error)]
    if any(isinstance(one, KeyboardInterrupt) for one in causes):
        return 130
    if not all(isinstance(one, EngineError) for one in causes):
        raise error
    for text in dict.fromkeys(" ".join(str(one).split()) for one in causes):
        sys.stderr.write(f"switchhook: {text}\n")
    return 2 if any(isinstance(one, ConfigurationError) for one in causes) else 1


def _causes(error: BaseException) -> Iterator[BaseException]:
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else getattr(error, "faults", ())
    if not parts or not isinstance(parts[0], BaseException):
        yield error
        return
    for part in parts:
        yield from _causes(part)


def _exit(status: int) -> None:
    if status:
        raise typer.Exit(status)
