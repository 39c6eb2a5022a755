"""The documents: which there are, what stands in them, and the parts that are made from code.

A page written by hand may hold `<!-- KIND: WHAT -->` ... `<!-- end -->`, and what is between is made:
`generated: NAME` by `engine.app.reference` (`generated: diagram docs.MODULE` from
the table of an example), `file: PATH` the whole file, `file: PATH NAME` one definition of
it, `output: PATH` what the example prints.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs

from engine.app.discovery import installed_apis
from engine.app.lookup import kinds_named
from engine.app.reference import FOLDER, blocks, pages
from engine.machine.diagram import mermaid

ROOT = Path(__file__).parents[2]
COMMAND = "python -m tests.contracts.write_docs"

_MADE = re.compile(r"(<!-- (generated|file|output): ([^\n]+?) -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LANGUAGES = {".py": "python", ".sh": "sh", ".txt": "text", ".toml": "toml"}
EXAMPLE_SECONDS = 60


@attrs.frozen
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str
    made: bool
    """It was put there by `filled`."""


def hand_written() -> list[Path]:
    """The pages that people write, the README among them."""
    found = [path for path in (ROOT / "docs").rglob("*.md") if not name_of(path).startswith(FOLDER)]
    return [ROOT / "README.md", *sorted(found)]


def every_page() -> list[Path]:
    """All pages."""
    return [*hand_written(), *sorted((ROOT / FOLDER).rglob("*.md"))]


def name_of(path: Path) -> str:
    """The path from the top of the repository."""
    return path.relative_to(ROOT).as_posix()


@cache
def reference() -> dict[str, str]:
    """The generated pages as they should be."""
    return pages(installed_apis())


def filled(text: str) -> str:
    """The page with its made parts made anew."""
    return _MADE.sub(lambda found: f"{found[1]}{_made(found[2], found[3])}\n{found[4]}", text)


def by_hand(text: str) -> str:
    """The page without its made parts."""
    return _MADE.sub("", text)


def blocks_of(path: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    made = [found.span() for found in _MADE.finditer(text)]
    for found in _FENCE.finditer(text):
        inside = any(start <= found.start() < end for start, end in made)
        yield Block(name_of(path), found[1], found[2], inside)


def examples() -> list[Path]:
    """The programs among the examples; a folder of files has a script that runs them."""
    folder = ROOT / "docs" / "examples"
    return sorted([*folder.glob("*.py"), *folder.rglob("*.sh")])


_LOGGED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[\w+ *\] .*\n", re.MULTILINE)
"""A line of the log, as it is printed where nobody has configured it. A busy machine has more of them."""


@cache
def output_of(path: str) -> str:
    """What an example prints, run in an empty folder; it must end well and warn of nothing.

    A script in a folder of its own finds the files beside it.
    """
    beside = (ROOT / path).parent
    with tempfile.TemporaryDirectory() as folder:
        if beside.name != "examples":
            shutil.copytree(beside, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__*__*"))
        bin_folder = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "error",
        }
        program = [sys.executable] if path.endswith(".py") else ["bash"]
        done = subprocess.run(
            [*program, str(ROOT / path)],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=EXAMPLE_SECONDS,
            check=False,
        )
    assert done.returncode == 0, f"{path} ends with {done.returncode}:\n{done.stderr}"
    assert not done.stderr.strip(), f"{path} says on standard error:\n{done.stderr}"
    return _LOGGED.sub("", done.stdout)


def _made(kind: str, what: str) -> str:
    if kind == "generated" and what.startswith("diagram docs."):
        (machine,) = kinds_named(what.removeprefix("diagram "))
        return f"```mermaid\n{mermaid(machine.table)}```"
    if kind == "generated":
        return blocks(installed_apis())[what]
    path, _, names = what.partition(" ")
    if kind == "output":
        return f"```text\n{output_of(path).rstrip()}\n```"
    text = (ROOT / path).read_text(encoding="utf-8")
    if names:
        text = "\n\n\n".join(_definition(text, name) for name in names.split())
    return f"```{_LANGUAGES[Path(path).suffix]}\n{text.rstrip()}\n```"


def _definition(text: str, name: str) -> str:
    """The source of one function, class or constant at the top of a module."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if name in _names(node):
            start = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            return "\n".join(lines[start - 1 : node.end_lineno])
    raise LookupError(f"there is no {name}")


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return [one.id for one in targets if isinstance(one, ast.Name)]
