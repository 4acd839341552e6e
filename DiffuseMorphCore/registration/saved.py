"""A registration on disk: its deformation at every eta in one file, and the folder that it is read back from."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import as_image, check_image, printable, read_image, write_complete
from DiffuseMorphCore.images.geometry import shift_in_voxels
from DiffuseMorphCore.linear import affine_transform, linear_map
from DiffuseMorphCore.options import RegistrationOptions, declared
from DiffuseMorphCore.registration.inputs import Image
from DiffuseMorphCore.registration.mapping import Mapping
from DiffuseMorphCore.registration.prepare import SlicePlane, prepare
from DiffuseMorphCore.registration.result import Registration
from DiffuseMorphCore.samplers import EtaPath

DEFORMATION = "deformation.npz"
REPORT = "report.json"
_VERSION = 1
_LARGEST_SHIFT = 0.01  # voxels that an image may lie off the one that was registered


@dataclass(frozen=True)
class SavedDeformation:
    """What the file of a deformation holds.

    region : the part of the mapping's grid that was registered. fixed, moving : the grids of the images.
    """

    mapping: Mapping
    region: Grid
    fixed: Grid
    moving: Grid


def write_deformation(result: Registration, path: Path) -> None:
    """Write the deformation of a registration at every eta.

    The field at eta 1 is stored exactly, also on the finer grid on which it may be known; those between as 16-bit
    numbers by which they deviate from the straight way there, which errs by less than a thousandth of that deviation.

    Raises DiffuseMorphError where it cannot be written.
    """
    mapping = result.mapping
    end = mapping.path.end.values.numpy()
    share = np.array(mapping.path.etas, np.float32).reshape(-1, *[1] * (end.ndim - 1))
    bends = (mapping.path.keyframes.numpy() - share * end)[:-1].astype(np.float16)
    if not bends.any():
        bends = bends[:0]
    fields = {"end": end, "bends": bends}
    grids = {"deformation": mapping.path.grid, "region": result.region}
    if mapping.path.fine_end is not None:
        fields["fine_end"], grids["fine_end"] = mapping.path.fine_end.values.numpy(), mapping.path.fine_end.grid
    grids |= {"fixed": Grid.of(result.fixed), "moving": Grid.of(result.moving)}
    matrix, offset = linear_map(mapping.alignment)
    header = {
        "version": _VERSION,
        "etas": list(mapping.path.etas),
        "alignment": [matrix.tolist(), offset.tolist()],
        "alignment_follows_eta": mapping.alignment_follows_eta,
        "planes": None if mapping.planes is None else [_plain(plane) for plane in mapping.planes],
        "grids": {name: _plain(grid) for name, grid in grids.items()},
    }

    def write(part: Path) -> None:
        with open(part, "wb") as file:
            np.savez(file, header=np.array(json.dumps(header)), **fields)
        read_deformation(part)

    write_complete(path, write, sum(each.nbytes for each in fields.values()))


def read_deformation(path: str | Path) -> SavedDeformation:
    """Read what :func:`write_deformation` wrote.

    Raises DiffuseMorphError where the file is missing, damaged, or of a later version.
    """
    path = Path(path)
    if not path.is_file():
        raise DiffuseMorphError(f"There is no file '{printable(path)}': register again, or give a transform file.")
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["version"] == _VERSION:
                return _deformation(header, file)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DiffuseMorphError(
            f"The file '{printable(path)}' is damaged or no deformation of DiffuseMorph: copy it again, or register "
            "again."
        ) from error
    raise DiffuseMorphError(f"The file '{printable(path)}' is of a later version of DiffuseMorph: update it.")


def read_report(folder: str | Path) -> dict[str, Any]:
    """The report of a folder of results. Raises DiffuseMorphError where the folder is none, or incomplete."""
    path = Path(folder) / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DiffuseMorphError(
            f"The folder '{printable(folder)}' holds no result of a registration ({REPORT} is missing or damaged): "
            "name the folder that was given as --output."
        ) from error
    if not isinstance(report, dict) or "settings" not in report:
        raise DiffuseMorphError(f"The file '{printable(path)}' is no report of a registration: name another folder.")
    return report


def load_result(folder: str | Path, fixed: Image | None = None, moving: Image | None = None) -> Registration:
    """Read a folder that ``diffusemorph register`` wrote, without registering anew.

    Parameters
    ----------
    folder : holds the report and the deformation.
    fixed, moving : the images that were registered, in any form; by default the files that the report names.

    Returns
    -------
    The registration at any eta: transforms, images, labels, points, Jacobian. Only its uncertainty needs a new
    registration.

    Raises
    ------
    DiffuseMorphError : no such result, an image that is not there any more, or another than was registered.
    """
    report, saved = read_report(folder), read_deformation(Path(folder) / DEFORMATION)
    images = [
        _registered_image(given, role, report, grid)
        for given, role, grid in ((fixed, "fixed", saved.fixed), (moving, "moving", saved.moving))
    ]
    settings = {name: value for name, value in report["settings"].items() if name in declared()}
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    options = replace(RegistrationOptions(**settings), modality=report["modality"]["name"])
    mapping = saved.mapping
    return Registration(*images, mapping.alignment, mapping.path, saved.region, report, options, mapping.planes)


def _registered_image(given: Image | None, role: str, report: dict[str, Any], grid: Grid) -> sitk.Image:
    if given is None:
        file = report.get("files", {}).get(role)
        if file is None or not Path(file).exists():
            where = "" if file is None else f" ('{file}')"
            raise DiffuseMorphError(
                f"The {role} image that was registered{where} is not there any more: give it as {role}=."
            )
        image, name = read_image(file, resample_slices=True), f"{role} image '{file}'"
    else:
        image, name = as_image(given, f"{role} image")
    image = prepare(check_image(image, name), name).original
    place = sitk.Image([1] * grid.ndim, sitk.sitkUInt8)
    grid.place(place)
    if Grid.of(image).size != grid.size or shift_in_voxels(image, place) > _LARGEST_SHIFT:
        raise DiffuseMorphError(
            f"The {name} lies on another grid than the one that was registered: give the very image."
        )
    return image


def _deformation(header: dict[str, Any], fields: dict[str, np.ndarray]) -> SavedDeformation:
    end, bends = fields["end"], fields["bends"]
    grids = {name: Grid(**{key: tuple(value) for key, value in grid.items()}) for name, grid in header["grids"].items()}
    etas = tuple(header["etas"])
    share = np.array(etas, np.float32).reshape(-1, *[1] * (end.ndim - 1))
    keyframes = share * end
    if len(bends):
        keyframes[:-1] += bends
    fine = None
    if "fine_end" in grids:
        fine = Displacement(torch.from_numpy(np.ascontiguousarray(fields["fine_end"], np.float32)), grids["fine_end"])
    path = EtaPath(etas, torch.from_numpy(np.ascontiguousarray(keyframes, np.float32)), grids["deformation"], fine)
    planes = header["planes"] and tuple(
        SlicePlane(tuple(plane["origin"]), tuple(plane["direction"]), plane["thickness"]) for plane in header["planes"]
    )
    alignment = affine_transform(*(np.array(each) for each in header["alignment"]))
    mapping = Mapping(alignment, path, planes, header["alignment_follows_eta"])
    return SavedDeformation(mapping, grids["region"], grids["fixed"], grids["moving"])


def _plain(place: Grid | SlicePlane) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(place).items()}
