"""Devices are chosen, described and measured; absent or unknown ones are refused in a sentence."""

import pytest
import torch

from DiffuseMorphCore.devices import choose_device, describe_device, free_memory
from DiffuseMorphCore.errors import Cancelled, DiffuseMorphError
from DiffuseMorphCore.progress import advance


def test_auto_takes_the_best_device_there_is():
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "meta", "xpu", "", "cuda:one"])
def test_unknown_device_is_refused_with_the_choices(name):
    with pytest.raises(DiffuseMorphError, match="unknown: choose one of auto, cpu, cuda, mps"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_absent_device_is_refused(name):
    there = torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()
    if there:
        assert choose_device(name).type == name
    else:
        with pytest.raises(DiffuseMorphError, match=f"finds no .*{name.upper()} device"):
            choose_device(name)


def test_cuda_number_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DiffuseMorphError, match="'cuda:2' is not there: this computer has 2"):
        choose_device("cuda:2")


def test_free_memory_falls_by_what_is_taken():
    device = choose_device("auto")
    assert free_memory(device) > 100 * 2**20

    def fall() -> int:
        before = free_memory(device)
        block = torch.ones(512 * 2**20, dtype=torch.uint8, device=device)
        return before - free_memory(device) if len(block) else 0

    # Other programs come and go meanwhile, so about half of the block has to show, once.
    assert any(fall() > 256 * 2**20 for _ in range(5))


def test_description_names_the_cpu_and_its_threads():
    text = describe_device(torch.device("cpu"))
    assert text.startswith("cpu (") and f"{torch.get_num_threads()} thread" in text


def test_progress_is_reported_within_zero_and_one_and_cancels():
    seen = []
    advance(lambda stage, fraction: seen.append((stage, fraction)), "align", 1.2)
    advance(None, "align", 0.5)
    assert seen == [("align", 1.0)]
    with pytest.raises(Cancelled, match="align"):
        advance(lambda stage, fraction: False, "align", 0.5)
