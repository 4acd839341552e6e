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
    "different": Similarity(
        (
            (1.0, TERMS["local_correlation"]),
            (1.0, TERMS["contrast_mapped_correlation"]),
            (1.0, TERMS["self_similarity"]),
            (1.0, TERMS["canonical_correlation"]),
        ),
        network_pair=in_moving_contrast,
    ),
}
"""What is maximised where equal intensities mean equal tissue, and where they do not.

The sum for different contrasts was chosen on pairs of T1 and FLAIR of different people, mean Dice of 145 structures.
Six pairs (.313 aligned): self-similarity alone .463, correlation of the images .477, of the image mapped to the other
contrast .481, self- similarity with the correlation of the images .518. Three of these pairs: the last .515, with the
mapped image in place of the image .516, all three .520, and with the canonical images of the bundled model **.528** (by
these alone .473). The map helps where contrasts are exchanged in ways that no correlation sees, as on phantoms whose
contrast is not monotone, which self-similarity with the images' correlation alone drives apart.
"""
