"""The former place of :class:`DiffuseMorphCore.grid.Grid`."""

from DiffuseMorphCore.grid import Grid

__all__ = ["Grid"]
