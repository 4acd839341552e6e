"""How alike two images are: used as a loss by training and by the refinement of a registration."""

from DiffuseMorphCore.similarity.descriptors import self_similarity
from DiffuseMorphCore.similarity.local_correlation import local_correlation

__all__ = ["local_correlation", "self_similarity"]
