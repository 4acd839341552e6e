"""What the site adds to the pages: figures and results that lie beside them, the command's own help, equations."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

REPOSITORY = Path(__file__).resolve().parents[2]
RESOURCES = REPOSITORY / "Resources"
BRANCH = "blob/main"
BESIDE = {
    **{path: path.relative_to(RESOURCES) for path in (RESOURCES / "Results").rglob("*.*") if path.is_file()},
    **{path: path.relative_to(RESOURCES) for path in (RESOURCES / "Screenshots").glob("*.png")},
    RESOURCES / "Icons" / "DiffuseMorph.png": Path("DiffuseMorph.png"),
    REPOSITORY / "CHANGELOG.md": Path("CHANGELOG.md"),
}
"""Files outside the folder of pages that the site has too, and where."""


def on_config(config):
    """Have blocks of the language math turned into MathML, which browsers draw without a program."""
    config.mdx_configs["pymdownx.superfences"] = {
        "custom_fences": [{"name": "math", "class": "math", "format": equation}]
    }
    return config


def equation(source, language, css_class, options, md, **settings) -> str:
    """A block of LaTeX as MathML."""
    return f'<div class="math">{convert(source, display="block")}</div>'


def on_files(files, config):
    """Add the files beside the pages, and the page of the command's help."""
    for path, place in BESIDE.items():
        files.append(File.generated(config, place.as_posix(), abs_src_path=str(path)))
    files.append(File.generated(config, "shell-reference.md", content=shell_reference()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links that leave the folder of pages to where the site, or else the repository, has their targets."""
    if page.file.abs_src_path is None:
        return markdown
    here = Path(page.file.abs_src_path).resolve()
    places = {Path(file.abs_src_path).resolve(): file.src_uri for file in files if file.abs_src_path is not None}

    def led(match: re.Match) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or "://" in target:
            return match[0]
        path = (here.parent / target).resolve()
        if path in places:
            new = Path(os.path.relpath(places[path], Path(page.file.src_uri).parent)).as_posix()
            if path.suffix == ".ipynb":  # which is a page of the site, too
                new = new.removesuffix(".ipynb") + ".md"
        elif path.exists() and path.is_relative_to(REPOSITORY):
            new = f"{config.repo_url.rstrip('/')}/{BRANCH}/{path.relative_to(REPOSITORY).as_posix()}"
        else:
            return match[0]  # reported by the strict build
        return f"{match['before']}{new}{'#' if anchor else ''}{anchor}{match['after']}"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    for k in range(0, len(parts), 2):
        # A picture with a width is written in HTML, for GitHub; MkDocs places only those in Markdown.
        part = re.sub(r'<img src="([^"]+)" alt="([^"]*)" width="(\d+)">', r'![\2](\1){ width="\3" }', parts[k])
        parts[k] = re.sub(r"(?P<before>\]\()(?P<target>[^)\s]+)(?P<after>\))", led, part)
    return "".join(parts)


def shell_reference() -> str:
    """A page with the help of every verb, as the command prints it."""
    if str(REPOSITORY) not in sys.path:
        sys.path.insert(0, str(REPOSITORY))
    os.environ["COLUMNS"] = "100"
    from DiffuseMorphCore.command_line import verb_parsers

    lines = ["# Reference: shell", "", "What `diffusemorph VERB --help` prints.", ""]
    for name, verb in verb_parsers().items():
        lines += [f"## diffusemorph {name}", "", "```text", verb.format_help().rstrip(), "```", ""]
    return "\n".join(lines)
