"""What cannot be said in pyproject.toml: the list of packages, and the README with links that lead on from anywhere."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HOME = "https://github.com/DiffuseMorph/SlicerDiffuseMorph"
README = Path(__file__).with_name("README.md").read_text(encoding="utf-8")


def placed(link: re.Match) -> str:
    """A link or picture of the README, relative to it, by its place in the repository of the web."""
    picture, text, target = link.groups()
    return f"{picture}[{text}]({HOME}/{'raw' if picture else 'blob'}/main/{target})"


setup(
    # The bundled pair lies in Resources/SampleData, where the Slicer module finds it too. pyproject.toml maps that
    # folder into the package, and a mapped package cannot be found by looking for it.
    packages=[*find_packages(include=["DiffuseMorphCore", "DiffuseMorphCore.*"]), "DiffuseMorphCore.sample_data"],
    long_description=re.sub(r"(!?)\[([^\]]*)\]\((?!https://|#)([^)\s]+)\)", placed, README),
    long_description_content_type="text/markdown",
)
