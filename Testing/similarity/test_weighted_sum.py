"""Sums of similarity terms, and what the modalities are made of."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.similarity import MODALITIES, TERMS, Similarity
from DiffuseMorphCore.warp import smooth
from Testing.similarity.made_pairs import deformed, pair_of


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_is_made_of_registered_terms(modality):
    similarity = MODALITIES[modality]
    assert similarity.terms and all(term in TERMS.values() and weight > 0 for weight, term in similarity.terms)
    assert similarity.bytes_per_voxel >= max(term.bytes_per_voxel for _, term in similarity.terms)


def test_a_sum_is_the_weighted_mean_and_its_force_one_of_forces_of_equal_length():
    pair, field = deformed(3)
    weights, terms = (1.0, 3.0), (TERMS["local_correlation"], TERMS["self_similarity"])
    prepared = Similarity(tuple(zip(weights, terms))).prepare(pair, field, pair.shape)
    parts = [term.prepare(pair, field, pair.shape) for term in terms]
    identity = torch.zeros_like(field)
    values, forces = zip(*(part.force(identity) for part in parts))
    lengths = [force.norm(dim=1).mean() for force in forces]
    expected = sum(weight * force / length for weight, force, length in zip(weights, forces, lengths))
    value, force = prepared.force(identity)
    torch.testing.assert_close(value, (values[0] + 3 * values[1]) / 4)
    torch.testing.assert_close(force, expected / field[0, 0].numel())
    # Later on the lengths of the first step stay the units.
    later = [part.force(0.5 * field)[1] for part in parts]
    expected = sum(weight * force / length for weight, force, length in zip(weights, later, lengths))
    torch.testing.assert_close(prepared.force(0.5 * field)[1], expected / field[0, 0].numel())


def test_a_term_without_force_at_first_gets_its_unit_when_it_has_one():
    pair, field = deformed(2)
    same = pair_of(pair.moving, pair.moving)
    sum_of_two = Similarity(((1.0, TERMS["local_correlation"]), (1.0, TERMS["self_similarity"])))
    prepared = sum_of_two.prepare(same, field, pair.shape)
    assert bool(prepared.force(0 * field)[1].isfinite().all())
    force = prepared.force(field)[1]
    assert bool(force.isfinite().all()) and float((smooth(force, 1.0) * field).sum()) < 0
