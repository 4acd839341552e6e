"""A description of local structure that does not depend on which brightness means what: MIND-SSC.

Every voxel is described by how its neighbours differ from each other (Heinrich et al., "Towards realtime multimodal
fusion for image-guided interventions using self-similarities", MICCAI 2013). Two modalities that show the same anatomy
agree in these descriptions, so their squared difference can drive a registration where intensities cannot.
"""

from itertools import combinations

import torch
import torch.nn.functional as functional
from torch import Tensor

from DiffuseMorphCore.warp.filters import box_mean


def _shifted(image: Tensor, offset: tuple[int, ...]) -> Tensor:
    """image(p + offset), the border continued."""
    reach = max(abs(step) for step in offset)
    padded = functional.pad(image, [reach] * (2 * len(offset)), mode="replicate")
    for axis, step in enumerate(offset, start=2):
        padded = padded.narrow(axis, reach + step, image.shape[axis])
    return padded


def self_similarity(image: Tensor, radius: int = 1, dilation: int = 1) -> Tensor:
    """MIND-SSC descriptors.

    Parameters
    ----------
    image : (B, 1, *spatial), any intensity scale.
    radius : patches of (2 radius + 1) voxels a side are compared.
    dilation : distance of the compared neighbours in voxels.

    Returns
    -------
    (B, C, *spatial) in (0, 1], C = 12 in 3-D and 4 in 2-D: 1 for the most similar pair of neighbours of each voxel.
    A constant region is described by ones. Unchanged by any scaling, shift or inversion of the intensities.
    """
    ndim = image.dim() - 2
    neighbours = [tuple(sign * dilation * (axis == own) for axis in range(ndim)) for own in range(ndim) for sign in (-1, 1)]
    pairs = [(a, b) for a, b in combinations(neighbours, 2)
             if sum((x - y) ** 2 for x, y in zip(a, b)) == 2 * dilation ** 2]
    copies = {offset: _shifted(image, offset) for offset in neighbours}
    distances = torch.cat([box_mean((copies[a] - copies[b]).square(), 2 * radius + 1) for a, b in pairs], dim=1)
    distances = distances - distances.amin(dim=1, keepdim=True)
    noise = distances.mean(dim=1, keepdim=True)
    usual = noise.mean(dim=tuple(range(1, image.dim())), keepdim=True)
    # The local noise estimate is kept within reason of the image's, as its authors do.
    noise = torch.minimum(torch.maximum(noise, usual * 1e-3), usual * 1e3).clamp(min=torch.finfo(image.dtype).tiny)
    return torch.exp(-distances / noise)
