"""Cluster status component.

The browser polls it while it is visible.
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

LOOKING, AWAY = message("Looking for the cluster."), message("The cluster cannot be reached.")
MEANWHILE = message("Until then, runs use the studio's machine, one at a time.")


def cluster_status(studio: Studio, elem_id: str) -> gr.HTML:
    """Create the component, empty; its script fills it with `status_value`."""

    def cluster_now(
        asked: list[Any],
    ) -> dict[str, Any]:  # Gradio marks callable functions with an attribute, which methods do not allow
        return status_value(studio)

    return component(__file__, elem_id, {}, server_functions=[cluster_now])


def status_value(studio: Studio) -> dict[str, Any]:
    """Return the component's value: the cluster's status in the page's language.

    On a shared server it does not reveal what other visitors run.
    """
    assert studio.cluster is not None
    status, going = studio.cluster.status, studio.runs.active
    machines = status.machines if status.connected else ()
    working = [run for run in going if run.state == "running"]
    waiting = sum(run.state == "waiting" for run in going)
    rows = [_row(machine, [run for run in working if _is_on(run, machine)], studio.shared) for machine in machines]
    if runs := [_run_text(run, studio.shared) for run in working if run.where == HERE]:
        rows.append({"title": translate("The studio's machine"), "has": "", "runs": runs, "warm": "", "refused": ""})
    return {
        "said": [*map(translate, _sentences(status))],
        "machines": rows,
        "waiting": translate(_waiting(waiting)) if waiting else "",
    }


def _waiting(count: int) -> str:
    return message("{count} run{s} waiting.", count=count, s="s" if count > 1 else "")


def _sentences(status: Status) -> list[str]:
    if not status.connected:
        reason = [] if status.message in (AWAY, LOOKING) else [status.message]
        return [LOOKING if status.message == LOOKING else AWAY, *reason, MEANWHILE]
    if not status.usable:
        return [message("No machine in the cluster at {address} can be used.", address=status.address), MEANWHILE]
    return [message("Runs use the cluster at {address}.", address=status.address)]


def _is_on(run: Run, machine: Machine) -> bool:
    """True if a run is on a machine. Compared by worker, as machines that share an address may be renamed."""
    workers = set(run.workers)
    return bool(workers & set(machine.busy)) if workers else run.where == machine.title


def _row(machine: Machine, runs: list[Run], shared: bool) -> dict[str, Any]:
    cores = message("{cores} core{s}", cores=f"{machine.cpus:g}", s="s" if machine.cpus != 1 else "")
    gpus = message("1 GPU") if machine.gpus == 1 else message("{gpus} GPUs", gpus=f"{machine.gpus:g}")
    texts = [_run_text(run, shared) for run in runs]
    # Workers that are starting up, or that prefetch part of a run.
    others = len(machine.busy) - sum(max(1, len(set(run.workers) & set(machine.busy))) for run in runs)
    texts += [translate("1 worker busy")] * max(0, others)
    return {
        "title": machine.title,
        "has": translate(joined([cores, gpus]) if machine.gpus else cores),
        "runs": texts,
        "warm": str(machine.warm),
        "refused": translate(machine.refused),
    }


def _run_text(run: Run, shared: bool) -> str:
    """Describe a run and its progress; on a shared server only that there is one."""
    if shared:
        return translate("a run")
    title = message(TITLES[run.job.engine][0])
    frame = run.frame
    if frame is None:
        return translate(title)
    return translate(joined([title, message("step {step} of {total}", step=frame.step, total=frame.total)]))
