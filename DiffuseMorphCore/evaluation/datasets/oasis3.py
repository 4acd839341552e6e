"""OASIS-3 with its FreeSurfer results: `OAS3NNNN_FreesurferVV_dDDDD/`, in each `mri/brain.mgz`, `mri/aseg.mgz` and
`mri/transforms/talairach.xfm`, at any depth below it.

Preparation follows the paper's section 4: 256 cubed voxels of 1 mm and brain extraction are FreeSurfer's own; the
affine normalisation is its Talairach transform; every image is cut to 160 x 192 x 224 voxels in the order L-R, I-S,
A-P.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets.scan import DataSet, Scan, ScanPair

# Shares of the paper's 1027, 93 and 129 scans, cut between people so that nobody is in two splits.
SHARES = {"train": 1027, "validation": 93, "test": 129}

STRUCTURES = {
    2: "left cerebral white matter",
    41: "right cerebral white matter",
    3: "left cerebral cortex",
    42: "right cerebral cortex",
    4: "left lateral ventricle",
    43: "right lateral ventricle",
    7: "left cerebellum white matter",
    46: "right cerebellum white matter",
    8: "left cerebellum cortex",
    47: "right cerebellum cortex",
    10: "left thalamus",
    49: "right thalamus",
    11: "left caudate",
    50: "right caudate",
    12: "left putamen",
    51: "right putamen",
    13: "left pallidum",
    52: "right pallidum",
    14: "third ventricle",
    15: "fourth ventricle",
    16: "brain stem",
    17: "left hippocampus",
    53: "right hippocampus",
    18: "left amygdala",
    54: "right amygdala",
    26: "left accumbens",
    58: "right accumbens",
    28: "left ventral DC",
    60: "right ventral DC",
}

# FreeSurfer works on cubes of 256 voxels of 1 mm.
SIDE = 256

# The common grid in MNI305 space: columns run left to right, rows superior to inferior, planes posterior to anterior.
GRID_SIZE = (160, 192, 224)
GRID_DIRECTION = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, -1.0, 0.0)
# The middle (LPS, mm) of the box that the neurite release cuts out, so that both brain sets show the same region.
BRAIN_MIDDLE = (0.0, 13.0, 1.0)


class Oasis3(DataSet):
    """Every scan is registered to one atlas: the first scan in the order of names, which is in no split.

    Splits are cut by person in the proportions of the paper's 1027, 93 and 129 scans, in the order of names. `side` is
    that of FreeSurfer's cubes.
    """

    name = "oasis3"
    title = "OASIS-3 with FreeSurfer"
    ndim = 3
    structures = STRUCTURES

    def __init__(self, folder: str | Path | None, size: tuple[int, int, int] = GRID_SIZE, side: int = SIDE):
        super().__init__(folder)
        self.size, self.side = size, side
        sessions = {path.parents[1]: self._session(path) for path in self.folder.rglob("mri/brain.mgz")}
        self.sessions = sorted((name, path) for path, name in sessions.items())
        if len(self.sessions) < 4:
            raise DiffuseMorphError(
                f"The folder '{self.folder}' holds {len(self.sessions)} FreeSurfer results with "
                "mri/brain.mgz, and at least 4 are needed: give the folder of OASIS-3 with "
                "--data."
            )

    def _session(self, path: Path) -> str:
        for parent in path.relative_to(self.folder).parents:
            if re.match(r"OAS3\d{4}", parent.name):
                return parent.name
        raise DiffuseMorphError(
            f"The file '{path}' is in no folder named OAS3NNNN_FreesurferVV_dDDDD: keep OASIS-3's names."
        )

    def scan(self, name: str, folder: Path) -> Scan:
        files = [
            self.required(folder.relative_to(self.folder) / file)
            for file in ("mri/brain.mgz", "mri/aseg.mgz", "mri/transforms/talairach.xfm")
        ]
        return Scan(
            name,
            name[:8],
            partial(read_normalised, files[0], files[2], self.size, sitk.sitkLinear, self.side),
            partial(read_normalised, files[1], files[2], self.size, sitk.sitkNearestNeighbor, self.side),
        )

    def atlas(self) -> Scan:
        return self.scan(*self.sessions[0])

    def pairs(self, split: str) -> list[ScanPair]:
        self.check_split(split)
        atlas = self.atlas()
        others = [entry for entry in self.sessions[1:] if entry[0][:8] != atlas.subject]
        people = list(dict.fromkeys(name[:8] for name, _ in others))
        shares = np.cumsum([SHARES[name] for name in self.splits]) / sum(SHARES.values())
        ends = np.round(shares * len(people)).astype(int)
        where = self.splits.index(split)
        chosen = people[ends[where - 1] if where else 0 : ends[where]]
        return [ScanPair(self.scan(*entry), atlas) for entry in others if entry[0][:8] in chosen]


def common_grid(size: tuple[int, int, int] = GRID_SIZE) -> sitk.Image:
    """An empty image on the common grid: `size` voxels of 1 mm around the middle of the brain in MNI305."""
    grid = sitk.Image([int(side) for side in size], sitk.sitkUInt8)
    direction = np.array(GRID_DIRECTION).reshape(3, 3)
    middle = np.array(BRAIN_MIDDLE)
    grid.SetDirection(GRID_DIRECTION)
    grid.SetOrigin((middle - direction @ ((np.array(size) - 1) / 2)).tolist())
    return grid


def read_mgz(path: Path) -> sitk.Image:
    """A FreeSurfer volume with its place in the world (LPS). Raises DiffuseMorphError where it cannot be read."""
    try:
        import nibabel
    except ImportError as error:
        raise DiffuseMorphError(
            "FreeSurfer volumes (.mgz) need the package nibabel: install it and run again."
        ) from error
    try:
        volume = nibabel.load(path)
        array = np.asanyarray(volume.dataobj)
    except Exception as error:  # nibabel raises whatever its readers meet in a damaged file
        raise DiffuseMorphError(f"The file '{path}' cannot be read as a FreeSurfer volume: get a new copy.") from error
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    # FreeSurfer stores big-endian numbers, which SimpleITK does not take.
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T.astype(array.dtype.newbyteorder("="))))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def read_talairach(path: Path) -> sitk.AffineTransform:
    """FreeSurfer's linear transform from scanner to MNI305 coordinates, turned into LPS. Raises DiffuseMorphError."""
    found = re.search(r"Linear_Transform\s*=\s*([^;]+);", path.read_text(encoding="utf-8"))
    values = found.group(1).split() if found else []
    if len(values) != 12:
        raise DiffuseMorphError(
            f"The file '{path}' holds no linear transform of 12 numbers: run FreeSurfer again for it."
        )
    matrix = np.array(values, dtype=float).reshape(3, 4)
    flip = np.diag([-1.0, -1.0, 1.0])
    transform = sitk.AffineTransform(3)
    transform.SetMatrix((flip @ matrix[:, :3] @ flip).ravel().tolist())
    transform.SetTranslation((flip @ matrix[:, 3]).tolist())
    return transform


def read_normalised(
    path: Path, talairach: Path, size: tuple[int, int, int], interpolator: int, side: int = SIDE
) -> sitk.Image:
    """A FreeSurfer volume on the common grid. Raises DiffuseMorphError unless it is a cube of `side` voxels of 1 mm."""
    image = read_mgz(path)
    if image.GetSize() != (side,) * 3 or not np.allclose(image.GetSpacing(), 1, atol=1e-3):
        raise DiffuseMorphError(
            f"The file '{path}' is not the cube of {side} voxels of 1 mm that FreeSurfer makes: "
            "take the one in its own folder mri."
        )
    if interpolator == sitk.sitkLinear:
        image = sitk.Cast(image, sitk.sitkFloat32)
    return sitk.Resample(
        image, common_grid(size), read_talairach(talairach).GetInverse(), interpolator, 0, image.GetPixelID()
    )
