"""Arrays are registered, and models trained from a packed file, where SimpleITK is not installed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from DiffuseMorphCore import DiffuseMorphError, register_tensors
from DiffuseMorphCore.similarity import local_correlation
from DiffuseMorphCore.training.label_files import FORMAT
from DiffuseMorphCore.warp import smooth, warp

BLOCKED = "import sys; sys.modules['SimpleITK'] = None\n"
SHAPE = (24, 22, 26)


def made_pair(shape=SHAPE):
    """(fixed, moving), each (1, 1, *shape) in [0, 1]: smooth texture, the fixed one bent by up to two voxels."""
    random = torch.Generator().manual_seed(0)
    moving = smooth(torch.rand((1, 1, *shape), generator=random), 1.5)
    moving = (moving - moving.amin()) / (moving.amax() - moving.amin())
    field = smooth(torch.randn((1, len(shape), *shape), generator=random), 3.0)
    return warp(moving, field * (2.0 / field.norm(dim=1).amax())), moving


def run_blocked(code, *arguments):
    job = subprocess.run([sys.executable, "-c", BLOCKED + code, *map(str, arguments)], capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    return job.stdout


def test_tensors_are_registered_without_it(tmp_path):
    fixed, moving = made_pair()
    np.savez(tmp_path / "pair.npz", fixed=fixed.numpy(), moving=moving.numpy())
    run_blocked(
        """
import numpy as np
from DiffuseMorphCore import register_tensors
pair = np.load(sys.argv[1])
found = register_tensors(pair["fixed"], pair["moving"], device="cpu")
np.save(sys.argv[2], found.displacement(1.0, pair["fixed"].shape[2:]).numpy())
""",
        tmp_path / "pair.npz",
        tmp_path / "found.npy",
    )
    found = torch.from_numpy(np.load(tmp_path / "found.npy"))
    before, after = (float(local_correlation(each, fixed)) for each in (moving, warp(moving, found)))
    assert 1 - after < 0.5 * (1 - before)
    here = register_tensors(fixed[0, 0], moving[0, 0].numpy(), device="cpu").displacement(1.0, SHAPE)
    torch.testing.assert_close(found, here)


def test_a_model_is_trained_from_a_packed_file_and_registers_without_it(tmp_path):
    axes = np.meshgrid(*[np.arange(40) - 19.5] * 3, indexing="ij")
    packed = {"format": np.array(FORMAT)}
    for person, stretch in enumerate((1.0, 1.1)):
        distance = np.sqrt(sum((axis / (stretch if number == 0 else 1)) ** 2 for number, axis in enumerate(axes)))
        labels = np.zeros(distance.shape, np.uint16)
        for radius, label in ((18, 511), (16, 515), (14, 24), (13, 3), (10, 2), (4, 4)):
            labels[distance < radius] = label
        packed |= {f"head{person}/labels": labels, f"head{person}/spacing": np.full(3, 3.0)}
    np.savez_compressed(tmp_path / "heads.npz", **packed)
    text = run_blocked(
        """
from DiffuseMorphCore.command_line import main
from DiffuseMorphCore.training import export_model, settings_from, train
import torch
folder = sys.argv[1]
result = train(settings_from({
    "device": "cpu",
    "model": {"preset": "canonical3d"},
    "data": {"source": "tissues", "folder": folder + "/heads.npz", "held_out": 1},
    "geometry": {"shape": [16, 16, 16], "spacing": 4.0},
    "loss": {"registration": 0.0},
    "optimisation": {"steps": 2, "batch": 1},
    "validation": {"every": 2, "pairs": 1},
    "output": {"folder": folder + "/run"},
}), progress=lambda *_: None)
model = export_model(result.folder, folder + "/model.pt")
from DiffuseMorphCore import register_tensors
image = torch.zeros(20, 20, 20)
image[5:15, 5:14, 6:14] = 0.8
found = register_tensors(image, image.roll(1, 0), spacing=(4, 4, 4), device="cpu", model=str(model), modality="same")
print(result.step, sorted(found.similarity))
""",
        tmp_path,
    )
    assert text.split() == ["2", "['aligned',", "'network',", "'registered']"]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"fixed": "no image"}, "type str"),
        ({"fixed": torch.zeros(3, 3)}, "at least 8"),
        ({"moving": torch.rand(24, 22, 25)}, "one grid"),
        ({"moving": 200 * torch.rand(SHAPE)}, r"scale them to \[0, 1\]"),
        ({"moving": torch.full(SHAPE, torch.nan)}, "nan"),
        ({"spacing": (1.0, 2.0)}, "3 lengths"),
        ({"fixed_mask": torch.zeros(SHAPE)}, "mask is empty"),
        ({"quality": "superb"}, "quality"),
        ({"restrict": "w"}, "restrict"),
    ],
)
def test_what_cannot_be_registered_is_refused_in_one_sentence(change, words):
    fixed, moving = made_pair()
    given = {"fixed": fixed[0, 0], "moving": moving[0, 0], "device": "cpu", "model": None} | change
    with pytest.raises(DiffuseMorphError, match=words):
        register_tensors(given.pop("fixed"), given.pop("moving"), **given)


def test_a_slice_and_its_mask():
    fixed, moving = made_pair((40, 44))
    mask = torch.zeros(40, 44)
    mask[:, :30] = 1
    seconds = {}
    found = register_tensors(fixed, moving, fixed_mask=mask, device="cpu", model=None, seconds=seconds)
    field = found.displacement(1.0, (40, 44))
    inside = (slice(None), slice(None), slice(None), slice(0, 26))
    before, after = (float(local_correlation(each[inside], fixed[inside])) for each in (moving, warp(moving, field)))
    assert 1 - after < 0.5 * (1 - before)
    assert not found.displacement(0.0).any() and set(seconds) >= {"prepare", "refine", "deliver"}
