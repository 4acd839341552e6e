"""The list of packages, found in the tree; everything else about the package stands in pyproject.toml."""

from setuptools import find_packages, setup

# The bundled pair lies in Resources/SampleData, where the Slicer module finds it too. pyproject.toml maps that folder
# into the package, and a mapped package cannot be found by looking for it.
setup(packages=[*find_packages(include=["DiffuseMorphCore", "DiffuseMorphCore.*"]), "DiffuseMorphCore.sample_data"])
