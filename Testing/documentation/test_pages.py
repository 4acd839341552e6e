"""The README and the pages of the documentation: what they show works as it stands, and every link leads on."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from pathlib import Path

import pytest

from DiffuseMorphCore.command_line import VERBS, build_parser, main, verb_parsers

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "Resources" / "Documentation").glob("*.md"))]
LINKED = [
    *PAGES,
    *(REPOSITORY / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "DiffuseMorphCore/evaluation/README.md")),
    *sorted((REPOSITORY / "Resources" / "Results").glob("*.md")),
]
OF_OTHER_PROGRAMS = {
    "--ref",
    "--in",
    "--warp",
    "--out",
    "--nproc-per-node",
    "--nthreads",
    "--resources",
    "--partition",
    "--time",
}


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and code of every block, from top to bottom."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def commands(language: str, code: str) -> list[str]:
    """The commands of this program in a block, without installing and without those that other tests run."""
    lines = re.split(r"\n|&&", code.replace("\\\n", " ")) if language == "bash" else []
    return [line.strip() for line in lines if re.match(r"\s*(\S*/)?diffusemorph ", line)]


def run(command: str) -> None:
    """Run a command as a shell would, in this process."""
    words = shlex.split(command, comments=True)[1:]
    if words == ["demo"]:  # has tests of its own
        assert build_parser().parse_args(words).run
        return
    if ">" in words:
        target = words.index(">")
        with open(words[target + 1], "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            code = main(words[:target])
        shrink(Path(words[target + 1]))
    else:
        code = main(words)
    assert code == 0, command


def shrink(settings: Path) -> None:
    """Settings of a training as a page tells to change them: for the images at hand, and for seconds."""
    text = settings.read_text(encoding="utf-8")
    for old, new in (
        (r"shape = \[\d.*?\]", "shape = [16, 16, 16]"),
        (r"spacing = \d[\d.]*", "spacing = 4.0"),
        (r"(held_out|every|pairs) = \d+", r"\1 = 1"),
        (r"steps = \d+", "steps = 2"),
        (r"until = \d+", "until = 1"),
    ):
        text = re.sub(f"^{old}", new, text, flags=re.M)
    settings.write_text(text, encoding="utf-8")


def work_through(page: Path) -> dict:
    """Run everything that a page shows, from its top to its end; the names that its examples in Python leave."""
    names: dict = {}
    for language, code in blocks(page):
        assert language in ("bash", "python", "math", "text"), f"a block of '{language}' is not tested"
        for command in commands(language, code):
            run(command)
        if language == "python":
            exec(compile(code, name_of(page), "exec"), names)
    return names


@pytest.mark.parametrize("page", [page for page in PAGES[1:] if page.stem not in ("slicer", "result")], ids=name_of)
def test_commands_and_examples_of_a_page_work(page, at_work):
    work_through(page)


def test_the_example_of_the_readme_registers(at_work):
    names = work_through(PAGES[0])
    assert names["moved"].GetSize() == names["halfway"].GetSize() == names["labels"].GetSize()
    assert names["result"].report["similarity"]["registered"] > names["result"].report["similarity"]["initial"]
    there = names["inverse"].TransformPoint((10.0, -20.0, 5.0))
    assert max(abs(a - b) for a, b in zip(there, names["points"][0])) < 1e-6


def test_the_report_has_the_keys_that_the_page_names(at_work):
    page = REPOSITORY / "Resources" / "Documentation" / "result.md"
    work_through(page)
    report = json.loads(Path("judged/report.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", page.read_text(encoding="utf-8").split("## What the report")[1], re.M)
    keys = {key: content for left, content in rows for key in re.findall(r"`(\w+)`", left)}
    assert len(keys) >= 13 and set(keys) <= set(report)
    for key in ("verdict", "similarity", "folding", "displacement_mm"):
        assert set(re.findall(r"`(\w+)`", keys[key])) <= set(report[key])


def test_options_and_verbs_named_in_the_pages_exist():
    verbs = verb_parsers()
    assert sum(len(modules) for modules in VERBS.values()) == len(verbs)
    known = {option for verb in verbs.values() for action in verb._actions for option in action.option_strings}
    for page in PAGES:
        text = re.sub(r"^docker .*$", "", page.read_text(encoding="utf-8"), flags=re.M)
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)) - OF_OTHER_PROGRAMS
        if page.name in ("README.md", "results.md"):  # commands of the benchmarks, and of other programs
            named &= known | {option for option in named if f"`{option}" in text}
        assert named <= known | {"--help"}, f"{page.name}: {named - known}"
        for verb in re.findall(r"`diffusemorph ([a-z]+)", text):
            assert verb in verbs, f"{page.name}: {verb}"


@pytest.mark.parametrize("name", ["troubleshooting", "slicer"])
def test_quoted_messages_are_those_of_the_program(name):
    source = ""
    for folder in ("DiffuseMorphCore", "DiffuseMorphSlicer"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            source += re.sub(r'"\s*\n\s*f?"', "", file.read_text(encoding="utf-8"))  # one text over several lines
    text = (REPOSITORY / "Resources" / "Documentation" / f"{name}.md").read_text(encoding="utf-8")
    quoted = [quote for row in re.findall(r"^\| (.*?) \|", text, flags=re.M) for quote in re.findall('"([^"]+)"', row)]
    assert len(quoted) >= 5
    for quote in quoted:
        for part in quote.split("…"):
            assert part.strip() in source, quote


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_and_pictures_are_there(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for target in targets:
        if re.fullmatch(r"https://[\w.-]+(/\S*)?", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(REPOSITORY) and file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.M)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name} links to {target}"


def test_every_page_is_reached_from_the_first():
    seen, waiting = set(), [PAGES[0]]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            for target in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8")):
                if "://" not in target:
                    waiting.append((page.parent / target).resolve())
    assert {page for page in PAGES if page.stem != "index"} <= seen


def test_lines_are_as_short_as_those_of_the_code():
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 120 or re.match(r"\||!\[|\$\(command", line), f"{page.name}: {line}"
