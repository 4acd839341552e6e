"""A model survives its file; damaged, foreign and unfitting files are refused, and nothing in them is executed."""

import os
import pickle
import zipfile

import pytest
import torch

from DiffuseMorphCore import __version__
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.networks import (
    available_models,
    default_model,
    is_non_commercial,
    load_model,
    model_entry,
    model_file,
    save_model,
)

INFORMATION = {
    "version": "1",
    "description": "For tests.",
    "training_data": "Noise.",
    "terms": "CC0",
    "recipe": {"steps": 10, "rates": [1e-3, 1e-4], "note": None},
}


@pytest.fixture
def saved(tmp_path, small_model):
    return save_model(tmp_path / "small.pt", small_model(3), INFORMATION)


def rewritten(path, **changes):
    content = torch.load(path, weights_only=True)
    content.update(changes)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("ndim", [2, 3])
def test_round_trip_through_the_disk(tmp_path, small_model, ndim):
    model = small_model(ndim)
    path = save_model(tmp_path / "small.pt", model, INFORMATION)
    assert os.listdir(tmp_path) == ["small.pt"]
    loaded = load_model(path, ndim=ndim)
    assert loaded.configuration == model.configuration and not loaded.training
    assert loaded.information == {**INFORMATION, "name": "small", "package_version": __version__}
    half = {name: tensor.half().float() for name, tensor in model.state_dict().items()}
    assert all(
        torch.equal(tensor, half[name]) and tensor.dtype == torch.float32
        for name, tensor in loaded.state_dict().items()
    )
    moving, fixed = torch.rand(2, 1, 1, *(8, 9, 10)[:ndim])
    model.load_state_dict(half)
    assert torch.equal(loaded.latent(moving, fixed), model.latent(moving, fixed))
    path.unlink()  # the loaded model does not lean on its file
    loaded.field(moving, fixed).sum().backward()
    assert loaded.deformation.exit.weight.grad is not None


def test_loading_takes_a_path_as_text(saved):
    assert load_model(str(saved)).information["name"] == "small"


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9, -1])
def test_truncated_file_is_refused(saved, keep):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(DiffuseMorphError, match=r"small\.pt' cannot be used: it is damaged"):
        load_model(saved)


def test_a_flipped_bit_in_the_weights_is_noticed(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    with pytest.raises(DiffuseMorphError, match="it is damaged"):
        load_model(saved)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_foreign_pickle_is_refused_and_not_executed(tmp_path, legacy):
    path, mark = tmp_path / "foreign.pt", tmp_path / "executed"
    torch.save({"format": model_file.FORMAT, "weights": Trap(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DiffuseMorphError, match=r"foreign\.pt' cannot be used"):
        load_model(path)
    assert not mark.exists()
    path.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(DiffuseMorphError, match=r"foreign\.pt' cannot be used"):
        load_model(path)
    assert not mark.exists()


def test_other_files_are_refused(tmp_path):
    text, archive, weights = tmp_path / "notes.pt", tmp_path / "archive.pt", tmp_path / "weights.pt"
    text.write_text("not a model")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "not a model")
    torch.save({"layer.weight": torch.zeros(2)}, weights)
    for path in (text, archive, weights):
        with pytest.raises(DiffuseMorphError, match=f"{path.name}' cannot be used"):
            load_model(path)


def test_newer_format_is_refused(saved):
    rewritten(saved, format_version=model_file.FORMAT_VERSION + 1, package_version="9.1")
    with pytest.raises(DiffuseMorphError, match=r"newer DiffuseMorph \(9\.1\): update"):
        load_model(saved)


def test_weights_that_do_not_fit_are_refused(saved):
    content = torch.load(saved, weights_only=True)
    weights = dict(content["weights"])
    for change in (
        {"diffusion.exit.weight": torch.zeros(1)},
        {"surplus": torch.zeros(1)},
        {"diffusion.exit.bias": "text"},
        {3: torch.zeros(1)},
    ):
        rewritten(saved, weights={**weights, **change})
        with pytest.raises(DiffuseMorphError, match=f"do not fit its configuration .*{next(iter(change))}"):
            load_model(saved)
    del weights["deformation.exit.bias"]
    rewritten(saved, weights=weights)
    with pytest.raises(DiffuseMorphError, match=r"do not fit .*'deformation\.exit\.bias'"):
        load_model(saved)


def test_bad_configuration_or_values_in_a_file_are_refused(saved):
    content = torch.load(saved, weights_only=True)
    rewritten(saved, configuration={**content["configuration"], "ndim": 5})
    with pytest.raises(DiffuseMorphError, match=r"small\.pt' cannot be used: .*neither 2 nor 3"):
        load_model(saved)
    weights = {**content["weights"], "diffusion.exit.bias": torch.tensor([float("nan")])}
    rewritten(saved, configuration=content["configuration"], weights=weights)
    with pytest.raises(DiffuseMorphError, match=r"'diffusion\.exit\.bias' is not finite"):
        load_model(saved)
    rewritten(saved, information="text")
    with pytest.raises(DiffuseMorphError, match="it is damaged"):
        load_model(saved)


def test_a_model_for_the_other_dimension_is_refused(saved):
    with pytest.raises(DiffuseMorphError, match="is for 3-D images, but the images are 2-D"):
        load_model(saved, ndim=2)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(DiffuseMorphError, match=r"absent\.pt' does not exist"):
        load_model(tmp_path / "absent.pt")
    with pytest.raises(DiffuseMorphError, match="is a folder"):
        load_model(tmp_path)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved, small_model):
    before = saved.read_bytes()
    model = small_model(3)
    with pytest.raises(DiffuseMorphError, match="holds a Tensor, but only"):
        save_model(saved, model, {"version": torch.ones(1)})
    model.diffusion.exit.bias.data.fill_(1e6)
    with pytest.raises(DiffuseMorphError, match=r"'diffusion\.exit\.bias' is not finite in 16"):
        save_model(saved, model, INFORMATION)
    with pytest.raises(DiffuseMorphError, match="could not be written to .*: there is no folder"):
        save_model(saved.parent / "absent" / "small.pt", small_model(3), INFORMATION)
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["small.pt"]


def test_bundled_models_are_listed_and_found_by_name(tmp_path, small_model, monkeypatch):
    monkeypatch.setattr(model_file, "BUNDLED", tmp_path)
    assert available_models() == []
    with pytest.raises(DiffuseMorphError, match="'default' is unknown: the package came without models"):
        load_model("default")
    for ndim in (3, 2):
        save_model(tmp_path / f"default{ndim}d.pt", small_model(ndim), INFORMATION)
    entries = available_models()
    assert [(entry.name, entry.ndim, entry.description, entry.terms) for entry in entries] == [
        ("default2d", 2, "For tests.", "CC0"),
        ("default3d", 3, "For tests.", "CC0"),
    ]
    assert load_model("default").ndim == load_model("default", ndim=3).ndim == load_model("default3d").ndim == 3
    assert load_model("default", ndim=2).information["name"] == "default2d"
    with pytest.raises(DiffuseMorphError, match="'brain' is unknown: the package comes with default2d, default3d"):
        load_model("brain")


@pytest.mark.parametrize(
    "terms, forbidden",
    [
        ("CC BY-NC 3.0", True),
        ("cc-by-nc-sa-4.0", True),
        ("Non-commercial research only.", True),
        ("noncommercial", True),
        ("Not for commercial use", True),
        ("For academic use only", True),
        ("Apache-2.0", False),
        ("CC BY-SA 4.0", False),
        ("CC0", False),
        ("", False),
    ],
)
def test_terms_that_forbid_commercial_use_are_recognised(terms, forbidden):
    assert is_non_commercial(terms) == forbidden


def test_a_model_for_non_commercial_use_is_never_the_default(tmp_path, small_model, monkeypatch, pair_2d, capsys):
    from DiffuseMorphCore import register
    from DiffuseMorphCore.command_line import main

    monkeypatch.setattr(model_file, "BUNDLED", tmp_path)
    save_model(tmp_path / "default2d.pt", small_model(2), {**INFORMATION, "terms": "CC BY-NC 3.0"})
    save_model(tmp_path / "organs2d.pt", small_model(2), INFORMATION)
    assert model_entry(tmp_path / "default2d.pt").non_commercial and default_model(2) is None
    with pytest.raises(DiffuseMorphError, match="'default' is unknown"):
        load_model("default", ndim=2)
    assert register(*pair_2d, refine=0).report["model"] == "none"
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "default2d (2-D images, not for commercial use)" in listed and "organs2d (2-D images)" in listed
    asked_for = register(*pair_2d, model="default2d", refine=0).report
    assert asked_for["model"]["terms"] == "CC BY-NC 3.0"
    assert any("may not be used commercially: CC BY-NC 3.0" in note for note in asked_for["notes"])


def test_the_bundled_defaults_may_be_used_by_everybody():
    assert not any(entry.non_commercial for entry in available_models() if entry.name.startswith("default"))


def test_every_bundled_model_loads_and_says_where_it_comes_from():
    for entry in available_models():
        model = load_model(entry.name)
        assert model.ndim == entry.ndim and entry.description and entry.terms
        assert model.information["training_data"] and model.information["recipe"]
        assert entry.path.stat().st_size <= 16 * 2**20
