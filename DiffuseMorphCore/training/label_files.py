"""Where label maps lie: volumes in a folder, or one packed file that needs nothing but numpy to be read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.files import completed, reason_not_written

SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
PACKED = ".npz"
FORMAT = "DiffuseMorph label maps 1"


@dataclass(frozen=True)
class LabelFile:
    """One person's label map, not yet read.

    path : its volume, or the packed file that it is part of. entry : its name in the packed file; None for a volume.
    """

    path: Path
    entry: str | None = None

    @property
    def name(self) -> str:
        """What the person is called."""
        return self.entry or self.path.name.split(".")[0]

    def __str__(self) -> str:
        return str(self.path) if self.entry is None else f"{self.path}: {self.entry}"

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """(labels, spacing): whole numbers (D, H, W) in LPS order, 0 the background, and mm of a voxel (z, y, x).

        Raises DiffuseMorphError for what is no label map.
        """
        return self._volume() if self.entry is None else self._unpacked()

    def _volume(self) -> tuple[np.ndarray, np.ndarray]:
        import SimpleITK as sitk

        from DiffuseMorphCore.images import read_image

        image = read_image(self.path)
        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
            raise DiffuseMorphError(f"The label map '{self.path}' must be a 3-D volume with one number per voxel.")
        image = sitk.DICOMOrient(image, "LPS")
        array = np.rint(sitk.GetArrayFromImage(image)).astype(np.int32)
        array[array < 0] = 0
        return array, np.array(image.GetSpacing()[::-1], dtype=np.float64)

    def _unpacked(self) -> tuple[np.ndarray, np.ndarray]:
        try:
            with np.load(self.path, allow_pickle=False) as content:
                labels, spacing = content[f"{self.entry}/labels"], content[f"{self.entry}/spacing"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(self.path) from error
        if labels.ndim != 3 or labels.dtype.kind not in "iu" or spacing.shape != (3,) or not (spacing > 0).all():
            raise _damaged(self.path)
        return labels.astype(np.int32), spacing.astype(np.float64)


def find_label_maps(source: str | Path, names: Sequence[str] | None = None) -> list[LabelFile]:
    """The label maps of a folder, that is every file whose suffix is a volume's, or of a packed file; sorted by name.

    names : only those whose name starts with one of them.

    Raises DiffuseMorphError when there is no such folder or file, or nothing in it fits.
    """
    source = Path(source).expanduser()
    if source.is_file():
        files = [LabelFile(source, entry) for entry in _entries(source)]
    elif source.is_dir():
        files = [LabelFile(path) for path in sorted(source.iterdir()) if path.name.lower().endswith(SUFFIXES)]
    else:
        raise DiffuseMorphError(
            f"The folder of label maps '{source}' does not exist: give one with volumes in it, or a packed file."
        )
    if names:
        files = [file for file in files if file.name.startswith(tuple(names))]
    if not files:
        wanted = f" whose name starts with {', '.join(names)}" if names else ""
        kinds = "" if source.is_file() else f" ({', '.join(SUFFIXES)})"
        raise DiffuseMorphError(f"'{source}' holds no label map{wanted}{kinds}.")
    return files


def pack_label_maps(
    files: Sequence[LabelFile],
    target: str | Path,
    spacing: float,
    report: Callable[[float], None] = lambda fraction: None,
) -> Path:
    """Write label maps into one file, which :func:`find_label_maps` takes in place of their folder.

    Every map is cut to the box of its anatomy and brought to about ``spacing`` mm, see :func:`coarsened`, never finer
    than it is; then it is compressed without loss. All labels are kept, those outside the brain too.

    Parameters
    ----------
    target : the file, ending in .npz. spacing : mm. report : called with the fraction done; it may raise to stop.

    Raises
    ------
    DiffuseMorphError : a file that is no label map, a target with another ending or that cannot be written, two people
        of one name.
    """
    target = Path(target).expanduser()
    if target.suffix.lower() != PACKED:
        raise DiffuseMorphError(f"The packed file '{target}' must end in {PACKED}: give it such a name.")
    names = [file.name for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DiffuseMorphError(f"Two label maps are called '{twice}': rename one of them, so that both can be packed.")
    arrays = {"format": np.array(FORMAT)}
    for number, file in enumerate(files):
        report(number / len(files))
        labels, original = cropped(file)
        labels, sizes = coarsened(labels, original, spacing)
        kind = np.uint8 if labels.max() < 256 else np.uint16 if labels.max() < 65536 else np.int32
        arrays |= {f"{file.name}/labels": labels.astype(kind), f"{file.name}/spacing": sizes}
    try:
        with completed(target) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    except OSError as error:
        size = sum(array.nbytes for array in arrays.values())
        raise DiffuseMorphError(
            f"The file '{target}' could not be written: {reason_not_written(error, target.parent, size)}."
        ) from error
    report(1.0)
    return target


def cropped(file: LabelFile, drop: Sequence[int] = ()) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a file, cut to the box of the anatomy, and the size of their voxels; see :meth:`LabelFile.read`.

    drop : labels to take for background. Raises DiffuseMorphError where nothing else is left.
    """
    array, spacing = file.read()
    if len(drop):
        array[np.isin(array, list(drop))] = 0
    if not array.any():
        raise DiffuseMorphError(f"The label map '{file}' has no label left but the background.")
    box = []
    for axis in range(3):
        filled = np.flatnonzero(array.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(filled[0], filled[-1] + 1))
    return array[tuple(box)], spacing


def coarsened(array: np.ndarray, original: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels on a grid of about ``spacing`` mm, where every voxel gets the label that fills most of it, and the exact
    size of its voxels (z, y, x) in mm; ``original`` is that of the array. No axis gets more voxels than it has.
    """
    shape = [min(size, max(2, round(size * step / spacing))) for size, step in zip(array.shape, original)]
    sizes = np.array([size * step / new for size, step, new in zip(array.shape, original, shape)])
    if tuple(shape) == array.shape:
        return array, sizes
    best, labels = torch.zeros(1, 1, *shape), np.zeros(shape, array.dtype)
    for label in np.unique(array):
        here = torch.from_numpy((array == label).astype(np.float32))[None, None]
        share = functional.adaptive_avg_pool3d(here, shape)
        labels[(share > best)[0, 0].numpy()] = label
        best = torch.maximum(best, share)
    return labels, sizes


def _entries(path: Path) -> list[str]:
    """The people in a packed file, by name."""
    try:
        with np.load(path, allow_pickle=False) as content:
            if str(content["format"]) != FORMAT:
                raise _damaged(path)
            return sorted(name.removesuffix("/labels") for name in content.files if name.endswith("/labels"))
    except (OSError, KeyError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> DiffuseMorphError:
    return DiffuseMorphError(
        f"The file '{path}' holds no packed label maps, or is damaged: make it with 'diffusemorph train --pack FOLDER "
        f"FILE{PACKED}'."
    )
