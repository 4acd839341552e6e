"""How many threads work, and how they wait: nobody else's program may make a registration many times slower."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import SimpleITK as sitk
import torch

from DiffuseMorphCore import DiffuseMorphError, register, threads
from DiffuseMorphCore.threads import automatic_threads, threads_used, usable_cores

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def policy(first, repository, **chosen):
    """What OpenMP itself says of its wait policy in a process that runs ``first`` and then loads torch."""
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", "PYTHONPATH": str(repository), **chosen}
    found = subprocess.run(
        [sys.executable, "-c", f"{first}; import torch"], env=environment, capture_output=True, text=True, check=True
    )
    return found.stdout + found.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="asks GNU's OpenMP, which torch has on Linux")
@pytest.mark.parametrize(
    "chosen, expected",
    [
        ({}, "GOMP_SPINCOUNT = '0'"),
        ({"GOMP_SPINCOUNT": "700"}, "= '700'"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY = 'ACTIVE'"),
    ],
)
def test_threads_sleep_while_they_wait_unless_the_user_chose(repository, chosen, expected):
    assert expected in policy(
        "from DiffuseMorphCore.command_line import main; main(['--version'])", repository, **chosen
    )


@pytest.fixture
def computer(monkeypatch, tmp_path):
    """computer(cores, others, quota) pretends a computer whose cores others keep busy (cores' worth of time)."""

    def make(cores, others=0.0, quota=None, lowered=0.0):
        moment, mine = iter(range(100)), iter(range(100))
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(threads, "_samples", [])
        monkeypatch.setattr(threads, "_own_cores", lambda: frozenset(range(cores)))
        monkeypatch.setattr(threads, "_CONTROL_GROUPS", tmp_path)
        monkeypatch.setattr(threads.time, "monotonic", lambda: float(next(moment)))
        monkeypatch.setattr(threads.time, "process_time", lambda: float(next(mine)))  # one core is ours
        monkeypatch.setattr(threads.os, "nice", lambda change: 0)
        monkeypatch.setattr(threads.time, "sleep", lambda seconds: None)
        (tmp_path / "cpu.max").write_text("max 100000\n" if quota is None else f"{int(quota * 1e5)} 100000\n")
        statistics = tmp_path / "stat"
        ticks, second = os.sysconf("SC_CLK_TCK"), iter(range(100))

        def lines(self, *_, **__):
            if self != statistics:
                return read(self)
            busy = int((next(clock) * (others + 1)) * ticks / cores)
            low = int(lowered * busy)
            return (
                "cpu  9 9 9 9 9 9 9 9 9 9\n"
                + "".join(f"cpu{core} {busy} {low} 0 500 0 0 0 0 0 0\n" for core in range(cores))
                + "cpu99 77777777 0 0 0 0 0 0 0 0 0\n"
            )

        clock = second
        read = type(tmp_path).read_text
        monkeypatch.setattr(threads, "_STATISTICS", statistics)
        monkeypatch.setattr(type(tmp_path), "read_text", lines)

    return make


@pytest.mark.parametrize(
    "cores, others, quota, expected",
    [
        (2, 0, None, 2),
        (2, 1, None, 1),
        (2, 2, None, 1),
        (16, 0, None, 16),
        (16, 6, None, 10),
        (16, 16, None, 4),
        (64, 0, 3.0, 3),
        (64, 60, 3.0, 3),
        (64, 0, 0.5, 1),
    ],
)
def test_as_many_threads_as_cores_are_free(computer, cores, others, quota, expected):
    computer(cores, others, quota)
    assert automatic_threads(most=99) == expected
    assert automatic_threads(most=1) == 1


def test_usable_cores_do_not_go_by_the_load(computer):
    computer(16, 12)
    assert usable_cores() == 16
    computer(64, 0, 2.0)
    assert usable_cores() == 2
    computer(4, 0, 0.5)
    assert usable_cores() == 1


def test_programs_of_low_priority_make_way(computer):
    computer(8, 0, lowered=5.0)
    assert automatic_threads(most=99) == 8


def test_the_environment_decides_before_the_load_does(computer, monkeypatch):
    computer(16, 16)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert automatic_threads(most=99) == 7


def test_a_computer_that_does_not_tell_its_load(computer, monkeypatch, tmp_path):
    computer(6)
    monkeypatch.setattr(threads, "_STATISTICS", tmp_path / "absent" / "stat")
    assert automatic_threads(most=99) == 6


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    with threads_used(3) as used:
        assert used == torch.get_num_threads() == sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == 3
    assert (torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()) == before


@pytest.mark.parametrize("wanted", [0, -1, 1.5, True, "many", None])
def test_other_numbers_are_refused(wanted, pair_2d):
    with pytest.raises(DiffuseMorphError, match="threads"):
        register(*pair_2d, threads=wanted)


def test_the_report_says_how_many_threads_there_were(pair_2d):
    result = register(*pair_2d, model=None, refine=2, device="cpu", threads=3)
    assert "3 threads" in result.report["device"] and result.report["settings"]["threads"] == 3
