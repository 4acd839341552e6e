"""The VoxelMorph control is trained beside the model, or alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks import load_model
from DiffuseMorphCore.samplers import latent_at
from DiffuseMorphCore.training import export_model, settings_from, train
from DiffuseMorphCore.training.sources import build_sources
from DiffuseMorphCore.training.validation import validate


def test_a_voxelmorph_control_is_trained_beside_the_model(unbroken, images, tmp_path, settings, rows):
    run = settings(
        images,
        tmp_path / "run",
        model={"preset": "default2d", "control": "beside"},
        optimisation={"steps": 2, "average": 0.0},
    )
    result = train(settings_from(run), progress=lambda *_: None)
    assert np.isfinite(float(rows(result.folder)[0]["control_similarity"]))
    with pytest.raises(DiffuseMorphError, match="control"):
        train(settings_from(settings(images, tmp_path / "run")), progress=lambda *_: None)
    control = load_model(export_model(result.folder / "last.pt", tmp_path / "control.pt", control=True))
    again = validate(control, build_sources(settings_from(run))[-1][1].validation(torch.device("cpu")), 5)
    # The file holds weights of 16 bits.
    assert again["similarity"] == pytest.approx(result.validation["control_similarity"], abs=1e-3)
    assert again["dice"] == pytest.approx(result.validation["control_dice"], abs=1e-2)
    with pytest.raises(DiffuseMorphError, match="no control"):
        export_model(unbroken.folder, tmp_path / "none.pt", control=True)


def test_a_voxelmorph_control_alone_is_trained_by_the_registration(images, tmp_path, settings, rows):
    run = settings(images, tmp_path / "run", model={"preset": "default2d", "control": "alone"})
    result = train(settings_from(run), progress=lambda *_: None)
    assert rows(result.folder)[-1]["noise"] == "" and not [name for name in result.validation if "noise" in name]
    model = load_model(export_model(result.folder, tmp_path / "control.pt"))
    assert model.diffusion is None and all(name.startswith("deformation.") for name in model.state_dict())
    fixed, moving = torch.rand(2, 1, 1, 32, 32) * 2 - 1
    assert torch.equal(model.latent(moving, fixed), fixed)
    with pytest.raises(DiffuseMorphError, match="no diffusion network"):
        latent_at(model, moving, fixed, 3, seed=0)
