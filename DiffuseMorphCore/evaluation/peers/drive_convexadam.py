"""ConvexAdam with MIND features and its defaults (Siebert, Hansen, Heinrich 2024), from the alignment it is given.

It takes two images on one grid and gives a displacement in voxels of that grid, so it gets the moving image aligned.
"""

from __future__ import annotations

import numpy as np
from exchange import drive


def load(request):
    """The fixed image and the aligned moving one."""
    from convexAdam.convex_adam_MIND import convex_adam_pt  # noqa: F401, I001 (first, as it may be missing)
    import SimpleITK as sitk
    import torch

    if request is None:
        return None
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    return [sitk.ReadImage(request[name], sitk.sitkFloat32) for name in ("fixed", "aligned")]


def register(images, request):
    """(z, y, x, 3) displacement in voxels, components in the order of the array's axes."""
    import SimpleITK as sitk
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt
    from scipy.ndimage import map_coordinates

    fixed, aligned = (sitk.GetArrayFromImage(image) for image in images)
    displacement = convex_adam_pt(fixed, aligned, device=torch.device("cpu"))
    where = np.moveaxis(displacement, -1, 0) + np.indices(fixed.shape, dtype=np.float32)
    map_coordinates(aligned, where, order=1)  # the moved image belongs to what is timed
    return displacement


def write(displacement, images, request):
    """The displacement and the alignment after it, in mm."""
    import SimpleITK as sitk

    fixed = images[0]
    direction = np.reshape(fixed.GetDirection(), (3, 3))
    to_mm = direction * np.array(fixed.GetSpacing())
    matrix = np.array(request["start"])
    indices = np.moveaxis(np.indices(displacement.shape[:-1]), 0, -1)[..., ::-1]
    points = indices @ to_mm.T + fixed.GetOrigin()
    there = (points + displacement[..., ::-1] @ to_mm.T) @ matrix[:3, :3].T + matrix[:3, 3]
    field = sitk.GetImageFromArray((there - points).astype(np.float32), isVector=True)
    field.CopyInformation(fixed)
    sitk.WriteImage(field, request["field"])


if __name__ == "__main__":
    drive(("convexadam", "torch"), load, register, write)
