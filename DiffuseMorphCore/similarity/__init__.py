"""How similar two images are: terms that training uses as a loss and a registration maximises, and weighted sums of
them.
"""

from DiffuseMorphCore.similarity.contrast_mapped import ContrastMappedCorrelation, in_moving_contrast
from DiffuseMorphCore.similarity.correlation import LocalCorrelation
from DiffuseMorphCore.similarity.image_pair import ImagePair
from DiffuseMorphCore.similarity.intensity_map import intensity_map, map_intensities
from DiffuseMorphCore.similarity.local_correlation import local_correlation
from DiffuseMorphCore.similarity.registry import MODALITIES, TERMS
from DiffuseMorphCore.similarity.self_similarity import SelfSimilarity, descriptors
from DiffuseMorphCore.similarity.term import REFERENCE_VOXELS, Guide, PreparedTerm, SimilarityTerm, fineness
from DiffuseMorphCore.similarity.weighted_sum import Similarity

__all__ = [
    "MODALITIES",
    "REFERENCE_VOXELS",
    "TERMS",
    "ContrastMappedCorrelation",
    "Guide",
    "ImagePair",
    "LocalCorrelation",
    "PreparedTerm",
    "SelfSimilarity",
    "Similarity",
    "SimilarityTerm",
    "descriptors",
    "fineness",
    "in_moving_contrast",
    "intensity_map",
    "local_correlation",
    "map_intensities",
]
