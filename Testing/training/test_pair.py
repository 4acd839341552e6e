"""A pair keeps all its parts, those of subclasses too, and every part is treated as what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from DiffuseMorphCore.training import pairs as image_pairs
from DiffuseMorphCore.training.pair import INTENSITIES, LABELS, NUMBERS, TrainingPair, part, stack
from DiffuseMorphCore.training.pairs import ImageGrid, ImagePairs, ScanFiles


@dataclass(frozen=True)
class Extended(TrainingPair):
    """A pair with more: a third image, its labels, and a time."""

    frame: Tensor | None = part(INTENSITIES)
    frame_labels: Tensor | None = part(LABELS)
    time: Tensor | None = part(NUMBERS)


def extended():
    torch.manual_seed(0)
    image = torch.rand(1, 1, 6, 7)
    return Extended(image, image + 1, frame=image + 2, frame_labels=(image > 0.5).float(), time=torch.tensor([0.3]))


def test_a_pair_moves_to_another_type_and_device_whole():
    pair = extended()
    moved = pair.to(torch.device("meta"))
    assert type(moved) is Extended and moved.moving_labels is None
    assert all(getattr(moved, name).is_meta for name in ("moving", "fixed", "frame", "frame_labels", "time"))
    doubled = pair.each(lambda values, kind: 2 * values)
    torch.testing.assert_close(doubled.time, 2 * pair.time)
    torch.testing.assert_close(doubled.frame, 2 * pair.frame)


def test_a_batch_has_what_all_of_its_pairs_have():
    one, other = extended(), Extended(*extended().parts()[:2], frame=extended().frame)
    both = stack([one, other])
    assert type(both) is Extended and both.frame.shape == (2, 1, 6, 7) and both.time is None
    assert stack([one, one, one]).time.shape == (3,)
    assert type(stack([TrainingPair(one.moving, one.fixed)])) is TrainingPair


@pytest.mark.parametrize("ndim", [2, 3])
def test_augmentation_interpolates_labels_as_labels_wherever_they_stand(monkeypatch, ndim):
    torch.manual_seed(1)
    shape = (12, 14, 10)[:ndim]
    image, labels = torch.rand(1, 1, *shape), torch.randint(0, 5, (1, 1, *shape)).float() * 7
    pair = Extended(image, image, fixed_labels=labels, frame=image, frame_labels=labels)
    source = ImagePairs(
        [(ScanFiles(Path("a")), ScanFiles(Path("b")))], [], ImageGrid(shape, (1.0,) * ndim), ("x",), affine=1.0
    )
    monkeypatch.setattr(image_pairs.ImagePairs, "_load", lambda *_: pair)
    drawn = source.draw(0, torch.device("cpu"))
    assert type(drawn) is Extended and drawn.moving_labels is None
    assert not torch.equal(drawn.frame, image)
    torch.testing.assert_close(drawn.frame, drawn.moving)
    torch.testing.assert_close(drawn.frame_labels, drawn.fixed_labels)
    assert set(drawn.frame_labels.unique().tolist()) <= set(labels.unique().tolist()) | {0.0}
