"""The networks that a model can be made of, by the name that its configuration says."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks.configuration import DeformationConfiguration, DiffusionConfiguration
from DiffuseMorphCore.networks.deformation import DeformationNetwork
from DiffuseMorphCore.networks.diffusion import DiffusionNetwork

DIFFUSION: dict[str, Callable[[int, DiffusionConfiguration], nn.Module]] = {"unet": DiffusionNetwork}
"""Name -> class of a G: made from (ndim, configuration), called with (moving, fixed, noisy, step)."""
DEFORMATION: dict[str, Callable[[int, DeformationConfiguration], nn.Module]] = {"voxelmorph": DeformationNetwork}
"""Name -> class of an M: made from (ndim, configuration), called with (moving, latent)."""


def build_network(
    table: dict[str, Callable[..., nn.Module]],
    ndim: int,
    configuration: DiffusionConfiguration | DeformationConfiguration,
) -> nn.Module:
    """The network of a table that a configuration names, with random weights.

    Raises DiffuseMorphError for a name that this version does not know.
    """
    if configuration.architecture not in table:
        raise DiffuseMorphError(
            f"The model's configuration cannot be used: the architecture "
            f"'{configuration.architecture}' is not one of {', '.join(table)}; a newer version may know it."
        )
    return table[configuration.architecture](ndim, configuration)
