"""The inverse of any transform that has one, part by part."""

from __future__ import annotations

import SimpleITK as sitk

from DiffuseMorphCore.displacement import Displacement
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.working_grid import inverse_shape
from DiffuseMorphCore.samplers import EtaPath


def inverted(transform: sitk.Transform, name: str) -> sitk.Transform:
    """The transform that leads back: linear parts and displacement fields are inverted, the order of parts is turned.

    name : what messages call the transform.

    Raises
    ------
    DiffuseMorphError : a field that folds, or a part that is neither linear nor a displacement field.
    """
    transform = transform.Downcast()
    if isinstance(transform, sitk.CompositeTransform):
        parts = [transform.GetNthTransform(number) for number in range(transform.GetNumberOfTransforms())]
        return sitk.CompositeTransform([inverted(part, name) for part in reversed(parts)])
    if transform.IsLinear():
        return transform.GetInverse()
    if isinstance(transform, sitk.DisplacementFieldTransform):
        return _inverted_field(transform, name)
    raise DiffuseMorphError(
        f"The {name} holds a {transform.GetName()}, whose inverse is not known: give a file that holds the inverse, "
        "or a displacement field in its place."
    )


def _inverted_field(transform: sitk.DisplacementFieldTransform, name: str) -> sitk.DisplacementFieldTransform:
    field = transform.GetDisplacementField()
    grid = Grid.of(field)
    displacement = Displacement.from_vectors(sitk.GetArrayFromImage(field), grid)
    if not bool((displacement.jacobian() > 0).all()):
        raise DiffuseMorphError(
            f"The {name} folds space, so that it has no inverse: give a file that holds the inverse that belongs to it."
        )
    # Beyond its grid the field is nothing at once; its inverse is defined where it fades.
    end = EtaPath.straight(displacement).faded().end
    return end.inverse(inverse_shape(end.grid.shape)).transform()
