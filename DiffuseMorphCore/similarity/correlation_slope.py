"""Local correlation of one image that stays with others that move: what belongs to the first is worked out once.

The formulas are those of :mod:`.local_correlation`. Everything between the box filters is done in parts that stay in
the processor's cache.
"""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.similarity.local_correlation import centred, window_sizes
from DiffuseMorphCore.warp import box_sum, in_slabs


class StillImage:
    """An image (B or 1, C, *spatial) to compare others with, in windows of ``window`` voxels, all voxels counting."""

    def __init__(self, image: Tensor, window: int) -> None:
        self.image, self.floor = centred(image.float(), None)
        self.window = window
        self.share = 1 / window_sizes(self.image, None, window)
        self.mean = box_sum(self.image, window).mul_(self.share)
        self.variance = box_sum(self.image.square(), window).mul_(self.share).addcmul_(self.mean, self.mean, value=-1)
        self.told = self.variance > self.floor
        self.variance += self.floor

    def compare(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared local correlation (B,), and its derivative by the voxels of ``moved`` (B, C, *spatial)."""
        moved, floor = centred(moved.float(), None)
        window, shape = self.window, moved.shape[2:]
        mean = box_sum(moved, window)
        square = box_sum(moved.square(), window)
        product = box_sum(moved * self.image, window)
        count = moved[0].numel()

        def compared(part: slice) -> Tensor:
            here = (slice(None), slice(None), part)
            share = self.share[part] if self.share.shape[0] > 1 else self.share
            still_mean, still_variance = self.mean[here], self.variance[here]
            own_mean = mean[here].mul_(share)
            variance = square[here].mul_(share).addcmul_(own_mean, own_mean, value=-1)
            covariance = product[here].mul_(share).addcmul_(own_mean, still_mean, value=-1)
            told = (variance > floor).logical_and_(self.told[here])
            variance += floor
            p = (covariance / (variance * still_variance)).mul_(told)
            total = (p * covariance).flatten(1).sum(dim=1)
            p.mul_(2 / count)
            q = (p * covariance).div_(variance)
            # What the second round of filters spreads, in the place of what the first has gathered.
            mean[here] = (p * still_mean).addcmul_(q, own_mean, value=-1).mul_(share)
            product[here] = p.mul_(share)
            square[here] = q.mul_(share)
            return total

        value = torch.stack(in_slabs(compared, shape, moved.device)).sum(dim=0) / count
        mean, square, product = (box_sum(each, window) for each in (mean, square, product))

        def slope(part: slice) -> None:
            here = (slice(None), slice(None), part)
            result = product[here].mul_(self.image[here])
            result.addcmul_(square[here], moved[here], value=-1).sub_(mean[here])

        in_slabs(slope, shape, moved.device)
        return value, product
