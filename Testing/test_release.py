"""What a release states of itself agrees: one version, one paper, a changelog that knows the version."""

from __future__ import annotations

import re

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
