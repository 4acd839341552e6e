"""The diffusion network G: two images and a noisy one in, the latent (the noise estimate) out."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from DiffuseMorphCore.networks.blocks import (ResidualBlock, attention, check_images, convolution, pad_to_multiple,
                                              time_code)
from DiffuseMorphCore.networks.configuration import DiffusionConfiguration


class DiffusionNetwork(nn.Module):
    """A DDPM U-Net conditioned on the moving and the fixed image (G in the paper, equation 8).

    One level holds `blocks` residual blocks on the way down and one more on the way up; strided convolutions halve the
    grid, nearest-neighbour doubling and a convolution bring it back. Every feature map of the way down is kept and
    joined on the way up. Weights start orthogonal, biases zero.
    """

    def __init__(self, ndim: int, configuration: DiffusionConfiguration) -> None:
        super().__init__()
        self.ndim = ndim
        self.code_width = configuration.code_width
        self.multiple = 2 ** (len(configuration.multipliers) - 1)
        width, code, groups = configuration.width, configuration.code_width, configuration.groups
        widths = [width * multiplier for multiplier in configuration.multipliers]

        def residual(inputs: int, outputs: int) -> ResidualBlock:
            return ResidualBlock(ndim, inputs, outputs, code, groups)

        def attending(channels: int, level: int | None) -> nn.Module:
            if level is not None and level not in configuration.attention_levels:
                return nn.Identity()
            return attention(configuration.attention, ndim, channels, configuration.heads, groups)

        self.time = nn.Sequential(nn.Linear(code, 4 * code), nn.SiLU(), nn.Linear(4 * code, code))
        self.entry = convolution(ndim, 3, width)
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
        self.exit = convolution(ndim, channels, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
                nn.init.orthogonal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, moving: Tensor, fixed: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        """Estimate the noise in `noisy`, given the pair: the latent.

        moving, fixed, noisy: (B, 1, *spatial) in [-1, 1], any size; noisy is the fixed image with the noise of `step`.
        step: (B,) int64, index into the noise schedule. Returns (B, 1, *spatial) float32, the latent, without units.
        Raises ValueError when the shapes do not agree.
        """
        check_images("The diffusion network", (moving, fixed, noisy), self.ndim)
        features, window = pad_to_multiple(torch.cat((moving, fixed, noisy), dim=1), self.multiple)
        time = self.time(time_code(step.to(moving.device), self.code_width))
        features = self.entry(features)
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
        latent = self.exit(functional.silu(self.norm(features)))
        return latent[window].float()
