"""The files of the page at `/console/conference`."""

import re
from importlib.resources import files

import pytest

from engine.app.pages import Pages
from machines.conference.api import API
from machines.conference.pages import PAGES, PATH

CONSOLE = files("machines.conference").joinpath("console")
NAMES = sorted(one.name for one in CONSOLE.iterdir())
IMPORT = re.compile(r'from "\./([^"]+)"')
REFERENCE = re.compile(r'(?:src|href)="([^"]+)"')


def text_of(name: str) -> str:
    return CONSOLE.joinpath(name).read_text(encoding="utf-8")


def test_every_file_of_the_folder_is_served_and_no_other() -> None:
    assert sorted(page.file for page in PAGES.values()) == [f"console/{name}" for name in NAMES]
    served = Pages([API], ())
    assert all(path in served for path in PAGES)


def test_what_the_page_and_its_modules_load_is_served() -> None:
    folder = PATH.rpartition("/")[0]
    assert {f"{folder}/{one}" for one in REFERENCE.findall(text_of("index.html"))} <= {*PAGES}
    for name in NAMES:
        assert {f"{PATH}/{one}" for one in IMPORT.findall(text_of(name))} <= {*PAGES}, name


def test_scripts_have_the_type_without_which_browsers_refuse_modules() -> None:
    for path, page in PAGES.items():
        assert path.endswith(".js") == page.content_type.startswith("text/javascript")


@pytest.mark.parametrize("forbidden", [r"<script(?![^>]*\bsrc=)", r"<style", r"\sstyle=", r"\son\w+="])
def test_nothing_stands_inline_because_the_policy_forbids_it(forbidden: str) -> None:
    assert re.search(forbidden, text_of("index.html")) is None


@pytest.mark.parametrize(
    "forbidden", ["innerHTML =", "insertAdjacentHTML", "eval(", "localStorage", "sessionStorage"]
)
def test_no_text_becomes_markup_and_no_secret_is_stored(forbidden: str) -> None:
    assert [name for name in NAMES if forbidden in text_of(name)] == []


def test_every_field_has_a_label() -> None:
    for field in re.finditer(r"<input", text_of("index.html")):
        before = text_of("index.html")[: field.start()]
        assert before.count("<label>") == before.count("</label>") + 1
