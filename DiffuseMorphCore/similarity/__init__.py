"""How alike two images are: used as a loss by training and by the refinement of a registration."""

from DiffuseMorphCore.similarity.intensity_map import intensity_map, map_intensities
from DiffuseMorphCore.similarity.local_correlation import local_correlation

__all__ = ["intensity_map", "local_correlation", "map_intensities"]
