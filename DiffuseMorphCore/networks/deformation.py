"""The deformation network M: the moving image and the latent in, a field out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from DiffuseMorphCore.networks.blocks import ConvolutionBlock, check_images, convolution, pad_to_multiple, upsample
from DiffuseMorphCore.networks.configuration import DeformationConfiguration

FIELD_STANDARD_DEVIATION = 1e-3  # of the last layer's weights under "kaiming", so that the first fields are small


class DeformationNetwork(nn.Module):
    """VoxelMorph's encoder and decoder (M in the paper, equations 10 and 11), without normalisation.

    The encoder halves the grid by strided convolutions. The decoder doubles it by transposed convolutions, joins the
    encoder's features of the same grid and convolves; one more block works on the second finest grid.
    """

    def __init__(self, ndim: int, configuration: DeformationConfiguration) -> None:
        super().__init__()
        self.ndim = ndim
        self.multiple = 2 ** (len(configuration.encoder) - 1)

        def block(inputs: int, outputs: int, stride: int = 1) -> ConvolutionBlock:
            return ConvolutionBlock(ndim, inputs, outputs, configuration.convolutions, stride)

        encoder, decoder = configuration.encoder, configuration.decoder
        self.down = nn.ModuleList(
            block(encoder[level - 1] if level else 2, width, stride=2 if level else 1)
            for level, width in enumerate(encoder)
        )
        self.grow, self.up = nn.ModuleList(), nn.ModuleList()
        channels = encoder[-1]
        for kept, outputs in zip(reversed(encoder[1:-1]), decoder[:-2]):
            self.grow.append(upsample(ndim, channels))
            self.up.append(block(kept + channels, outputs))
            channels = outputs
        self.extra = block(channels, decoder[-2])
        self.grow.append(upsample(ndim, decoder[-2]))
        self.up.append(block(encoder[0] + decoder[-2], decoder[-1]))
        self.exit = convolution(ndim, decoder[-1], ndim)
        initialise(self, self.exit, configuration.initialisation)

    def forward(self, moving: Tensor, latent: Tensor) -> Tensor:
        """Estimate the field that deforms the moving image, from the latent alone.

        Parameters
        ----------
        moving : (B, 1, *spatial) in [-1, 1].
        latent : (B, 1, *spatial), scaled by eta where a part of the way is wanted.

        Returns
        -------
        (B, ndim, *spatial) float32: displacement or velocity in voxels, component order = axis order, pulling.

        Raises
        ------
        ValueError : the shapes do not agree.
        """
        check_images("The deformation network", (moving, latent), self.ndim)
        features, window = pad_to_multiple(torch.cat((moving, latent), dim=1), self.multiple)
        kept = []
        for block in self.down:
            features = block(features)
            kept.append(features)
        kept.pop()
        finest = len(self.up) - 1
        for level, (grow, block) in enumerate(zip(self.grow, self.up)):
            if level == finest:
                features = self.extra(features)
            features = block(torch.cat((kept.pop(), grow(features)), dim=1))
        return self.exit(features)[window].float()


def initialise(network: nn.Module, exit: nn.Module, kind: str) -> None:
    """Draw the weights of all convolutions of a network whose last layer, which gives the field, is `exit`.

    kind : one of `configuration.INITIALISATIONS`.
    """
    if exit.weight.is_meta:
        return  # the weights come from a file; normal numbers for no memory would load all of torch's compiler
    for module in network.modules():
        if not isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            continue
        if kind == "normal":
            nn.init.normal_(module.weight, std=0.02)
        elif module is exit:
            nn.init.normal_(module.weight, std=FIELD_STANDARD_DEVIATION)
        elif isinstance(module, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
            # Stride 2 lets only one weight in 2^ndim reach a voxel, and no non-linearity follows.
            reaching = module.weight[0].numel() / 2 ** (module.weight.ndim - 2)
            nn.init.normal_(module.weight, std=reaching**-0.5)
        else:
            nn.init.kaiming_normal_(module.weight, a=0.2)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
