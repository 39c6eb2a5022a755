"""Documents say what is so: they are fresh, their programs run, their commands exist."""

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from engine.app.configuration import read_configuration
from engine.app.discovery import installed_apis
from engine.app.openapi import own_version
from engine.app.reference import FOLDER
from engine.app.reference import apis as api_pages
from engine.app.reference.program import commands, options_of
from engine.media.access.issuers import issuer_of
from tests.contracts.documents import (
    COMMAND,
    ROOT,
    Block,
    blocks_of,
    by_hand,
    every_page,
    examples,
    filled,
    hand_written,
    name_of,
    output_of,
    reference,
)

BLOCKS = [block for page in hand_written() for block in blocks_of(page)]
STALE = f"run `{COMMAND}`"
ENGINE_KEYS = {"key", "secret", "url", "account_sid", "app_id", "certificate"}

# -- fresh


@pytest.mark.parametrize("name", sorted(reference()))
def test_a_page_of_the_reference_is_what_the_code_says(name: str) -> None:
    assert (ROOT / name).exists(), STALE
    assert (ROOT / name).read_text(encoding="utf-8") == reference()[name], STALE


def test_the_reference_has_no_page_of_something_that_is_gone() -> None:
    found = {name_of(path) for path in (ROOT / FOLDER).rglob("*.md")}
    assert found == set(reference()), STALE


@pytest.mark.slow
@pytest.mark.parametrize("page", hand_written(), ids=name_of)
def test_the_made_parts_of_a_page_are_what_the_code_says_and_prints(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, STALE


# -- programs


@pytest.mark.slow
@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_an_example_runs_and_warns_of_nothing(path: Path) -> None:
    assert output_of(name_of(path))


@pytest.mark.parametrize("path", examples(), ids=name_of)
def test_an_example_stands_in_a_page(path: Path) -> None:
    assert any(f"<!-- file: {name_of(path)}" in page.read_text(encoding="utf-8") for page in hand_written())


def test_python_in_a_page_is_an_example_that_runs() -> None:
    assert [block for block in BLOCKS if block.language == "python" and not block.made] == []


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "sh"], ids=lambda one: one.page)
def test_commands_in_a_page_exist_with_their_options(block: Block) -> None:
    # `--push/--no-push` are two.
    known = {name: "/".join(options_of(info)).split("/") for name, info in commands()}
    for words in _commands_in(block.text):
        name = next((one for one in (" ".join(words[:2]), *words[:1]) if one in known), None)
        assert name is not None, f"{block.page}: there is no switchhook {' '.join(words)}"
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= {*known[name], "--help"}, f"{block.page}: switchhook {' '.join(words)}"


def test_commands_are_found_among_other_words() -> None:
    text = "pip install uv && uv run switchhook demo\nswitchhook serve --dev > out &  # a comment\n"
    assert _commands_in(text) == [["demo"], ["serve", "--dev"]]


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "toml"], ids=lambda one: one.page)
def test_configuration_in_a_page_is_valid(block: Block) -> None:
    read = read_configuration(tomllib.loads(block.text))
    engine = getattr(read.settings.get("videochat"), "engine", {})
    if engine:
        assert issuer_of(engine).engine == engine["engine"]


def test_the_documented_configuration_is_the_default() -> None:
    block = next(one for one in BLOCKS if one.language == "toml" and one.made)
    assert read_configuration(tomllib.loads(block.text)).server == read_configuration({}).server


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "json"], ids=lambda one: one.page)
def test_json_in_a_page_is_json(block: Block) -> None:
    for line in [block.text] if block.text.startswith("{\n") else block.text.splitlines():
        assert json.loads(line)


def test_no_block_escapes_these_tests() -> None:
    known = {"python", "sh", "toml", "json", "mermaid", "text"}
    assert [(block.page, block.language) for block in BLOCKS if block.language not in known] == []


# -- complete


@pytest.mark.parametrize("api", installed_apis(), ids=lambda api: api.name)
def test_the_page_of_a_source_says_what_became_of_every_message_field_and_code(api: object) -> None:
    page = ROOT / "docs" / "sources" / f"{api.name}.md"  # type: ignore[attr-defined]
    text = by_hand(page.read_text(encoding="utf-8"))
    messages = [one for route in api.sockets for one in route.messages]  # type: ignore[attr-defined]
    shapes = [shape for one in messages for shape in (one.data, one.answer) if shape is not None]
    fields = {name for shape in shapes for name in re.findall(r'"(\w+)"', api_pages.shape_text(shape))}
    wanted = {one.name for one in messages} | fields | {str(one.code) for one in api.errors}  # type: ignore[attr-defined]
    assert {one for one in wanted if not re.search(rf"`[^`\n]*\b{re.escape(one)}\b[^`\n]*`", text)} == set()


def test_every_dependency_says_why_it_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    text = (ROOT / "docs/explanation/dependencies.md").read_text(encoding="utf-8")
    names = [re.match(r"[\w-]+", one)[0] for one in listed]  # type: ignore[index]
    assert [name for name in names if f"| `{name}` |" not in text] == []
    stated = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    assert [name for name in stated if name not in names] == []


def test_every_dependency_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules = {"pyjwt": "jwt", "python-jsonpath": "jsonpath"}
    names = [re.match(r"[\w-]+", one)[0] for one in project["project"]["dependencies"]]  # type: ignore[index]
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("engine", "machines")
        for path in (ROOT / folder).rglob("*.py")
    )
    unused = [
        name
        for name in names
        if not re.search(
            rf"^\s*(?:from|import) {modules.get(name, name.replace('-', '_'))}\b", sources, re.MULTILINE
        )
    ]
    assert unused == []


def test_the_changelog_has_the_version_that_is_installed() -> None:
    assert f"## {own_version()}" in (ROOT / "docs/changelog.md").read_text(encoding="utf-8")


def test_the_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\npip install uv && uv run switchhook demo\n" in text
    assert "\npip install uv && uv run pytest\n" in text


def test_modules_that_pages_name_exist() -> None:
    # Without a module behind `engine.` it is a method of an engine.
    inner = "|".join(path.stem for path in (ROOT / "engine").iterdir() if path.suffix in ("", ".py"))
    wanted = re.compile(rf"`((?:engine\.(?:{inner})|machines\.\w+|tests\.\w+)(?:\.\w+)*)`")
    for page in every_page():
        for name in wanted.findall(page.read_text(encoding="utf-8")):
            assert _exists(name), f"{name_of(page)}: {name}"


def _commands_in(text: str) -> list[list[str]]:
    found = []
    for line in text.splitlines():
        for part in re.split(r"&&|\|\||[|;&]|[0-9]?>+\s*\S+", line.partition("#")[0]):
            words = part.split()
            if "switchhook" in words:
                found.append(words[words.index("switchhook") + 1 :])
    return found


def _exists(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
