"""Cluster status: machines, the runs on each, waiting runs, and the machine of a watched run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import gradio as gr
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")

from studio.cluster.client import Cluster, ClusterOptions, Machine, Status, sentence_of
from studio.cluster.remote_job import HERE, RemoteJob
from studio.i18n.catalog import KOREAN, use_language
from studio.run_views.stream import Watcher
from studio.runs.run import Run
from studio.services import Studio
from studio.tabs.models.cluster_status import status_value
from studio.tabs.models.tab import ModelsTab
from tests.engines.helpers import is_one_sentence
from tests.studio.helpers import LoopEngine, MemoryResultWriter, eventually, unserved_page

TWO = (
    Machine(title="10.0.0.2", cpus=2, gpus=0, free=0, busy=(1,), warm=1, refused=""),
    Machine(title="10.0.0.3", cpus=1, gpus=2, free=1, busy=(), warm=0, refused=""),
)


def joined(*machines: Machine, capacity: int = 3) -> Status:
    """A cluster that answers, with room for two."""
    return Status(connected=True, address="10.0.0.1:6379", room=2, capacity=capacity, machines=machines)


@pytest.fixture
def cluster() -> Cluster:
    """A cluster that is never contacted; tests set its status."""
    return Cluster(ClusterOptions())


@pytest.fixture
def studio(tmp_path, cluster, studio_vgg) -> Iterator[Studio]:
    studio = Studio(outputs=tmp_path / "outputs", cluster=cluster)
    studio.workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    yield studio
    studio.runs.close()


@pytest.fixture
def begin(studio) -> Iterator:
    """Start a run on a machine; it stops after its first frame until the test ends."""
    gates: list[threading.Semaphore] = []

    def begun(where: str, workers: tuple[int, ...] = ()) -> Run:
        gates.append(gate := threading.Semaphore(1))
        engine = LoopEngine(30, gate=gate)
        engine.where, engine.workers = where, workers
        run = Run(engine, MemoryResultWriter())
        studio.runs.queue.submit(run)
        studio.runs._by_id[run.id] = run
        return run

    yield begun
    for gate in gates:
        gate.release(1000)


def at_work(run: Run) -> Run:
    eventually(lambda: run.frame is not None, "the first frame")
    return run


def test_each_machine_is_told_of_with_what_it_has_and_what_runs_there(studio, cluster, begin):
    cluster.status = joined(*TWO)
    # Matched by worker, as machines that share an address may be renamed.
    at_work(begin("10.0.0.9", (1,)))
    at_work(begin("10.0.0.3"))
    begin("")
    said = status_value(studio)
    assert said["said"] == ["Runs use the cluster at 10.0.0.1:6379."]
    going = "DeepDream · step 1 of 30"
    assert said["machines"] == [
        {"title": "10.0.0.2", "has": "2 cores", "runs": [going], "warm": "1", "refused": ""},
        {"title": "10.0.0.3", "has": "1 core · 2 GPUs", "runs": [going], "warm": "0", "refused": ""},
    ]
    assert said["waiting"] == "1 run waiting."


def test_a_worker_that_has_no_run_yet_is_busy(studio, cluster):
    cluster.status = joined(*TWO)
    assert [machine["runs"] for machine in status_value(studio)["machines"]] == [["1 worker busy"], []]


def test_on_a_server_for_several_nobody_is_told_what_another_does(studio, cluster, begin):
    studio.shared = True
    cluster.status = joined(*TWO)
    at_work(begin("10.0.0.2", (1,)))
    assert [machine["runs"] for machine in status_value(studio)["machines"]] == [["a run"], []]


def test_a_machine_that_is_refused_says_why(studio, cluster):
    template = (
        "The worker on {machine} runs Reverie {theirs}, but this studio runs {ours}; install the same version on both."
    )
    why = sentence_of({"template": template, "values": {"machine": "10.0.0.4", "theirs": "1.0", "ours": "1.1"}})
    assert why == (
        "The worker on 10.0.0.4 runs Reverie 1.0, but this studio runs 1.1; install the same version on both."
    )
    cluster.status = joined(Machine("10.0.0.4", 4, 0, 4, (), 0, why), capacity=0)
    said = status_value(studio)
    assert [machine["refused"] for machine in said["machines"]] == [why]
    assert "can be used" in said["said"][0]
    with use_language(KOREAN):
        refused = status_value(studio)["machines"][0]["refused"]
    assert refused.startswith("10.0.0.4의 워커는 Reverie 1.0")


@pytest.mark.parametrize("reason", ["The cluster cannot be reached.", "No Ray cluster found at 10.0.0.1:6379."])
def test_a_cluster_that_is_away_is_said_to_be_why_and_what_is_done_meanwhile(studio, cluster, begin, reason):
    # Stale machines are not shown.
    cluster.status = Status(address="10.0.0.1:6379", message=reason, machines=TWO)
    at_work(begin(HERE))
    said = status_value(studio)
    assert said["said"][0] == "The cluster cannot be reached."
    assert reason in said["said"]
    assert len(said["said"]) == len(set(said["said"]))
    assert all(map(is_one_sentence, said["said"]))
    assert "the studio's machine" in said["said"][-1]
    assert [(machine["title"], machine["runs"]) for machine in said["machines"]] == [
        ("The studio's machine", ["DeepDream · step 1 of 30"])
    ]


def test_all_of_it_is_said_in_the_language_of_who_asks(studio, cluster, begin):
    cluster.status = joined(*TWO)
    at_work(begin("10.0.0.2", (1,)))
    with use_language(KOREAN):
        said = status_value(studio)
    assert said["said"] == ["10.0.0.1:6379의 클러스터에서 실행해요."]
    assert [machine["has"] for machine in said["machines"]] == ["코어 2개", "코어 1개 · GPU 2개"]
    assert said["machines"][0]["runs"] == ["딥드림 · 스텝 1/30"]


def test_the_models_tab_tells_of_the_cluster_where_there_is_one(studio):
    def lines() -> list[gr.HTML]:
        with unserved_page() as page:
            ModelsTab(studio).build()
        return [block for block in page.blocks.values() if block.elem_id == "models-cluster"]

    (line,) = lines()
    assert line.cluster_now([])["said"] == ["Looking for the cluster.", status_value(studio)["said"][-1]]
    studio.cluster = None
    assert lines() == []


def test_a_run_is_on_this_machine_while_the_cluster_is_away(studio, cluster, small_job):
    job = RemoteJob(small_job, studio.workshop, cluster)
    assert (job.where, job.workers) == ("", ())
    next(job)
    assert (job.where, job.workers) == (HERE, ())
    job.close()
    assert job.where == ""


def test_a_message_of_a_run_says_where_it_is(studio, begin):
    run = at_work(begin("10.0.0.2", (1,)))
    message = asyncio.run(Watcher(run, studio.runs.queue).full_message())
    assert message["where"] == "10.0.0.2"
    run.stop()
