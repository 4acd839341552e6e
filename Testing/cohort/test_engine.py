"""Pairs on Dask's workers: killed ones, schedulers that are given, that are gone, and that have nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import pytest

from DiffuseMorphCore.cohort import clusters, engine, room
from DiffuseMorphCore.cohort.clusters import Place, slurm_settings
from DiffuseMorphCore.cohort.engine import run_pairs
from DiffuseMorphCore.cohort.pair import DONE, FAILED, KEPT, Outcome
from DiffuseMorphCore.cohort.room import local_workers, memory_of
from DiffuseMorphCore.cohort.table import Pair, read_table
from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.registration.working_grid import BYTES_PER_VOXEL
from DiffuseMorphCore.threads import usable_cores

cloudpickle.register_pickle_by_value(sys.modules[__name__])
LITTLE = 64 << 20


def pairs(*names: str) -> list[Pair]:
    return [Pair(name, row, ()) for row, name in enumerate(names, start=1)]


def job(pair: Pair, folder: str, threads: int | None) -> Outcome:
    """Tells what it is; a pair named so kills its process, always or the first time, or fails."""
    with open(Path(folder, pair.name), "a") as file:
        file.write(".")
    tries = os.path.getsize(Path(folder, pair.name))
    if pair.name == "always killed" or (pair.name == "killed once" and tries == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if pair.name == "broken":
        raise ValueError("first line\nsecond")
    return Outcome(pair.name, pair.row, DONE, reason=f"{threads}")


@pytest.fixture()
def outcomes():
    return []


@contextmanager
def scheduler(workers: int, **settings):
    import distributed

    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=60, **settings
    ) as cluster:
        yield cluster


@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_a_killed_worker_costs_a_second_try_and_stops_nobody(tmp_path, outcomes):
    names = ["killed once", "always killed", "broken", *(f"pair {number}" for number in range(8))]
    run_pairs(pairs(*names), str(tmp_path), Place(workers=1, memory=LITTLE), outcomes.append, job)
    found = {outcome.name: outcome for outcome in outcomes}
    assert len(outcomes) == len(found) == len(names)
    assert found["killed once"].state == DONE and (tmp_path / "killed once").read_text() == ".."
    assert (found["always killed"].state, (tmp_path / "always killed").read_text()) == (FAILED, "..")
    assert "was killed, 2 times" in found["always killed"].reason
    assert found["broken"].reason == "ValueError: first line"
    ordinary = [outcome for outcome in outcomes if outcome.name.startswith("pair ")]
    assert len(ordinary) == 8 and {outcome.state for outcome in ordinary} == {DONE}
    assert {outcome.reason for outcome in ordinary} == {str(min(room.CORES, usable_cores()))}
    assert all((tmp_path / outcome.name).read_text() == "." for outcome in ordinary), "nobody else is tried twice"


def test_a_scheduler_that_is_given_does_the_work_with_the_threads_it_has(tmp_path, outcomes):
    with scheduler(1) as cluster:
        place = Place(scheduler=cluster.scheduler_address)
        run_pairs(pairs("one", "two"), str(tmp_path), place, outcomes.append, job)
        assert sorted(outcome.name for outcome in outcomes) == ["one", "two"]
        assert {outcome.reason for outcome in outcomes} == {"None"}
        with pytest.raises(DiffuseMorphError, match="names the resource GPU"):
            run_pairs(pairs("one"), str(tmp_path), Place(scheduler=place.scheduler, gpu=True), outcomes.append, job)


def test_a_worker_without_the_package_is_told_and_nobody_waits_for_it(tmp_path, outcomes):
    import distributed

    with scheduler(1) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        client.run(exec, "import sys; sys.modules['DiffuseMorphCore'] = None")
        place = Place(scheduler=cluster.scheduler_address)
        with pytest.raises(DiffuseMorphError, match=r"The worker 'tcp://.*' cannot register .*: install DiffuseMorph"):
            run_pairs(pairs("one"), str(tmp_path), place, outcomes.append, job)


def test_pairs_go_to_workers_with_a_gpu_where_that_is_asked_for(tmp_path, outcomes):
    with scheduler(1, resources={"GPU": 1}) as cluster:
        place = Place(scheduler=cluster.scheduler_address, gpu=True)
        run_pairs(pairs("one"), str(tmp_path), place, outcomes.append, job)
    assert outcomes[0].state == DONE


def test_a_scheduler_that_is_not_there_or_has_no_workers_is_told(tmp_path, outcomes, monkeypatch):
    for module in (clusters, engine):
        monkeypatch.setattr(module, "PATIENCE", 1)
    with pytest.raises(DiffuseMorphError, match="'tcp://127.0.0.1:9' does not answer .*: start it with"):
        run_pairs(pairs("one"), str(tmp_path), Place(scheduler="tcp://127.0.0.1:9"), outcomes.append, job)
    with pytest.raises(DiffuseMorphError, match="'no address' does not answer"):
        run_pairs(pairs("one"), str(tmp_path), Place(scheduler="no address"), outcomes.append, job)
    with scheduler(0) as cluster, pytest.raises(DiffuseMorphError, match="has no worker: start some with"):
        run_pairs(pairs("one"), str(tmp_path), Place(scheduler=cluster.scheduler_address), outcomes.append, job)


SCHEDULER = """
import distributed, sys, time
if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(sys.argv[1:]))  # what the scheduler, but no worker, cannot import
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


@contextmanager
def scheduler_to_be_killed(folder: Path, without: str = "nothing"):
    """A scheduler with a worker in a process of its own, and its address."""
    (folder / "program.py").write_text(SCHEDULER, encoding="utf-8")
    command = [sys.executable, str(folder / "program.py"), without]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_a_scheduler_that_is_killed_is_told_and_with_another_one_the_cohort_goes_on(write_table, tmp_path, outcomes):
    rows = [f"pair {number},a.nii.gz,{'bc'[number % 2]}.nii.gz" for number in range(4)]
    quick = ["--model=none", "--device=cpu", "--threads=1", "--align=none"]
    waiting = read_table(write_table("name,fixed,moving", *rows), quick)
    with scheduler_to_be_killed(tmp_path) as (process, address):

        def done(outcome: Outcome) -> None:
            outcomes.append(outcome)
            process.kill()  # its worker dies with it, in the middle of the next pair

        with pytest.raises(DiffuseMorphError, match="connection to the scheduler was lost: start it again"):
            run_pairs(waiting, str(tmp_path), Place(scheduler=address), done)
    assert 1 <= len(outcomes) < len(rows) and {outcome.state for outcome in outcomes} == {DONE}
    before = outcomes[0].report
    outcomes.clear()
    with scheduler_to_be_killed(tmp_path) as (process, address):
        run_pairs(waiting, str(tmp_path), Place(scheduler=address), outcomes.append)
    found = {outcome.name: outcome for outcome in outcomes}
    assert set(found) == {pair.name for pair in waiting}
    kept = [outcome for outcome in outcomes if outcome.state == KEPT]
    assert before in [outcome.report for outcome in kept] and {o.state for o in outcomes} == {KEPT, DONE}
    assert not list(tmp_path.glob("pair */.*")), "nothing is left of the pair that was cut off"


def test_a_scheduler_without_the_package_is_told(tmp_path, outcomes):
    with scheduler_to_be_killed(tmp_path, without="DiffuseMorphCore") as (_, address):
        with pytest.raises(
            DiffuseMorphError, match=r"The scheduler 'tcp://.*' cannot register .*: install DiffuseMorph"
        ):
            run_pairs(pairs("one"), str(tmp_path), Place(scheduler=address), outcomes.append, job)


def test_hundreds_of_pairs_each_come_once(tmp_path, outcomes):
    names = [f"{number}" for number in range(200)]
    with scheduler(2) as cluster:
        run_pairs(pairs(*names), str(tmp_path), Place(scheduler=cluster.scheduler_address), outcomes.append, job)
    assert sorted(outcome.row for outcome in outcomes) == list(range(1, 201))
    assert all((tmp_path / name).read_text() == "." for name in names)


SCRIPT = """
import socket, sys
from DiffuseMorphCore.command_line import main
print("the script runs")
with socket.socket() as taken:  # the port of Dask's own page
    try:
        taken.bind(("127.0.0.1", 8787))
        taken.listen()
    except OSError:
        pass
    sys.exit(main(["cohort", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("from_standard_input", [False, True])
def test_a_script_that_is_not_guarded_is_not_run_by_its_workers(from_standard_input, write_table, tmp_path, repository):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    table = write_table("name,fixed,moving", "one,a.nii.gz,missing.nii.gz")
    command = [sys.executable, "-" if from_standard_input else "script.py", str(table), "-o", "out", "--workers", "1"]
    process = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        input=SCRIPT if from_standard_input else "",
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout.count("the script runs") == 1 and "1 pairs: 0 registered" in process.stdout
    assert process.stderr == "diffusemorph cohort: 1 of 1 pairs failed: summary.csv says why.\n"


def test_workers_that_cannot_start_are_told(tmp_path, outcomes, monkeypatch):
    monkeypatch.setattr(clusters, "_WORK", "no_such_module")
    with pytest.raises(DiffuseMorphError, match=r"No worker could be started on this computer \(.*no_such_module"):
        run_pairs(pairs("one"), str(tmp_path), Place(workers=1, memory=LITTLE), outcomes.append, job)


def test_workers_are_as_many_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr(room, "usable_cores", lambda: 16)
    monkeypatch.setattr("DiffuseMorphCore.devices.free_memory", lambda device: 10 << 30)
    assert local_workers(1 << 30, None) == (8, int(0.9 * (10 << 30)) // 8, 2)
    assert local_workers(3 << 30, None)[0] == 3 and local_workers(1 << 30, None, gpu=True)[0] == 1
    assert local_workers(1 << 20, 16)[2] == 1, "no more threads than cores"
    with pytest.raises(DiffuseMorphError, match=r"memory for 3 worker\(s\), not for 4: a pair needs about 3.0 GiB"):
        local_workers(3 << 30, 4)


def test_memory_is_told_from_the_largest_images_and_has_no_cap_at_the_best_quality(write_table, tmp_path):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 512 512 400\nElementType = MET_SHORT\nElementDataFile = no.raw\n"
    (tmp_path / "large.mhd").write_text(header, encoding="utf-8")
    table = write_table("fixed,moving", "a.nii.gz,b.nii.gz", "large.mhd,b.nii.gz", "missing.nii.gz,b.nii.gz")
    voxels, images = 512 * 512 * 400, room._BYTES_PER_IMAGE_VOXEL * (512 * 512 * 400 + 20 * 18 * 16)
    for quality, modality, worked_on in (("default", "same", 2_200_000), ("best", "different", voxels)):
        found = memory_of(read_table(table, [f"--quality={quality}", f"--modality={modality}"]))
        assert found == room._PROGRAM + images + BYTES_PER_VOXEL[modality] * worked_on


def test_slurm_is_told_of_cores_memory_options_and_the_gpu():
    jobqueue = pytest.importorskip("dask_jobqueue")
    place = Place(slurm="--partition=long --time=8:00:00", gpu=True, memory=3 << 30)
    with jobqueue.SLURMCluster(**slurm_settings(place)) as cluster:
        script = cluster.job_script()
    for line in ("--partition=long", "--time=8:00:00", "--cpus-per-task=2", "--mem=3G"):
        assert f"#SBATCH {line}" in script.splitlines()
    assert "export OMP_NUM_THREADS=2" in script and "--resources GPU=1" in script and "--nthreads 1" in script


def test_the_scheduler_does_not_remember_every_pair():
    """Dask keeps a thousand messages to each worker unless told; a pair is one."""
    with clusters.connected(Place(workers=1, memory=LITTLE)) as (client, _):
        client.wait_for_workers(1)
        kept = client.run_on_scheduler(
            lambda dask_scheduler: [each.recent_message_log.maxlen for each in dask_scheduler.stream_comms.values()]
        )
    assert kept and max(kept) <= 10
