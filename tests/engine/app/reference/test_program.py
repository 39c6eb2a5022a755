"""Command line, configuration, exceptions, paths."""

import tomllib

from docs.examples.doorbell.api import API
from engine.app.configuration import Configuration, read_configuration
from engine.app.reference.program import (
    command_line_page,
    commands,
    configuration_page,
    configuration_text,
    exception_tree,
    exceptions_page,
    http_page,
    http_table,
    options_of,
)


def test_commands_come_with_their_groups_and_hidden_ones_are_left_out() -> None:
    names = [name for name, _ in commands()]
    assert "users add" in names
    assert "serve" in names
    assert "bench" not in names


def test_options_go_by_the_names_that_are_typed() -> None:
    by_name = dict(commands())
    assert {"MACHINE", "--format", "--asides", "--to"} == {*options_of(by_name["diagram"])}
    assert "--first-name" in options_of(by_name["users add"])


def test_an_argument_without_a_default_is_required() -> None:
    assert (
        "| `STREAM` | Such as videochat.line:ann; `list` names the streams | required |"
        in command_line_page()
    )


def test_the_configuration_is_toml_that_changes_nothing() -> None:
    values = tomllib.loads(configuration_text([API]))
    assert set(values) == {"server", "media", "journal", "doorbell"}
    assert read_configuration(values, [API]).server == Configuration().server
    assert read_configuration(values, [API]).media == Configuration().media
    assert read_configuration(values, [API]).settings["doorbell"] == API.settings()


def test_exceptions_are_indented_below_their_bases() -> None:
    assert "\nEngineError\n    TableError\n" in exception_tree()
    assert "        ConflictError\n" in exception_tree()


def test_every_server_answers_these_paths() -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert f"| `GET {path}` |" in http_table()


def test_pages_hold_the_tables_and_blocks() -> None:
    assert configuration_text([API]) in configuration_page([API])
    assert exception_tree() in exceptions_page()
    assert "| `TableError` | A table contradicts itself" in exceptions_page()
    assert http_table() in http_page()
