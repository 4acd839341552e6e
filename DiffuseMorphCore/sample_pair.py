"""Where the two brains lie that come with the package."""

from __future__ import annotations

from pathlib import Path

from DiffuseMorphCore.errors import DiffuseMorphError

NAMES = ("icbm152_t1_brain_2mm.nii.gz", "colin27_t1_brain_2mm.nii.gz")


def sample_pair() -> tuple[Path, Path]:
    """The files of the bundled pair (fixed, moving): ICBM 152 average brain and Colin 27 brain, brain only, 2 mm.

    Raises DiffuseMorphError where neither an installed package nor a source tree holds them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "sample_data", package.parent / "Resources" / "SampleData"):
        if all((folder / name).is_file() for name in NAMES):
            return folder / NAMES[0], folder / NAMES[1]
    raise DiffuseMorphError("The two brains of the demo are not in this installation: install the package again.")
