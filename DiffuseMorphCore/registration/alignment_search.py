"""One resolution of the linear alignment: how good a transform is, and the best one near it."""

from __future__ import annotations

import math

import SimpleITK as sitk

from DiffuseMorphCore.registration.explained import explained
from DiffuseMorphCore.registration.prepare import PreparedScan

LARGE = 4.0  # times the volume of the other image


class AlignmentSearch:
    """Both scans at one resolution, with the search and the score that need them."""

    def __init__(self, fixed: PreparedScan, moving: PreparedScan, voxels: int) -> None:
        extent = [volume(scan) for scan in (fixed, moving)]
        spacing = (min(extent) / voxels) ** (1 / fixed.grid.ndim)
        self.local = extent[1] > LARGE * extent[0]
        self.step = spacing / 2
        self.images = fixed.coarse(spacing), moving.coarse(spacing)
        self.extent = sitk.Cast(self.images[1] * 0, sitk.sitkUInt8) + 1
        self.masks = fixed.coarse_mask(spacing), moving.coarse_mask(spacing)
        self.known = self.extent if self.masks[1] is None else self.masks[1]
        self.backgrounds = fixed.background, moving.background

    def _method(self) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetMetricSamplingStrategy(method.NONE)
        if self.local:  # the gradient of all of a far larger image would cost more than all else
            method.MetricUseMovingImageGradientFilterOff()
        if self.masks[0] is not None:
            method.SetMetricFixedMask(self.masks[0])
        if self.masks[1] is not None:
            method.SetMetricMovingMask(self.masks[1])
        return method

    def score(self, transform: sitk.Transform) -> float:
        """Mutual information per voxel of the fixed image, 0 where the images do not overlap.

        The information per voxel of the overlap alone would reward transforms that turn background out of sight.
        """
        method = self._method()
        method.SetInitialTransform(sitk.Transform(transform))
        try:
            information = -method.MetricEvaluate(*self.images)
        except RuntimeError:
            return 0.0
        covered = sitk.Resample(self.extent, self.images[0], transform, sitk.sitkNearestNeighbor, 0)
        return information * float(sitk.GetArrayViewFromImage(covered).mean())

    def explained(self, transform: sitk.Transform) -> float:
        """How much the images explain of each other through a transform; see :mod:`.explained`."""
        moved, known = (
            sitk.GetArrayFromImage(sitk.Resample(image, self.images[0], transform, sitk.sitkLinear, outside))
            for image, outside in ((self.images[1], self.backgrounds[1]), (self.known, 0))
        )
        mask = 1 if self.masks[0] is None else sitk.GetArrayViewFromImage(self.masks[0])
        return explained(sitk.GetArrayFromImage(self.images[0]), moved, known * mask > 0, self.backgrounds)

    def search(self, transform: sitk.Transform, iterations: int, then: sitk.Transform | None = None) -> sitk.Transform:
        """The transform of the same kind with the best score near the given one; the given one if none is better.

        ``then`` is applied after it, and stays as it is.
        """
        method = self._method()
        # Steps that shrink when they overshoot: plain descent stopped early on one brain in six and took four times as
        # long.
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=1.0,
            minStep=0.01 * self.step,
            numberOfIterations=iterations,
            relaxationFactor=0.6,
            estimateLearningRate=method.Once,
            maximumStepSizeInPhysicalUnits=self.step,
        )
        method.SetOptimizerScalesFromPhysicalShift()
        result = type(transform)(transform)
        method.SetInitialTransform(result, inPlace=True)
        if then is not None:
            method.SetMovingInitialTransform(then)
        try:
            method.Execute(*self.images)
        except RuntimeError:
            return transform
        return max(
            transform,
            result,
            key=lambda found: self.score(found if then is None else sitk.CompositeTransform([then, found])),
        )


def volume(scan: PreparedScan) -> float:
    """Volume of the field of view in mm³ (area of a 2-D one)."""
    return math.prod(n * step for n, step in zip(scan.grid.size, scan.grid.spacing))
