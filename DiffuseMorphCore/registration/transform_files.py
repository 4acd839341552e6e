"""Transforms for other programs: as ITK and Slicer, ANTs, FSL and FreeSurfer want them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import write_complete, write_image
from DiffuseMorphCore.linear import affine_transform, linear_map
from DiffuseMorphCore.registration.freesurfer_files import voxel_affine, write_lta, write_warp
from DiffuseMorphCore.transforms import write_transform

FORMATS = {
    "itk": ("transform.h5", "inverse_transform.h5"),
    "ants": ("0GenericAffine.mat", "1Warp.nii.gz", "1InverseWarp.nii.gz"),
    "fsl": ("warp.nii.gz", "inverse_warp.nii.gz"),
    "freesurfer": ("alignment.lta", "warp.mgz", "inverse_warp.mgz"),
}
"""The files of each format."""
_FSL_DISPLACEMENT = 2006  # NIfTI's intent code for displacements of FNIRT


def write_transforms(
    folder: Path,
    forward: sitk.Transform,
    backward: sitk.Transform,
    fixed: Grid | None,
    moving: Grid | None,
    format: str,
) -> list[str]:
    """Write a transform and its inverse into a folder.

    Parameters
    ----------
    forward, backward : fixed points to moving points, and back; mm, LPS.
    fixed, moving : the grids of the images; None where they are not known.
    format : ``"itk"``: both as composite transforms. ``"ants"``: an affine and two warps, for ``antsApplyTransforms -t
        1Warp.nii.gz -t 0GenericAffine.mat`` and, back, ``-t [0GenericAffine.mat,1] -t 1InverseWarp.nii.gz``. ``"fsl"``:
        two displacement fields that hold everything, for ``applywarp --ref=fixed --in=moving --warp=warp`` and the way
        back. ``"freesurfer"``: two warps that hold everything, and the alignment alone (of a chain the identity).

    Returns
    -------
    The names of the files.

    Raises
    ------
    DiffuseMorphError : an unknown format, an image's grid that is needed and not known, 2-D transforms for FSL or
        FreeSurfer, a format whose package is missing, or a file that cannot be written.
    """
    if format not in FORMATS:
        raise DiffuseMorphError(f"The format '{format}' is unknown: choose one of {', '.join(FORMATS)}.")
    names = FORMATS[format]
    if format == "itk":
        write_transform(forward, folder / names[0])
        write_transform(backward, folder / names[1])
    elif format == "ants":
        affine, fields = _affine_and_fields(forward, backward, fixed, moving)
        write_transform(affine, folder / names[0])
        for field, name in zip(fields, names[1:]):
            write_image(sitk.Cast(field, sitk.sitkVectorFloat32), folder / name)
    elif format == "freesurfer":
        _check_volumes(forward, "FreeSurfer")
        there, back = _dense(forward, fixed), _dense(backward, moving)
        write_lta(_affine_and_fields(forward, backward, fixed, moving)[0], fixed, moving, folder / names[0])
        for field, grids, name in ((there, (fixed, moving), names[1]), (back, (moving, fixed), names[2])):
            write_warp(sitk.GetArrayFromImage(field), *grids, folder / name)
    else:
        for transform, grids, name in ((forward, (fixed, moving), names[0]), (backward, (moving, fixed), names[1])):
            _write_fsl(transform, *grids, folder / name)
    return list(names)


def _affine_and_fields(
    forward: sitk.Transform, backward: sitk.Transform, fixed: Grid | None, moving: Grid | None
) -> tuple[sitk.AffineTransform, tuple[sitk.Image, sitk.Image]]:
    """A field followed by an affine map, and the field that follows the inverse of the latter.

    What is not of that form, as a chain of several, becomes one field on the image's grid, and the affine the identity.
    """
    there, back = _parts(forward), _parts(backward)
    is_field = [isinstance(part, sitk.DisplacementFieldTransform) for part in (there[0], back[-1])]
    if all(is_field) and all(part.IsLinear() for part in (*there[1:], *back[:-1])):
        rest = sitk.CompositeTransform([*reversed(there[1:]), sitk.AffineTransform(forward.GetDimension())])
        return affine_transform(*linear_map(rest)), (there[0].GetDisplacementField(), back[-1].GetDisplacementField())
    return sitk.AffineTransform(forward.GetDimension()), (_dense(forward, fixed), _dense(backward, moving))


def _parts(transform: sitk.Transform) -> list[sitk.Transform]:
    """The parts in the order in which points pass them."""
    flat = sitk.CompositeTransform([transform])
    flat.FlattenTransform()
    return [flat.GetNthTransform(number).Downcast() for number in reversed(range(flat.GetNumberOfTransforms()))]


def _dense(transform: sitk.Transform, grid: Grid | None) -> sitk.Image:
    """The displacements in mm, LPS, at the voxels of a grid."""
    if grid is None:
        raise DiffuseMorphError(
            "A transform file does not say on which grid its displacements are wanted: name the folders of results."
        )
    return sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, grid.size, grid.origin, grid.spacing, grid.direction
    )


def _write_fsl(transform: sitk.Transform, reference: Grid | None, source: Grid | None, path: Path) -> None:
    """A relative displacement field of FNIRT: from FSL's coordinates on the reference to those on the source."""
    _check_volumes(transform, "FSL")
    try:
        import nibabel
    except ImportError as error:
        raise DiffuseMorphError("The format fsl needs the package nibabel: pip install nibabel.") from error
    shifts = sitk.GetArrayFromImage(_dense(transform, reference))
    if source is None:
        _dense(transform, source)
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in reference.shape), indexing="ij")[::-1], axis=-1)
    voxels = voxels.reshape(-1, 3).astype(float)
    there = source.indices(reference.points(voxels) + shifts.reshape(-1, 3))
    change = _fsl_coordinates(there, source) - _fsl_coordinates(voxels, reference)
    image = nibabel.Nifti1Image(
        np.ascontiguousarray(change.reshape(*reference.shape, 3).transpose(2, 1, 0, 3), np.float32),
        voxel_affine(reference),
    )
    image.header.set_intent(_FSL_DISPLACEMENT, allow_unknown=True)
    image.set_qform(voxel_affine(reference), code=1)
    image.set_sform(voxel_affine(reference), code=1)
    image.header.set_xyzt_units("mm")
    write_complete(path, lambda part: nibabel.save(image, str(part)), image.get_data_dtype().itemsize * change.size)


def _fsl_coordinates(indices: np.ndarray, grid: Grid) -> np.ndarray:
    """Voxel indices in mm as FSL counts them: along the axes, the first turned round unless it already leads to the
    left (where the orientation is "radiological").
    """
    scaled = indices * np.array(grid.spacing)
    if np.linalg.det(voxel_affine(grid)[:3, :3]) > 0:
        scaled[:, 0] = (grid.size[0] - 1) * grid.spacing[0] - scaled[:, 0]
    return scaled


def _check_volumes(transform: sitk.Transform, program: str) -> None:
    if transform.GetDimension() != 3:
        raise DiffuseMorphError(f"{program} has no 2-D transforms: choose the format itk or ants.")
