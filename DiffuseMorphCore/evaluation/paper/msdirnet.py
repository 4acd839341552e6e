"""The networks of MSDIRNet (Lei et al. 2020, the paper's reference 26), of this project's parts and small.

A global network registers the whole images on half the grid; a local one corrects what is left on the full grid. Both
have attention gates where the encoder's features join the decoder, and dilated inception at the coarsest level; a
critic says whether an image is a deformed one. Unlike the original, global and local network are trained together and
not one after the other; the local one runs over whole images, with few levels, in place of patches; widths are those of
the compared deformation network M; similarity and smoothness are those of all compared methods.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from DiffuseMorphCore.networks.blocks import (
    Convolution3d,
    ConvolutionBlock,
    check_images,
    convolution,
    pad_to_multiple,
    upsample,
)
from DiffuseMorphCore.networks.configuration import DeformationConfiguration
from DiffuseMorphCore.networks.deformation import initialise
from DiffuseMorphCore.warp.sampling import compose, resize, resize_displacement, warp

DILATIONS = (1, 2, 3)
LOCAL_LEVELS = 3  # the local network sees some 30 voxels, about a patch of the original
CRITIC_WIDTHS = (8, 16, 32)


class DilatedInception(nn.Module):
    """Convolutions side by side that reach 1, 2 and 3 voxels far, joined by one of size 1."""

    def __init__(self, ndim: int, channels: int) -> None:
        super().__init__()
        kind = nn.Conv2d if ndim == 2 else Convolution3d
        self.branches = nn.ModuleList(
            kind(channels, channels, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS
        )
        self.join = convolution(ndim, len(DILATIONS) * channels, channels, size=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, *spatial) -> the same shape."""
        seen = [functional.leaky_relu(branch(features), 0.2) for branch in self.branches]
        return functional.leaky_relu(self.join(torch.cat(seen, dim=1)), 0.2)


class AttentionGate(nn.Module):
    """Lets through a share, between none and all, of the encoder's features at each voxel, as the decoder's ask."""

    def __init__(self, ndim: int, kept: int, asking: int) -> None:
        super().__init__()
        inner = max(1, kept // 2)
        self.of_kept = convolution(ndim, kept, inner, size=1)
        self.of_asking = convolution(ndim, asking, inner, size=1, bias=False)
        self.share = convolution(ndim, inner, 1, size=1)

    def forward(self, kept: Tensor, asking: Tensor) -> Tensor:
        """Kept (B, kept, *spatial), asking (B, asking, *spatial) -> (B, kept, *spatial)."""
        return kept * torch.sigmoid(self.share(functional.relu(self.of_kept(kept) + self.of_asking(asking))))


class GatedNetwork(nn.Module):
    """An encoder and a decoder of the same widths (finest first), gates between them, dilated inception below."""

    def __init__(self, ndim: int, widths: tuple[int, ...], initialisation: str) -> None:
        super().__init__()
        self.multiple = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            ConvolutionBlock(ndim, widths[level - 1] if level else 2, width, 1, stride=2 if level else 1)
            for level, width in enumerate(widths)
        )
        self.coarsest = DilatedInception(ndim, widths[-1])
        self.grow, self.gates, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for finer, coarser in zip(widths[-2::-1], widths[:0:-1]):
            self.grow.append(upsample(ndim, coarser))
            self.gates.append(AttentionGate(ndim, finer, coarser))
            self.up.append(ConvolutionBlock(ndim, finer + coarser, finer, 1))
        self.exit = convolution(ndim, widths[0], ndim)
        initialise(self, self.exit, initialisation)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Moving, fixed (B, 1, *spatial) in [-1, 1] -> (B, ndim, *spatial) displacement in voxels, pulling."""
        features, window = pad_to_multiple(torch.cat((moving, fixed), dim=1), self.multiple)
        kept = []
        for block in self.down:
            features = block(features)
            kept.append(features)
        features = self.coarsest(kept.pop())
        for grow, gate, block in zip(self.grow, self.gates, self.up):
            grown = grow(features)
            features = block(torch.cat((gate(kept.pop(), grown), grown), dim=1))
        return self.exit(features)[window].float()


class MultiscaleNetwork(nn.Module):
    """The global network on half the grid, then the local one on what it has moved."""

    def __init__(self, ndim: int, configuration: DeformationConfiguration) -> None:
        super().__init__()
        self.ndim = ndim
        widths = configuration.encoder
        self.whole = GatedNetwork(ndim, widths, configuration.initialisation)
        self.local = GatedNetwork(ndim, widths[:LOCAL_LEVELS], configuration.initialisation)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """The displacement of both networks after one another.

        moving, fixed : (B, 1, *spatial) in [-1, 1]. Returns (B, ndim, *spatial) in voxels, pulling. Raises ValueError
        where the shapes do not agree.
        """
        check_images("MSDIRNet", (moving, fixed), self.ndim)
        sides = moving.shape[2:]
        half = [max(2, side // 2) for side in sides]
        coarse = resize_displacement(self.whole(resize(moving, half), resize(fixed, half)), sides)
        return compose(coarse, self.local(warp(moving, coarse), fixed))


class Critic(nn.Module):
    """Strided convolutions that tell, patch by patch, an image as it was taken (positive) from a deformed one."""

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            ConvolutionBlock(ndim, inputs, outputs, 1, stride=2)
            for inputs, outputs in zip((1, *CRITIC_WIDTHS), CRITIC_WIDTHS)
        )
        self.verdict = convolution(ndim, CRITIC_WIDTHS[-1], 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, *spatial) in [-1, 1] -> (B, 1, *spatial / 8), the logarithm of the odds that it is as it was taken."""
        for block in self.down:
            image = block(image)
        return self.verdict(image)
