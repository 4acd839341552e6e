"""The grid registration works on: about isotropic, as fine as pays, and no finer than memory allows."""

from __future__ import annotations

import math

import torch

from DiffuseMorphCore.devices import free_memory
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.grid import Grid
from DiffuseMorphCore.registration.presets import PRESETS
from DiffuseMorphCore.similarity import MODALITIES, REFERENCE_VOXELS, Similarity

DELIVERED_VOXELS = {2: 512 * 512, 3: 80 * 96 * 112}
"""Voxels of the grid on which the trajectory is kept: half the resolution of a 160 × 192 × 224 image, so that a field
at any eta costs milliseconds. The deformation at eta 1 is kept on the working grid too."""
INVERSE_RATIO = 4 / 3
"""Voxels a side of the inverse's grid, as a multiple of the trajectory's: an inverse bends between the voxels of the
field it belongs to. On brains that takes a quarter off its error; half as many again a side took a third and half the
memory more."""
OWN_BYTES_PER_VOXEL = 300
"""Memory per voxel of the working grid for everything but the similarity, which knows its own: together 440 bytes were
measured for the local correlation."""
BYTES_PER_VOXEL = {name: OWN_BYTES_PER_VOXEL + similarity.bytes_per_voxel for name, similarity in MODALITIES.items()}
BYTES_PER_VOXEL["auto"] = max(BYTES_PER_VOXEL.values())
"""Memory per voxel of the working grid by modality."""


def working_shape(grid: Grid, voxels: int) -> tuple[int, ...]:
    """Shape (array order) with at most ``voxels`` voxels, as close to cubes as the image's own spacing allows."""
    if math.prod(grid.shape) <= voxels:
        return grid.shape
    spacing = (math.prod(n * step for n, step in zip(grid.size, grid.spacing)) / voxels) ** (1 / grid.ndim)
    # Axes coarser than this keep their own spacing, which leaves voxels for the others.
    while math.prod(grid.shape_at(spacing * 0.98)) <= voxels:
        spacing *= 0.98
    while math.prod(grid.shape_at(spacing)) > voxels:
        spacing *= 1.005
    return grid.shape_at(spacing)


def delivered_grid(working: Grid) -> Grid:
    """The grid of the trajectory that belongs to a working grid."""
    return working.resampled(working_shape(working, DELIVERED_VOXELS[working.ndim]))


def inverse_shape(delivered: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the inverse's grid that belongs to a delivered grid of this shape."""
    return tuple(round((size - 1) * INVERSE_RATIO) + 1 for size in delivered)


def wanted_shape(grid: Grid, quality: str) -> tuple[int, ...]:
    """The shape of the working grid of a fixed image where there is memory enough."""
    return working_shape(grid, PRESETS[quality].voxels[grid.ndim] or math.prod(grid.shape))


def choose_grid(
    grid: Grid,
    device: torch.device,
    similarity: Similarity,
    notes: list[str],
    reduction: int = 1,
    quality: str = "default",
) -> Grid:
    """The working grid of a fixed image on a device; a coarser one, with a note, where memory is short.

    ``reduction`` asks for so many times fewer voxels than usual.

    Raises
    ------
    DiffuseMorphError : less memory than the smallest useful grid needs.
    """
    wanted = math.prod(wanted_shape(grid, quality)) // reduction
    affordable = int(0.8 * free_memory(device) / (OWN_BYTES_PER_VOXEL + similarity.bytes_per_voxel))
    if affordable < min(wanted, REFERENCE_VOXELS[grid.ndim]) // 50:
        raise DiffuseMorphError(
            f"Only {free_memory(device) / 2**20:.0f} MiB are free on {device}: "
            "close other programs, or choose another device."
        )
    result = grid.resampled(working_shape(grid, min(wanted, affordable)))
    if affordable < wanted:
        notes.append(
            f"Memory is short on {device}, so the deformation was computed on a coarser grid of "
            f"{'×'.join(map(str, result.size))} voxels."
        )
    return result
