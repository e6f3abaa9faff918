"""Test machines and clusters that go and come back, another version of the project, and GPUs."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.jobs.version import version
from engines.recipes import read_recipe
from studio.cluster.client import ClusterError
from studio.cluster.remote_job import HERE
from studio.services import Studio
from tests.cluster.conftest import PATIENCE
from tests.cluster.machines import Machines, joined, kill
from tests.cluster.test_workers import at, lasting, over, worker_of
from tests.engines.helpers import is_one_sentence
from tests.studio.helpers import eventually

ROOT = Path(__file__).resolve().parents[2]


PORT = 6477


def one_machine() -> Machines:
    """A cluster of one machine with one core, always at the same address."""
    return Machines(0, port=PORT, num_cpus=1)


@pytest.fixture(scope="module")
def other_machines() -> Iterator[list[Machines]]:
    """A cluster of one machine that no studio has joined yet."""
    there = [one_machine()]
    yield there
    there[0].close()


@pytest.fixture
def studio_on(tmp_path) -> Iterator[Callable[..., Studio]]:
    """Makes studios on the cluster at an address, and closes them after the test: their workers occupy the machines."""
    made: list[Studio] = []

    def make(address: str, **options: Any) -> Studio:
        made.append(Studio(outputs=tmp_path / f"outputs {len(made)}", cluster=joined(address, **options)))
        return made[-1]

    yield make
    for studio in made:
        studio.runs.close()


def test_a_machine_is_removed_and_another_comes_while_runs_continue(studio, machines, dream_job):
    cluster = studio.cluster
    eventually(lambda: cluster.status.room == 2, "both machines", PATIENCE)
    runs = [studio.runs.start(lasting(dream_job)) for _ in range(2)]
    for run in runs:
        at(run, 2)
    (gone,) = machines.nodes
    runs.sort(key=lambda run: worker_of(run) not in machines.workers_of(gone))
    lease = runs[0]._execution._execution.lease
    titles = {run.where for run in runs}
    assert lease.pid in machines.workers_of(gone)
    machines.remove(gone)
    eventually(lambda: runs[0].state == "waiting" or runs[0].where != lease.title, "the loss to be noticed", PATIENCE)
    assert runs[1].state == "running"
    eventually(lambda: cluster.status.capacity == 1, "one machine less", PATIENCE)
    machines.add()
    at(runs[0], runs[0].frame.step + 2)
    assert runs[1].where in titles
    for run in runs:
        run.stop()
    assert len(read_recipe(over(runs[0]).result).interruptions) == 1
    assert read_recipe(over(runs[1]).result).interruptions == ()


def test_no_worker_is_left_when_the_studio_is_killed(other_machines):
    machines = other_machines[0]
    program = (
        "import sys, time\n"
        "from studio.cluster.client import Cluster, ClusterOptions\n"
        "cluster = Cluster(ClusterOptions(address=sys.argv[1], cpus=1)); cluster.join()\n"
        "until = time.monotonic() + 150\n"
        "while time.monotonic() < until and not any(one.warm for one in cluster.status.machines): time.sleep(0.1)\n"
        "print('warm' if time.monotonic() < until else 'late', flush=True); time.sleep(100)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, machines.address], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"warm"
    assert machines.workers()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    eventually(lambda: not machines.workers(), "the workers to end", PATIENCE)


def test_a_worker_of_another_version_is_refused_and_runs_run_here(other_machines, dream_job, tmp_path, studio_on):
    other = tmp_path / "older"
    for name in ("engines", "weights"):
        shutil.copytree(ROOT / name, other / name, ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    source = (ROOT / "engines" / "jobs" / "version.py").read_text().replace('NUMBER = "', 'NUMBER = "0.0.')
    # The studio is not on the path of its workers, though they are on the same machine.
    source += "\nimport importlib.util\nassert importlib.util.find_spec('studio') is None\n"
    (other / "engines" / "jobs" / "version.py").write_text(source)
    studio = studio_on(other_machines[0].address, project=str(other))
    cluster = studio.cluster
    assert over(studio.runs.start(dream_job)).state == "done"
    refused = [machine.refused for machine in cluster.status.machines if machine.refused]
    assert refused
    for sentence in refused:
        assert version() in sentence
        assert "0.0.0.1.0 (" in sentence
        assert is_one_sentence(sentence)
    studio.runs.close()


@pytest.fixture(scope="module")
def installed(other_machines, tmp_path_factory) -> Iterator[Studio]:
    """A studio whose machines have the project. The tests from here on share it, as its workers occupy all room."""
    cluster = joined(other_machines[0].address, project=str(ROOT))
    studio = Studio(outputs=tmp_path_factory.mktemp("installed"), cluster=cluster)
    yield studio
    studio.runs.close()


def test_a_gpu_goes_to_the_first_run_on_a_machine_that_has_one(installed, other_machines, dream_job):
    machines = other_machines[0]
    with_gpu = machines.add(num_gpus=1)
    eventually(lambda: installed.cluster.status.room == 2, "both machines", PATIENCE)
    runs = []
    for _ in range(2):
        runs.append(installed.runs.start(lasting(dream_job)))
        at(runs[-1], 1)
    assert [run.where.endswith(" · GPU") for run in runs] == [True, False]
    for run in runs:
        run.stop()
        over(run)
    machines.remove(with_gpu)
    eventually(lambda: installed.cluster.status.room == 1, "the machine to be gone", PATIENCE)


def test_an_installed_copy_of_the_same_version_is_used(installed, dream_job):
    run = installed.runs.start(lasting(dream_job))
    at(run, 1)
    assert run.where not in ("", HERE)
    run.stop()
    assert over(run).state == "stopped"


def test_runs_continue_here_while_the_cluster_is_away_and_it_is_found_again(installed, other_machines, dream_job):
    cluster, machines = installed.cluster, other_machines[0]
    run = installed.runs.start(lasting(dream_job))
    at(run, 2)
    assert run.where not in ("", HERE)
    for name in ("gcs_server", "raylet"):
        for info in machines.ray.head_node.all_processes.get(name, []):
            kill(info.process.pid)
    eventually(lambda: not cluster.status.connected, "the head's end to be noticed", PATIENCE)
    assert is_one_sentence(cluster.status.message)
    at(run, run.frame.step + 2)
    assert run.where == HERE, "it goes on here"
    run.stop()
    assert len(read_recipe(over(run).result).interruptions) == 1
    assert over(installed.runs.start(dream_job)).state == "done", "a new run is done here"
    machines.close()

    other_machines[0] = one_machine()
    eventually(lambda: cluster.status.usable, "the cluster to be found again", PATIENCE)
    run = installed.runs.start(lasting(dream_job))
    at(run, 2)
    assert run.where not in ("", HERE)
    run.stop()
    assert over(run).state == "stopped"


def test_where_ray_is_not_installed_the_option_says_how_to_get_it(monkeypatch, tmp_path):
    from studio.cluster import client as cluster

    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install -r requirements-cluster\.txt"):
        cluster.Cluster(cluster.ClusterOptions())


def test_a_missing_cluster_is_reported_and_runs_run_here(dream_job, studio_on):
    studio = studio_on("127.0.0.1:6999")
    cluster = studio.cluster
    assert "No Ray cluster found at 127.0.0.1:6999" in cluster.status.message
    run = over(studio.runs.start(dataclasses.replace(dream_job)))
    assert (run.state, run.where) == ("done", "")
    studio.runs.close()
