"""What a release states of itself agrees: one version, one paper, a changelog that knows the version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
import yaml

from DiffuseMorphCore import __version__


def test_the_citation_names_this_version_and_the_paper_that_the_readme_names(repository):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["version"] == __version__
    paper = citation["preferred-citation"]
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert paper["doi"] in readme and paper["title"] in readme
    assert [author["family-names"] for author in paper["authors"]] == ["Kim", "Han", "Ye"]
    homepage = re.search(r'EXTENSION_HOMEPAGE "(.*)"', (repository / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert citation["repository-code"] == homepage.group(1)


def test_the_changelog_begins_with_this_version(repository):
    text = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\d+\.\d+\.\d+)", text, flags=re.M).group(1) == __version__


def test_the_workflow_builds_once_tests_what_it_built_and_publishes_only_tags(repository):
    text = (repository / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert [name for name, job in jobs.items() if "python -m build" in str(job)] == ["build"]
    assert set(jobs["publish"]["needs"]) == {"installed", "tests"} and "tag" in jobs["publish"]["if"]
    assert all(job.get("needs") or name == "build" for name, job in jobs.items())
    assert {job.get("if") for name, job in jobs.items() if "id-token" in str(job.get("permissions"))} != {None}


@pytest.mark.skipif(shutil.which("awk") is None, reason="needs awk")
def test_the_notes_of_a_release_are_its_part_of_the_changelog(repository, tmp_path):
    workflow = (repository / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    (line,) = re.findall(r"awk -v version=.*?' CHANGELOG\.md", workflow)
    (tmp_path / "CHANGELOG.md").write_text("# C\n\n## 0.2.0\n\nnew\n\n## 0.1.0, a date\n\nold\n", encoding="utf-8")
    for version, notes in (("0.2.0", "## 0.2.0\n\nnew\n\n"), ("0.1.0", "## 0.1.0, a date\n\nold\n")):
        run = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=os.environ | {"version": version}, capture_output=True, text=True
        )
        assert run.stdout == notes


def test_the_container_gets_what_the_package_is_built_from_and_its_python_is_new_enough(repository):
    recipe = (repository / "Dockerfile").read_text(encoding="utf-8")
    copied = " ".join(re.findall(r"^COPY (?!--from)(.*) /source", recipe, flags=re.M)).split()
    for name in copied:
        assert (repository / name).exists(), name
    allowed = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed[0] == "*" and {f"!{name}" for name in copied} <= set(allowed)
    pinned = re.search(r"torch==\S+", recipe).group()
    assert pinned in (repository / "README.md").read_text(encoding="utf-8")
