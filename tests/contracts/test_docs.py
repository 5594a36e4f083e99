"""The documentation without mkdocs: links lead somewhere, and the generated reference leaves nothing out."""

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from flows.commands import COMMANDS
from modules.config import config_text
from modules.parts import CONF

ROOT = CONF.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])

_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def generated() -> dict[Path, str]:
    return {DOCS / path: text for path, text in load_generator().pages().items()}


def anchors(page: Path) -> set[str]:
    """What its headings are called in an address, by GitHub and mkdocs alike unless they repeat."""
    text = generated().get(page) or page.read_text()
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def dead_links(page: Path) -> list[str]:
    """The links within the repository that lead nowhere."""
    links = [link for link in _LINK.findall(_CODE.sub("", page.read_text())) if "://" not in link]
    return [link for link in links if not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    exists = target.exists() or target in generated()
    if DOCS in page.parents and DOCS not in target.parents:
        return False  # the site is made of docs/ alone
    return exists and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_snippets_lead_somewhere(page: Path):
    assert dead_links(page) == []
    assert [path for path in _SNIPPET.findall(page.read_text()) if not (ROOT / path).is_file()] == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A *title*\n[a](#a-title) [b](#nowhere) [c](gone.md) `[d](gone.md)` [e](page.md#a-title)\n")
    assert dead_links(page) == ["#nowhere", "gone.md"]


def test_the_site_cannot_link_to_what_is_not_in_it():
    page = DOCS / "index.md"
    assert leads_somewhere(page, "judging.md#what-is-compared")
    assert not leads_somewhere(page, "../README.md")
    assert leads_somewhere(ROOT / "README.md", "docs/index.md")


def test_every_page_and_no_other_is_in_the_navigation():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(leaves(nav)) == sorted(
        page.relative_to(DOCS).as_posix() for page in {*DOCS.glob("*.md"), *generated()}
    )


def leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for inner in node.values() if isinstance(node, dict) else node:
            yield from leaves(inner)


def test_every_choice_and_its_keys_are_in_the_reference():
    page = generated()[DOCS / "reference/keys.md"]
    for path in sorted(CONF.glob("*/*.yaml")):
        _, _, section = page.partition(f"### `{path.parent.name}={path.stem}`\n")
        assert section, path
        if path.parent.name not in ("experiment", "space"):  # whose yamls are shown as they are
            prefix = f"edit.{path.stem}." if path.parent.name == "edit" else f"{path.parent.name}."
            named = keys_in(re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0])
            assert named == set(keys_below(yaml.safe_load(path.read_text()) or {}, prefix)), path


def test_every_key_of_the_default_configuration_is_in_the_reference():
    keys = set(keys_below(yaml.safe_load(config_text([]))))
    assert keys - keys_in(generated()[DOCS / "reference/keys.md"]) == set()


def keys_in(page: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))


def keys_below(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, dict) and name != "_schema_":
            yield from keys_below(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" == "data.name" or name not in ("_target_", "_schema_", "defaults", "kind", "name"):
            yield f"{prefix}{name}"


def test_every_command_and_its_arguments_are_in_the_reference():
    page = generated()[DOCS / "reference/commands.md"]
    assert re.findall(r"^## `(.+)`$", page, re.MULTILINE) == list(COMMANDS)
    assert "| `--open` | and show it in a browser |" in page
    assert "| `--port PORT` |" in page


def test_a_key_says_its_value_what_is_allowed_and_what_it_is(tmp_path):
    (tmp_path / "optimizer").mkdir()
    path = tmp_path / "optimizer" / "mine.yaml"
    path.write_text("_target_: a.b\nsteps: 3 # how many\n_schema_:\n  steps: {type: int, min: 1, max: 9}\n")
    (key,) = load_generator().keys_of(path)
    assert key == ("optimizer.steps", 3, "whole number from 1 to 9", "how many")
