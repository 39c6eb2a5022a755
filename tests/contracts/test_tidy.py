"""What no linter looks at: names that say nothing, files that grow, and what gives a machine away."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.documents import ROOT, every_page, name_of

LINES_MAX = 600
LONGER = {
    "machines/conference/vocabulary.py": "words without rules: a hundred small classes in one order",
    "machines/videochat/vocabulary.py": "words without rules: a hundred small classes in one order",
    "tests/engine/media/router/test_router.py": "one router, all of its promises to real and synthetic peers",
    "tests/engine/journal/test_laws.py": "one suite of laws for every journal",
    "tests/machines/videochat/test_client.py": "one client, all of its promises over one fake host",
}
"""Files that may be longer, with the reason."""

FOLDERS = ("engine", "machines", "tests", "docs", ".ci")
NOT_OURS = {"__pycache__", "node_modules"}
TEXTS = (".py", ".md", ".txt", ".toml", ".sh", "")

# With a bar inside, so that this file is not found by what it looks for.
REGISTRIES = tuple(
    one.replace("|", "") for one in ("py|pi.org", "python|hosted.org", "npm|js.org", "ghcr|.io")
)
HOME = re.compile(r"/(?:work|home|root|Users)/\w")
BANNED = re.compile(r"(?:^|_)(?:manager|handler|helper|helpers|util|utils)(?:$|_)|^(?:do|my)_|^process_")
BANNED_CLASS = re.compile(r"Manager|Handler|Helper|Util(?:s|$)|^My[A-Z]")
ALLOWED = {"do_not_disturb"}
"""Words of the field that only look like the banned ones."""

TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!.*#\d+)")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def files(*suffixes: str) -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    found += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in (".md", ".toml")]
    return sorted(one for one in found if one.suffix in suffixes and not NOT_OURS & {*one.parts})


def definitions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a module gives a name to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def is_banned(name: str) -> bool:
    bare = name.lstrip("_")
    return bare not in ALLOWED and bool(BANNED.search(bare) or BANNED_CLASS.search(bare))


@pytest.mark.parametrize(
    "name", ["call_manager", "utils", "_helper", "do_it", "my_call", "process_offer", "CallHandler"]
)
def test_the_check_knows_banned_names(name: str) -> None:
    assert is_banned(name)


@pytest.mark.parametrize("name", ["do_not_disturb", "utility", "processed", "domain", "handle"])
def test_the_check_lets_other_names_be(name: str) -> None:
    assert not is_banned(name)


def test_nothing_has_a_name_that_says_nothing() -> None:
    found = [
        f"{name_of(path)}:{line}: {name}"
        for path in files(".py")
        for line, name in definitions(ast.parse(path.read_text(encoding="utf-8")))
        if is_banned(name)
    ]
    assert found == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in files(".py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_files_stay_small() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files(".py")}
    long = {name for name, length in lengths.items() if length > LINES_MAX}
    assert long == set(LONGER), "split the file, or give its reason in LONGER; take out what is short again"


@pytest.mark.parametrize("pattern", [HOME, *(re.compile(re.escape(one)) for one in REGISTRIES)], ids=str)
def test_nothing_names_this_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    assert [*_matches(pattern, files(*TEXTS))] == []


def test_what_is_to_be_done_has_an_issue() -> None:
    # This file and the style it enforces have to write the words.
    others = [path for path in files(".py", ".sh", ".toml") if path != Path(__file__)]
    assert [*_matches(TODO, others)] == []


def test_the_links_of_the_documents_lead_somewhere() -> None:
    broken = [
        f"{name_of(page)}: {target}"
        for page in every_page()
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not _resolves(page, target)
    ]
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    ahead = [*reached]
    while ahead:
        page = ahead.pop()
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.exists() and path not in reached:
                reached.add(path)
                ahead.append(path)
    assert [name_of(page) for page in every_page() if page not in reached] == []


def _matches(pattern: re.Pattern[str], paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                yield f"{name_of(path)}:{number}"


def _resolves(page: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists():
        return False
    return not anchor or anchor in _anchors(path)


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
