"""The layers both networks are built from, in 2-D and 3-D, and the padding that lets them take any image size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolution3d(nn.Conv3d):
    """A 3-D convolution that also takes PyTorch's quick path on the CPU for a single small image.

    PyTorch leaves the slow one, many times slower, only for more than one image or for more than 20480 elements in the
    first four axes. A second copy of a small image costs far less.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, D, H, W) -> (B, outputs, D, H, W), each side halved at stride 2."""
        if features.device.type == "cpu" and features.shape[0] == 1 and features.shape[1:4].numel() <= 20480:
            return super().forward(features.expand(2, -1, -1, -1, -1))[:1]
        return super().forward(features)


def convolution(ndim: int, inputs: int, outputs: int, size: int = 3, stride: int = 1, bias: bool = True) -> nn.Module:
    """A convolution that keeps the grid (stride 1) or halves it (stride 2, odd size)."""
    kind = nn.Conv2d if ndim == 2 else Convolution3d
    return kind(inputs, outputs, size, stride=stride, padding=size // 2, bias=bias)


def upsample(ndim: int, channels: int) -> nn.Module:
    """A transposed convolution that doubles the grid and keeps the channels."""
    kind = nn.ConvTranspose2d if ndim == 2 else nn.ConvTranspose3d
    return kind(channels, channels, 3, stride=2, padding=1, output_padding=1)


def pad_to_multiple(images: Tensor, multiple: int) -> tuple[Tensor, tuple[slice, ...]]:
    """Repeat the border of (B, C, *spatial) until every side is a multiple of `multiple`.

    Returns the padded tensor and the slices that cut the original grid out of it again.
    """
    pads: list[int] = []
    window = []
    for side in images.shape[2:]:
        missing = -side % multiple
        before = missing // 2
        pads = [before, missing - before, *pads]
        window.append(slice(before, before + side))
    if any(pads):
        images = functional.pad(images, pads, mode="replicate")
    return images, (slice(None), slice(None), *window)


def to_blocks(images: Tensor, side: int) -> Tensor:
    """Blocks of `side` voxels a side as channels: (B, C, *spatial) -> (B, C * side ** ndim, *spatial / side).

    The voxels of a block are in array order, one image channel after the other; the inverse of `from_blocks`.
    """
    if side == 1:
        return images
    ndim = images.dim() - 2
    split = images.reshape(*images.shape[:2], *(part for size in images.shape[2:] for part in (size // side, side)))
    return split.permute(0, 1, *range(3, 3 + 2 * ndim, 2), *range(2, 2 + 2 * ndim, 2)).flatten(1, 1 + ndim)


def from_blocks(features: Tensor, side: int) -> Tensor:
    """Channels as blocks of `side` voxels a side: (B, C * side ** ndim, *spatial / side) -> (B, C, *spatial)."""
    if side == 1:
        return features
    ndim = features.dim() - 2
    split = features.unflatten(1, (-1, *[side] * ndim))
    order = [place for axis in range(ndim) for place in (2 + ndim + axis, 2 + axis)]
    return split.permute(0, 1, *order).reshape(features.shape[0], -1, *(side * size for size in features.shape[2:]))


def timestep_embedding(step: Tensor, width: int) -> Tensor:
    """Sines and cosines of the step index (B,), as (B, width) float32, at width / 2 frequencies from 1 down to 1e-4."""
    frequencies = torch.exp(
        torch.arange(0, width, 2, device=step.device, dtype=torch.float32) * (-math.log(10000.0) / width)
    )
    angles = step.to(torch.float32)[:, None] * frequencies[None]
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class ResidualBlock(nn.Module):
    """Norm, swish, convolution, plus the timestep embedding; norm, swish, convolution; plus the input (1x1 if widths
    differ).
    """

    def __init__(self, ndim: int, inputs: int, outputs: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(groups, inputs)
        self.convolution_in = convolution(ndim, inputs, outputs)
        self.time = nn.Linear(time_width, outputs)
        self.norm_out = nn.GroupNorm(groups, outputs)
        self.convolution_out = convolution(ndim, outputs, outputs)
        self.shortcut = convolution(ndim, inputs, outputs, size=1) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor, time: Tensor) -> Tensor:
        """Features (B, inputs, *spatial), time (B, time_width) -> (B, outputs, *spatial)."""
        hidden = self.convolution_in(functional.silu(self.norm_in(features)))
        shift = self.time(functional.silu(time))
        hidden = hidden + shift.reshape(*shift.shape, *[1] * (hidden.ndim - 2))
        hidden = self.convolution_out(functional.silu(self.norm_out(hidden)))
        return hidden + self.shortcut(features)


class SoftmaxAttention(nn.Module):
    """Full self-attention over all positions, added to its input. Memory grows with the square of their number."""

    def __init__(self, ndim: int, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.split = convolution(ndim, channels, 3 * channels, size=1, bias=False)
        self.join = convolution(ndim, channels, channels, size=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, *spatial) -> the same shape."""
        batch, channels, *spatial = features.shape
        query, key, value = (
            self.split(self.norm(features))
            .reshape(batch, 3, self.heads, channels // self.heads, -1)
            .transpose(-1, -2)
            .unbind(1)
        )
        # The scale is that of the whole width, also with several heads, as in the network this follows.
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=channels**-0.5)
        return features + self.join(mixed.transpose(-1, -2).reshape(batch, channels, *spatial))


class LinearAttention(nn.Module):
    """Self-attention whose cost is linear in the number of positions: softmax over the positions, on the keys only."""

    def __init__(self, ndim: int, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.split = convolution(ndim, channels, 3 * channels, size=1, bias=False)
        self.join = convolution(ndim, channels, channels, size=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, *spatial) -> the same shape."""
        batch, channels, *spatial = features.shape
        query, key, value = (
            self.split(self.norm(features)).reshape(batch, 3, self.heads, channels // self.heads, -1).unbind(1)
        )
        context = key.softmax(dim=-1).to(value.dtype) @ value.transpose(-1, -2)
        mixed = context.transpose(-1, -2) @ query
        return features + self.join(mixed.reshape(batch, channels, *spatial))


class ConvolutionBlock(nn.Module):
    """Convolutions, each followed by LeakyReLU(0.2); the first one may halve the grid."""

    def __init__(self, ndim: int, inputs: int, outputs: int, convolutions: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            convolution(ndim, outputs if index else inputs, outputs, stride=1 if index else stride)
            for index in range(convolutions)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, *spatial) -> (B, outputs, *spatial / stride)."""
        for layer in self.layers:
            features = functional.leaky_relu(layer(features), 0.2)
        return features


def attention(kind: str, ndim: int, channels: int, heads: int, groups: int) -> nn.Module:
    """Self-attention of the kind "softmax" or "linear"."""
    return {"softmax": SoftmaxAttention, "linear": LinearAttention}[kind](ndim, channels, heads, groups)


def check_images(name: str, images: Sequence[Tensor], ndim: int) -> None:
    """Raise ValueError unless all are (B, 1, *spatial) with `ndim` spatial axes and one shape."""
    shapes = {tuple(image.shape) for image in images}
    shape = next(iter(shapes))
    if len(shapes) != 1 or len(shape) != ndim + 2 or shape[1] != 1:
        raise ValueError(f"{name} takes tensors of one shape (B, 1, *{ndim} spatial axes), not {sorted(shapes)}.")
