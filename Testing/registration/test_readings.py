"""The refinement hardly ever waits for its device: what is read back from a GPU is counted on the CPU."""

from __future__ import annotations

import pytest
import torch

from DiffuseMorphCore.registration import descent
from DiffuseMorphCore.registration.descent import RefinementSettings, ascend
from DiffuseMorphCore.similarity import MODALITIES, TERMS
from Testing.readings import Readings
from Testing.similarity.made_pairs import deformed


def test_what_reads_is_counted():
    with Readings() as readings:
        values = torch.arange(6.0)
        values[values > 2].sum().item()
        values.nonzero()
    assert readings.counts == {"aten::index": 1, "aten::_local_scalar_dense": 1, "aten::nonzero": 1}


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("modality", MODALITIES)
def test_a_refinement_reads_twice_in_four_steps(modality, ndim, monkeypatch):
    monkeypatch.setattr(descent, "_READ_EVERY", {})  # as on a GPU
    pair, field = deformed(ndim)
    prepared = MODALITIES[modality].prepare(pair, field * 0, pair.shape)
    with torch.no_grad(), Readings() as readings:
        ascend(prepared, field * 0, 16, RefinementSettings(patience=20))
    assert sum(readings.counts.values()) == readings.counts["aten::_local_scalar_dense"] <= 2 * 16 / 4


@pytest.mark.parametrize("name", TERMS)
def test_no_term_reads_in_a_step(name):
    pair, field = deformed(3)
    prepared = TERMS[name].prepare(pair, field, pair.shape)
    with torch.no_grad(), Readings() as readings:
        prepared.force(field)
    assert not readings.counts
