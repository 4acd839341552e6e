"""The documentation as a site: it builds without a warning, every link inside it leads on, and nothing is loaded from
elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import DiffuseMorphCore
from DiffuseMorphCore.command_line import verb_parsers
from DiffuseMorphCore.options import declared

for name in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
    pytest.importorskip(name, reason="needs pip install '.[docs]'")


class Page(HTMLParser):
    """What a page links to, what it loads, and which places in it have names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        of = dict(attributes)
        self.names |= {of.get("id") or "", of.get("name") or ""}
        if tag == "a" and of.get("href"):
            self.links.append(of["href"])
        elif tag == "link" and of.get("rel") not in ("canonical", "next", "prev", "edit"):
            self.loads.append(of["href"])
        elif of.get("src"):
            self.loads.append(of["src"])


@pytest.fixture(scope="module")
def site(repository, tmp_path_factory) -> dict[Path, Page]:
    """Every page of the site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return {path: Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html") if path.name != "404.html"}


def target_of(page: Path, link: str) -> tuple[Path, str]:
    parts = urlsplit(link)
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return (path / "index.html" if path.is_dir() else path), unquote(parts.fragment)


def test_links_inside_the_site_lead_on(site, repository):
    inside = 0
    for path, page in site.items():
        for link in page.links:
            if urlsplit(link).scheme:
                start = "https://github.com/DiffuseMorph/SlicerDiffuseMorph/blob/main/"
                assert link.startswith("https://"), f"{path}: {link}"
                if link.startswith(start):
                    assert (repository / unquote(link[len(start) :].partition("#")[0])).exists(), f"{path}: {link}"
                continue
            target, name = target_of(path, link)
            assert target.is_file(), f"{path}: {link}"
            if name and target in site:
                assert name in site[target].names, f"{path}: {link}"
            inside += 1
    assert inside > 500


def test_pages_load_nothing_from_elsewhere(site):
    for path, page in site.items():
        for link in page.loads:
            assert not urlsplit(link).netloc and target_of(path, link)[0].is_file(), f"{path}: {link}"


def test_the_references_know_every_name_option_and_verb(site):
    (python,) = (path for path in site if path.parent.name == "python-reference")
    text = python.read_text(encoding="utf-8")
    for name in set(DiffuseMorphCore.__all__) - {"__version__"}:
        assert any(place.endswith(f".{name}") for place in site[python].names), name
    for name, option in declared().items():
        assert f">{name}</code>" in text and option.help.split("'")[0][:40] in text, name
    (shell,) = (path for path in site if path.parent.name == "shell-reference")
    text = shell.read_text(encoding="utf-8")
    for verb, parser in verb_parsers().items():
        assert f"diffusemorph-{verb}" in site[shell].names
        assert all(option in text for action in parser._actions for option in action.option_strings)


def test_equations_are_drawn_by_the_browser(site):
    (method,) = (path for path in site if path.parent.name == "method")
    text = method.read_text(encoding="utf-8")
    assert text.count("<math ") == 3 and "\\phi" not in text
