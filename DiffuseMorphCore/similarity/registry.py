"""The similarity terms by name, and which of them a modality means."""

from __future__ import annotations

from DiffuseMorphCore.similarity.canonical_correlation import CanonicalCorrelation
from DiffuseMorphCore.similarity.contrast_mapped import ContrastMappedCorrelation, in_moving_contrast
from DiffuseMorphCore.similarity.correlation import LocalCorrelation
from DiffuseMorphCore.similarity.self_similarity import SelfSimilarity
from DiffuseMorphCore.similarity.term import SimilarityTerm
from DiffuseMorphCore.similarity.weighted_sum import Similarity

TERMS: dict[str, SimilarityTerm] = {
    "local_correlation": LocalCorrelation(),
    "contrast_mapped_correlation": ContrastMappedCorrelation(),
    "self_similarity": SelfSimilarity(),
    "canonical_correlation": CanonicalCorrelation(),
}
"""Every term there is, with the settings it is registered with; a new one is one file and one line here."""

MODALITIES: dict[str, Similarity] = {
    "same": Similarity(((1.0, TERMS["local_correlation"]),)),
    "different": Similarity(((1.0, TERMS["contrast_mapped_correlation"]),), network_pair=in_moving_contrast),
}
"""What is maximised where equal intensities mean equal tissue, and where they do not."""
