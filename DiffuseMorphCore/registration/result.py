"""The result of a registration: field, transforms, images and quality at any eta."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from torch import Tensor

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import resample_labels
from DiffuseMorphCore.networks import DiffuseMorph
from DiffuseMorphCore.options import RegistrationOptions
from DiffuseMorphCore.progress import Progress, advance
from DiffuseMorphCore.registration.carried import image_to_warp, points_of, points_to_warp
from DiffuseMorphCore.registration.mapping import Mapping
from DiffuseMorphCore.registration.prepare import SlicePlane, flatten_slice
from DiffuseMorphCore.registration.resampling import one_frame, resample
from DiffuseMorphCore.registration.transform_files import write_transforms
from DiffuseMorphCore.registration.uncertainty import uncertainty
from DiffuseMorphCore.samplers import EtaPath, check_eta
from DiffuseMorphCore.similarity import MODALITIES, ImagePair
from DiffuseMorphCore.transforms import transform_points
from DiffuseMorphCore.warp import sample_axes


@dataclass(frozen=True)
class Registration:
    """What :func:`DiffuseMorphCore.register` returns.

    Eta runs from 0, the aligned moving image, to 1, the registered one. It scales the deformation along its trajectory;
    the linear alignment applies throughout, unless ``alignment_follows_eta``.

    Attributes
    ----------
    fixed, moving : the images as SimpleITK images.
    alignment : linear transform from fixed points to points of the moving image, mm, LPS.
    path : the deformation from eta 0 to 1, on the CPU; it fades to nothing beyond the field of view in common, so
        that it and its inverse are defined everywhere.
    region : the part of the path's grid that was registered: over the fixed image, its end voxels' centres are the
        image's; where the moving image covers less than half of the fixed one, around that.
    report : quality figures, times, settings; plain types, ready for JSON.
    options : what was asked for.
    planes : for single slices, where both lie in space; else None.
    model : the networks that took part, or None. pair : both images on the working grid.
    """

    fixed: sitk.Image
    moving: sitk.Image
    alignment: sitk.AffineTransform
    path: EtaPath
    region: Grid
    report: dict[str, Any]
    options: RegistrationOptions = RegistrationOptions()
    planes: tuple[SlicePlane, SlicePlane] | None = None
    model: DiffuseMorph | None = field(default=None, repr=False)
    pair: ImagePair | None = field(default=None, repr=False)

    @property
    def grid(self) -> Grid:
        """The grid of the path."""
        return self.path.grid

    @property
    def etas(self) -> tuple[float, ...]:
        """The etas of the path's keyframes."""
        return self.path.etas

    def displacement(self, eta: float = 1.0) -> Tensor:
        """The deformation at ``eta``: (1, ndim, *spatial) in voxels of ``grid``, pulling; without the alignment.

        Transforms and warped images at eta 1 may be made of a finer one, ``path.finest``. Costs milliseconds. Raises
        DiffuseMorphError when eta is not in [0, 1].
        """
        return self.path.at(eta).values

    def vectors(self, eta: float = 1.0) -> np.ndarray:
        """The deformation at ``eta`` as (*spatial, ndim) vectors in mm, components x, y[, z] in LPS, on ``grid``."""
        return self.path.at(eta).vectors().astype(np.float32)

    @property
    def mapping(self) -> Mapping:
        """The way between the images' points, without the images."""
        return Mapping(self.alignment, self.path, self.planes, self.options.alignment_follows_eta)

    def transform(self, eta: float = 1.0) -> sitk.CompositeTransform:
        """Fixed points to moving points, for ``SimpleITK.Resample(moving, fixed, transform)``."""
        return self.mapping.transform(eta)

    def inverse_transform(self, eta: float = 1.0) -> sitk.CompositeTransform:
        """Moving points to fixed points, for points, surfaces and for warping the fixed image to the moving one."""
        return self.mapping.inverse_transform(eta)

    def write_transforms(self, folder: str | Path, format: str = "itk", eta: float = 1.0) -> list[str]:
        """Write both transforms into a folder that is there, for the program that ``format`` names; their files' names.

        See :func:`DiffuseMorphCore.registration.transform_files.write_transforms`.
        """
        grids = Grid.of(self.fixed), Grid.of(self.moving)
        return write_transforms(Path(folder), self.transform(eta), self.inverse_transform(eta), *grids, format)

    def warp(
        self, image: Any = None, eta: float = 1.0, interpolation: str = "linear", fill: float | None = None
    ) -> sitk.Image:
        """An image of the moving space (by default the moving image) on the fixed grid, in its own intensities and
        type.

        ``image`` comes in any form that :func:`DiffuseMorphCore.register` takes, and may have frames in time; of
        colours and vectors each component is warped. ``interpolation`` is ``"linear"``, ``"nearest"``, ``"bspline"``,
        ``"label"`` or ``"auto"``, which takes ``"label"`` for what holds labels and ``"linear"`` for anything else.
        Outside the image stands ``fill``; unless that is given, for the moving image the registration's own ``fill``,
        or the background at the image's border.
        """
        if fill is None and (image is None or image is self.moving):
            fill = self.options.fill
        image = self.moving if image is None else image_to_warp(image, self.fixed.GetDimension())
        return resample(image, self.fixed, self.transform(eta), interpolation, fill)

    def warp_labels(self, labels: Any, eta: float = 1.0) -> sitk.Image:
        """A label map of the moving space (an image in any form, or its file) on the fixed grid, by nearest neighbour;
        0 outside it.
        """
        labels = image_to_warp(labels, self.fixed.GetDimension(), "label map", labels=True)
        return resample_labels(labels, self.fixed, self.transform(eta))

    def warp_points(self, points: np.ndarray, eta: float = 1.0) -> np.ndarray:
        """Points (N, ndim), or a single one (ndim,), of the moving image in mm, LPS, carried to the fixed image (the
        inverse transform), in the same shape.
        """
        array = points_to_warp(points, self.fixed.GetDimension())
        return transform_points(self.inverse_transform(eta), array)

    def apply(
        self,
        source: Any,
        inverse: bool = False,
        eta: float = 1.0,
        interpolation: str = "auto",
        like: Any = None,
        fill: float | None = None,
    ) -> Any:
        """Carry an image, labels or points from the moving image to the fixed one or, with ``inverse``, from the fixed
        to the moving one.

        Parameters
        ----------
        source : an image in any form, also with frames in time, colours or vectors; points (N, ndim) in mm, LPS, as a
            numpy array or a list; or the name of a file of either (see :func:`DiffuseMorphCore.points.read_points`).
        inverse : the other way round. eta : how far, 0 to 1.
        interpolation, fill : as for :meth:`warp`. like : an image on whose grid the result lies, in place of the fixed
            (with ``inverse`` the moving) one.

        Returns
        -------
        The image as a SimpleITK image; points as an array of the same shape in mm, LPS.

        Raises
        ------
        DiffuseMorphError : a source that cannot be read or has another dimension.
        """
        ndim = self.fixed.GetDimension()
        if (points := points_of(source)) is not None:
            return transform_points(
                self.transform(eta) if inverse else self.inverse_transform(eta), points_to_warp(points, ndim)
            )
        image = image_to_warp(source, ndim)
        reference = (
            (self.moving if inverse else self.fixed) if like is None else image_to_warp(like, ndim, "image like")
        )
        transform = self.inverse_transform(eta) if inverse else self.transform(eta)
        return resample(image, one_frame(reference), transform, interpolation, fill)

    def jacobian(self, eta: float = 1.0) -> sitk.Image:
        """Volume of the moving image that goes into a unit of the fixed one's: above 1 where it is compressed, below 1
        where it is stretched, 1 where unchanged. The alignment is not counted. Float32 on the fixed grid.
        """
        deformation = self.path.delivered(eta)
        return self._on_fixed(deformation.jacobian(), deformation.grid, 1.0)

    def uncertainty(self, samples: int = 4, seed: int | None = None, progress: Progress | None = None) -> sitk.Image:
        """Within how many millimetres the images do not determine the deformation at eta = 1; float32, fixed grid.

        How far short registrations end from this one, started at places moved at random and, with a model, by what the
        network makes of latents drawn at other noise levels; and how differently the neighbourhood moves. It ranks:
        where it is high, errors are more likely. ``seed`` is the registration's own unless given.

        Raises
        ------
        DiffuseMorphError : fewer than one sample, or a result that was read back.
        """
        if self.pair is None:
            raise DiffuseMorphError(
                "A result that was read back does not hold what the uncertainty is found with: register again."
            )
        if samples < 1:
            raise DiffuseMorphError(f"Uncertainty needs at least 1 sample, not {samples}.")
        values = uncertainty(
            self.pair,
            self.model,
            self.path.finest.on(self.region),
            MODALITIES[self.options.modality].for_pair(self.pair),
            samples,
            self.options.seed if seed is None else seed,
            lambda fraction: advance(progress, "uncertainty", fraction),
        )
        return self._on_fixed(values, self.region.resampled(tuple(values.shape[2:])))

    def write_page(self, path: str | Path, eta: float = 1.0, uncertainty: sitk.Image | None = None) -> None:
        """Write the page to look at the result with, one HTML file that needs no network, into ``path``.

        Its slider of the deformation stands at ``eta`` when it is opened; it shows ``uncertainty`` where that map, as
        :meth:`uncertainty` gives it, is given. Raises DiffuseMorphError where the file cannot be written.
        """
        from DiffuseMorphCore.result_page import write_page

        write_page(self, path, eta=check_eta(eta), uncertainty=uncertainty)

    def _on_fixed(self, values: Tensor, grid: Grid, outside: float | None = None) -> sitk.Image:
        """(1, 1, *spatial) values on a grid as a float image on the fixed image's own; ``outside`` stands beyond the
        grid, its border continues where that is None.
        """
        fixed = Grid.of(flatten_slice(self.fixed)[0] if self.planes else self.fixed)
        start = grid.indices(fixed.points(np.zeros((1, fixed.ndim))))[0][::-1]
        steps = np.array(fixed.voxel_spacing) / np.array(grid.voxel_spacing)
        found = sample_axes(values, start.tolist(), steps.tolist(), fixed.shape, outside)
        array = found[0, 0].cpu().numpy().astype(np.float32)
        result = sitk.GetImageFromArray(array.reshape(tuple(reversed(self.fixed.GetSize()))))
        result.CopyInformation(self.fixed)
        return result
