"""The diffusion network G: two images and a noisy one in, the latent out: a noise estimate, or a canonical image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from DiffuseMorphCore.networks.blocks import (
    ResidualBlock,
    attention,
    check_images,
    convolution,
    from_blocks,
    pad_to_multiple,
    timestep_embedding,
    to_blocks,
)
from DiffuseMorphCore.networks.configuration import DiffusionConfiguration


class DiffusionNetwork(nn.Module):
    """A DDPM U-Net conditioned on the moving and the fixed image (G in the paper, equation 8).

    One level holds `blocks` residual blocks on the way down and one more on the way up; strided convolutions halve the
    grid, nearest-neighbour upsampling and a convolution bring it back. Every feature map of the way down is kept and
    joined on the way up. Weights start orthogonal, biases zero.

    With `tissues` in its configuration the network says of every voxel which tissue it is, and its latent is the image
    in which every tissue has its canonical intensity: x_0 of a diffusion in that contrast, in place of the noise in it.
    """

    def __init__(self, ndim: int, configuration: DiffusionConfiguration) -> None:
        super().__init__()
        self.ndim = ndim
        self.embedding_width = configuration.embedding_width
        self.patch = configuration.patch
        self.multiple = self.patch * 2 ** (len(configuration.multipliers) - 1)
        self.intensities = [2 * value - 1 for value in configuration.tissues]
        self.classes = len(self.intensities) or 1
        width, code, groups = configuration.width, configuration.embedding_width, configuration.groups
        widths = [width * multiplier for multiplier in configuration.multipliers]

        def residual(inputs: int, outputs: int) -> ResidualBlock:
            return ResidualBlock(ndim, inputs, outputs, code, groups)

        def attending(channels: int, level: int | None) -> nn.Module:
            if level is not None and level not in configuration.attention_levels:
                return nn.Identity()
            return attention(configuration.attention, ndim, channels, configuration.heads, groups)

        self.time = nn.Sequential(nn.Linear(code, 4 * code), nn.SiLU(), nn.Linear(4 * code, code))
        self.entry = convolution(ndim, 3 * self.patch**ndim, width)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        kept, channels = [width], width
        for level, outputs in enumerate(widths):
            blocks = nn.ModuleList()
            for _ in range(configuration.blocks):
                blocks.append(nn.ModuleList((residual(channels, outputs), attending(outputs, level))))
                channels = outputs
                kept.append(channels)
            self.down.append(blocks)
            if level + 1 < len(widths):
                self.shrink.append(convolution(ndim, channels, channels, stride=2))
                kept.append(channels)

        self.middle_in, self.middle_attention = residual(channels, channels), attending(channels, None)
        self.middle_out = residual(channels, channels)

        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, outputs in reversed(list(enumerate(widths))):
            blocks = nn.ModuleList()
            for _ in range(configuration.blocks + 1):
                blocks.append(nn.ModuleList((residual(channels + kept.pop(), outputs), attending(outputs, level))))
                channels = outputs
            self.up.append(blocks)
            if level:
                self.grow.append(convolution(ndim, channels, channels))
        self.norm = nn.GroupNorm(groups, channels)
        self.exit = convolution(ndim, channels, self.classes * self.patch**ndim, size=3 if self.patch == 1 else 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
                nn.init.orthogonal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, moving: Tensor, fixed: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        """The latent: the noise in `noisy`, or with `tissues` the fixed anatomy in the canonical contrast.

        Parameters
        ----------
        moving, fixed : (B, 1, *spatial) in [-1, 1], any size.
        noisy : the fixed image, in the canonical contrast if there is one, with the noise of `step`.
        step : (B,) int64, index into the noise schedule.

        Returns
        -------
        (B, 1, *spatial) float32: the noise estimate without units, or an image in [-1, 1].

        Raises
        ------
        ValueError : the shapes do not agree.
        """
        values, window = self._values(moving, fixed, noisy, step)
        if self.intensities:
            return self._mixed(values.float().softmax(dim=-1))[window]
        return from_blocks(values[..., 0].movedim(-1, 1), self.patch)[window].float()

    def log_shares(self, moving: Tensor, fixed: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        """Logarithms of the shares of every tissue in every voxel, for training, as the last layer gives them.

        The images are those of `forward`, their sides multiples of `multiple`. Returns (B, *spatial / patch, patch **
        ndim, tissues), the voxels of a block in the order of `to_blocks`.
        """
        values, _ = self._values(moving, fixed, noisy, step)
        return values.float().log_softmax(dim=-1)

    def canonical(self, log_shares: Tensor) -> Tensor:
        """(B, 1, *spatial) in [-1, 1]: the canonical image of what `log_shares` gave."""
        return self._mixed(log_shares.exp())

    def _mixed(self, shares: Tensor) -> Tensor:
        with torch.autocast(shares.device.type, enabled=False):  # 16 bits would leave 100 intensities
            values = shares.float() @ torch.tensor(self.intensities, device=shares.device)
        return from_blocks(values.movedim(-1, 1), self.patch)

    def _values(self, moving: Tensor, fixed: Tensor, noisy: Tensor, step: Tensor) -> tuple[Tensor, tuple[slice, ...]]:
        """(B, *blocks, patch ** ndim, classes) of the padded images, and the slices that cut the images out of them."""
        check_images("The diffusion network", (moving, fixed, noisy), self.ndim)
        images, window = pad_to_multiple(torch.cat((moving, fixed, noisy), dim=1), self.multiple)
        time = self.time(timestep_embedding(step.to(moving.device), self.embedding_width))
        features = self.entry(to_blocks(images, self.patch))
        kept = [features]
        for level, blocks in enumerate(self.down):
            for residual, attend in blocks:
                features = attend(residual(features, time))
                kept.append(features)
            if level < len(self.shrink):
                features = self.shrink[level](features)
                kept.append(features)
        features = self.middle_out(self.middle_attention(self.middle_in(features, time)), time)
        for level, blocks in enumerate(self.up):
            for residual, attend in blocks:
                features = attend(residual(torch.cat((features, kept.pop()), dim=1), time))
            if level < len(self.grow):
                features = self.grow[level](functional.interpolate(features, scale_factor=2.0, mode="nearest"))
        values = self.exit(functional.silu(self.norm(features))).movedim(1, -1)
        return values.unflatten(-1, (-1, self.classes)), window
