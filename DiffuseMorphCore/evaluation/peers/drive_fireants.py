"""FireANTs' greedy registration as its quick start has it, from the alignment it is given, on the CPU or the GPU.

Local cross-correlation over 5 voxels, 200, 100 and 25 iterations at a quarter, half and the whole of the resolution;
for images of different contrast mutual information, as its documentation advises. Version 1.5.0 breaks off where a
side of the fixed image has fewer than 32 voxels, so such an image gets a rim of its lowest value.
"""

from __future__ import annotations

import numpy as np
from exchange import drive

SMALLEST_SIDE = 32


def load(request):
    """The fixed and the moving image as FireANTs has them."""
    from fireants.io import BatchedImages, Image  # noqa: I001 (first, as it may be missing)
    import SimpleITK as sitk
    import torch

    if request is None:
        return None
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = [sitk.ReadImage(request[name], sitk.sitkFloat32) for name in ("fixed", "moving")]
    lacking = [max(SMALLEST_SIDE - side, 0) for side in images[0].GetSize()]
    if any(lacking):
        before = [each // 2 for each in lacking]
        after = [each - half for each, half in zip(lacking, before)]
        lowest = float(sitk.GetArrayViewFromImage(images[0]).min())
        images[0] = sitk.ConstantPad(images[0], before, after, lowest)
    return [BatchedImages([Image(image, device=device)]) for image in images]


def register(images, request):
    """The registration that holds the deformation, after the moved image was made."""
    import torch
    from fireants.registration.greedy import GreedyRegistration

    different = request["contrast"] == "different"
    registration = GreedyRegistration(
        scales=[4, 2, 1],
        iterations=[200, 100, 25],
        fixed_images=images[0],
        moving_images=images[1],
        loss_type="mi" if different else "cc",
        cc_kernel_size=5,
        deformation_type="compositive",
        smooth_grad_sigma=1,
        optimizer="adam",
        optimizer_lr=0.5,
        init_affine=torch.tensor(request["start"], dtype=torch.float32, device=images[0].device)[None],
        progress_bar=False,
    )
    registration.optimize()
    with torch.no_grad():
        registration.evaluate(*images)
    return registration


def write(registration, images, request):
    """Its whole displacement, alignment included: FireANTs' own way of writing it fails in 2-D."""
    import SimpleITK as sitk

    fixed = images[0].images[0].itk_image
    ndim = fixed.GetDimension()
    # Where each fixed voxel goes, from -1 to 1 across the moving image, x first.
    where = registration.get_warped_coordinates(*images)[0].detach().cpu().numpy().astype(float)
    to_mm = images[1].get_torch2phy()[0].cpu().numpy().astype(float)
    there = where @ to_mm[:ndim, :ndim].T + to_mm[:ndim, ndim]
    indices = np.moveaxis(np.indices(where.shape[:-1]), 0, -1)[..., ::-1]
    directions = np.reshape(fixed.GetDirection(), (ndim, ndim)) * np.array(fixed.GetSpacing())
    points = indices @ directions.T + fixed.GetOrigin()
    field = sitk.GetImageFromArray((there - points).astype(np.float32), isVector=True)
    field.CopyInformation(fixed)
    sitk.WriteImage(field, request["field"])


if __name__ == "__main__":
    drive(("fireants", "torch", "SimpleITK"), load, register, write)
