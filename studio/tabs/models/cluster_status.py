"""Cluster status component.

The browser asks for it again and again while it is looked at, and not otherwise.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from engines.core.messages import joined, message
from studio.cluster.client import Machine, Status
from studio.cluster.remote_job import HERE
from studio.components.html_component import component
from studio.i18n.catalog import translate
from studio.run_views.engine_titles import TITLES
from studio.runs.run import Run
from studio.services import Studio

LOOKING, AWAY = message("Looking for the cluster."), message("The cluster is away.")
MEANWHILE = message("Meanwhile runs are done on this machine, one at a time.")


def cluster_line(studio: Studio, elem_id: str) -> gr.HTML:
    """The component, empty; its script fills it with what `told` gives."""

    def cluster_now(asked: list[Any]) -> dict[str, Any]:  # Gradio marks it, which a method cannot bear
        return told(studio)

    return component(__file__, elem_id, {}, server_functions=[cluster_now])


def told(studio: Studio) -> dict[str, Any]:
    """What there is to say of a studio's cluster at this moment, in the page's language.

    Nobody is told what another visitor's run is.
    """
    assert studio.cluster is not None
    status, going = studio.cluster.status, studio.runs.going
    machines = status.machines if status.there else ()
    working = [run for run in going if run.state == "running"]
    waiting = sum(run.state == "waiting" for run in going)
    rows = [_row(machine, [run for run in working if _is_on(run, machine)], studio.shared) for machine in machines]
    if runs := [_said_of(run, studio.shared) for run in working if run.where == HERE]:
        rows.append({"title": translate("This machine"), "has": "", "runs": runs, "warm": "", "refused": ""})
    return {
        "said": [*map(translate, _sentences(status))],
        "machines": rows,
        "waiting": translate(_waiting(waiting)) if waiting else "",
    }


def _waiting(count: int) -> str:
    return message("{count} run{s} waiting.", count=count, s="s" if count > 1 else "")


def _sentences(status: Status) -> list[str]:
    if not status.there:
        reason = [] if status.said in (AWAY, LOOKING) else [status.said]
        return [LOOKING if status.said == LOOKING else AWAY, *reason, MEANWHILE]
    if not status.useful:
        return [message("The cluster at {address} has no machine that can be used.", address=status.address), MEANWHILE]
    return [message("Runs are done on the cluster at {address}.", address=status.address)]


def _is_on(run: Run, machine: Machine) -> bool:
    """Whether a run is on a machine: by its workers, as what two machines at one address are called may change."""
    workers = set(run.workers)
    return bool(workers & set(machine.busy)) if workers else run.where == machine.title


def _row(machine: Machine, runs: list[Run], shared: bool) -> dict[str, Any]:
    cores = message("{cores} core{s}", cores=f"{machine.cpus:g}", s="s" if machine.cpus != 1 else "")
    gpus = message("1 GPU") if machine.gpus == 1 else message("{gpus} GPUs", gpus=f"{machine.gpus:g}")
    said = [_said_of(run, shared) for run in runs]
    # One that gets ready, or that does a part of a run ahead.
    others = len(machine.busy) - sum(max(1, len(set(run.workers) & set(machine.busy))) for run in runs)
    said += [translate("a worker is busy")] * max(0, others)
    return {
        "title": machine.title,
        "has": translate(joined([cores, gpus]) if machine.gpus else cores),
        "runs": said,
        "warm": str(machine.warm),
        "refused": translate(machine.refused),
    }


def _said_of(run: Run, shared: bool) -> str:
    """What a run is and how far; on a server with several visitors, that there is one."""
    if shared:
        return translate("a run")
    title = message(TITLES[run.job.engine][0])
    frame = run.frame
    if frame is None:
        return translate(title)
    return translate(joined([title, message("step {step} of {total}", step=frame.step, total=frame.total)]))
