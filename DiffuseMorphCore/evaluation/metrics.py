"""How well one image, label map or set of points lies on another, and how regular a deformation is.

Library implementations wherever one exists (scikit-image, MONAI, SciPy, SimpleITK). Arrays are in array order
(z, y, x); lengths are in the unit of `spacing`, which is in array order too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import SimpleITK as sitk

from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.images import dice_of_each

# Values of the ACDC labels, and the five overlapping structures over which the paper pools Dice.
RIGHT_VENTRICLE, MYOCARDIUM, LEFT_CAVITY = 1, 2, 3
PAPER_STRUCTURES = {
    "left blood pool": (LEFT_CAVITY,),
    "myocardium": (MYOCARDIUM,),
    "left ventricle": (LEFT_CAVITY, MYOCARDIUM),
    "right ventricle": (RIGHT_VENTRICLE,),
    "total": (LEFT_CAVITY, MYOCARDIUM, RIGHT_VENTRICLE),
}


def _counts(labels: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=size)


def shared_labels(fixed: np.ndarray, moving: np.ndarray, structures: Iterable[int]) -> list[int]:
    """The structures that are present in both label maps, before anything is warped."""
    wanted = sorted(structures)
    size = wanted[-1] + 1
    present = (_counts(fixed, size) > 0, _counts(moving, size) > 0)
    return [label for label in wanted if present[0][label] and present[1][label]]


def dice(first: np.ndarray, second: np.ndarray, labels: Iterable[int]) -> dict[int, float]:
    """Dice overlap of each of some labels, 0 to 1; NaN for a label that neither map holds.

    Raises ValueError for maps of different shapes.
    """
    found = dice_of_each(first, second)
    return {label: found.get(int(label), float("nan")) for label in labels}


def dice_of_groups(
    first: np.ndarray, second: np.ndarray, groups: Mapping[str, Sequence[int]] = PAPER_STRUCTURES
) -> dict[str, float]:
    """Dice of unions of labels, by default the paper's five overlapping cardiac structures (its Table 2)."""
    return {
        name: dice(np.isin(first, members).astype(np.uint8), np.isin(second, members).astype(np.uint8), [1])[1]
        for name, members in groups.items()
    }


def surface_distance_95(first: np.ndarray, second: np.ndarray, label: int, spacing: Sequence[float]) -> float:
    """HD95: the larger of the two directed 95th percentiles of the distance between surfaces (MONAI).

    NaN where one of the maps does not hold the label.
    """
    import warnings

    import torch
    from monai.metrics import compute_hausdorff_distance

    masks = [first == label, second == label]
    if not (masks[0].any() and masks[1].any()):
        return float("nan")
    occupied = masks[0] | masks[1]
    box = []
    for axis in range(occupied.ndim):
        inside = np.flatnonzero(occupied.any(axis=tuple(other for other in range(occupied.ndim) if other != axis)))
        box.append(slice(max(inside[0] - 1, 0), inside[-1] + 2))
    ones = [torch.from_numpy(mask[tuple(box)].astype(np.float32))[None, None] for mask in masks]
    with warnings.catch_warnings():
        # MONAI warns of one of its own deprecated arguments.
        warnings.simplefilter("ignore", FutureWarning)
        distance = compute_hausdorff_distance(
            ones[0], ones[1], include_background=True, percentile=95, spacing=[float(step) for step in spacing]
        )
    return float(distance[0, 0])


def outline_mse(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared distance in voxels between the outlines of two masks, both ways; NaN where one is empty.

    An outline is the voxels of a mask that touch its outside along an axis.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt

    if not (first.any() and second.any()):
        return float("nan")
    outlines = [mask & ~binary_erosion(mask) for mask in (first, second)]
    distances = [distance_transform_edt(~other)[one] ** 2 for one, other in (outlines, outlines[::-1])]
    return float(np.concatenate(distances).mean())


def nmse(image: np.ndarray, reference: np.ndarray) -> float:
    """Normalised mean squared error: sum (a - b)^2 / sum b^2, without a unit (scikit-image's root form, squared)."""
    from skimage.metrics import normalized_root_mse

    return float(normalized_root_mse(reference, image, normalization="euclidean") ** 2)


def psnr(image: np.ndarray, reference: np.ndarray, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB for images whose values span `data_range`; infinite for equal images."""
    from skimage.metrics import peak_signal_noise_ratio

    if np.array_equal(image, reference):
        return float("inf")
    return float(peak_signal_noise_ratio(reference, image, data_range=data_range))


def ssim(image: np.ndarray, reference: np.ndarray, data_range: float = 1.0) -> float:
    """Structural similarity, 1 for equal images: Gaussian window of sigma 1.5, K 0.01 and 0.03 (Wang 2004).

    NaN for images with a side shorter than the window, 11 voxels.
    """
    from skimage.metrics import structural_similarity

    if min(image.shape) < 11:
        return float("nan")
    return float(
        structural_similarity(
            reference, image, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def image_distances(image: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """NMSE, SSIM and PSNR of two images in [0, 1]."""
    return {"nmse": nmse(image, reference), "ssim": ssim(image, reference), "psnr": psnr(image, reference)}


def sd_log_jacobian(determinant: np.ndarray, mask: np.ndarray | None = None, floor: float = 1e-9) -> float:
    """Standard deviation of the log of the Jacobian determinant inside `mask`; values below `floor` count as it."""
    values = determinant if mask is None else determinant[mask]
    return float(np.log(np.maximum(values, floor)).std())


def landmark_errors(transform: sitk.Transform, fixed_points: np.ndarray, moving_points: np.ndarray) -> np.ndarray:
    """(N,) distances in mm between the transformed fixed points and the moving points.

    `transform` maps fixed points to moving points, so it is applied to the fixed ones; row N of one array belongs to
    row N of the other.
    """
    mapped = np.array([transform.TransformPoint(point.tolist()) for point in fixed_points])
    return np.linalg.norm(mapped - moving_points, axis=1)


def points_inside(image: sitk.Image, points: np.ndarray) -> np.ndarray:
    """(N,) booleans: which world points lie inside the voxels of the image."""
    indices = np.array([image.TransformPhysicalPointToContinuousIndex(point.tolist()) for point in points])
    return ((indices >= -0.5) & (indices < np.array(image.GetSize()) - 0.5)).all(axis=1)


def inverse_error(
    transform: sitk.Transform,
    inverse: sitk.Transform,
    image: sitk.Image,
    mask: np.ndarray,
    samples: int = 20000,
    seed: int = 0,
) -> float:
    """Mean distance in voxels between points inside `mask` and themselves after forward and inverse.

    At most `samples` voxels are drawn. A voxel here is the mean of the image's spacings.
    """
    voxels = np.argwhere(mask)[:, ::-1]
    if len(voxels) > samples:
        voxels = voxels[np.random.default_rng(seed).choice(len(voxels), samples, replace=False)]
    total = 0.0
    for voxel in voxels.tolist():
        point = image.TransformIndexToPhysicalPoint(voxel)
        returned = inverse.TransformPoint(transform.TransformPoint(point))
        total += float(np.linalg.norm(np.subtract(returned, point)))
    return total / max(len(voxels), 1) / float(np.mean(image.GetSpacing()))


def displacement_field(transform: sitk.Transform, grid: sitk.Image) -> sitk.Image:
    """The displacement of a transform at the voxels of `grid`: a vector image in mm, x, y(, z)."""
    return sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat32, grid.GetSize(), grid.GetOrigin(), grid.GetSpacing(), grid.GetDirection()
    )


def voxel_displacement(field: sitk.Image) -> np.ndarray:
    """(ndim, *spatial) float32 in voxels and axis order, of a displacement field in mm.

    The warp module's convention: component order is the order of the array's axes.
    """
    return Grid.of(field).vectors_to_voxels(sitk.GetArrayViewFromImage(field))[0].numpy()
