"""Sweep panel."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import gradio as gr

from engines.core.options import format_numbers, parse_numbers
from engines.jobs import Job
from engines.jobs.sweep import SweepConfig
from studio.components.config_form import Settings
from studio.run_views.run_view import RunView

NOTHING = ""


class SweepPanel:
    """Accordion for a sweep over one or two settings. Call `build` where the tab wants it; then `wire`.

    Args:
        settings: the tab's form.
        kind: config class of the tab's sweeps.
        prefix: prefix of the element ids.
    """

    def __init__(self, settings: Settings, kind: type[SweepConfig], prefix: str):
        self._settings, self._kind, self._prefix = settings, kind, f"{prefix}-sweep"
        self._titles = {
            name: settings.label(name)
            for name, control in settings.controls.items()
            if name in kind.sweepable() and isinstance(control, gr.Slider | gr.Number)
        }

    def build(self, view: RunView) -> None:
        """Create the controls; the button starts a run on `view`."""
        first = self._kind()
        titles = [(title, name) for name, title in self._titles.items()]
        with gr.Accordion("Sweep: compare values", open=False, elem_id=self._prefix, elem_classes="fold"):
            gr.Markdown("Make a grid of images that vary one or two settings.", elem_classes="quiet")
            self.columns = gr.Dropdown(titles, value=first.columns, label="Setting", elem_id=f"{self._prefix}-columns")
            self.column_values = gr.Textbox(
                format_numbers(first.column_values),
                label="Values",
                info="Numbers separated by commas.",
                elem_id=f"{self._prefix}-column-values",
            )
            self.rows = gr.Dropdown(
                [("None", NOTHING), *titles],
                value=NOTHING,
                label="Second setting (rows)",
                elem_id=f"{self._prefix}-rows",
            )
            self.row_values = gr.Textbox("", label="Values", elem_id=f"{self._prefix}-row-values", visible=False)
            self.go = gr.Button("Start sweep", elem_id=f"{self._prefix}-begin", interactive=False)
        view.start_buttons.append(self.go)

    @property
    def components(self) -> list[Any]:
        """List the components whose values `job` takes."""
        return [self.columns, self.column_values, self.rows, self.row_values]

    def wire(self) -> None:
        """Suggest values when a setting is selected."""
        options: dict[str, Any] = {"api_visibility": "private", "queue": False}
        controls = self._settings.components
        self.columns.input(self.suggest, [self.columns, *controls], [self.column_values], **options)
        self.rows.input(self.suggest, [self.rows, *controls], [self.row_values], **options)

    def suggest(self, name: str, *values: Any) -> Any:
        """Suggest values around the current value of a setting."""
        if name not in self._titles:
            return gr.update(value="", visible=False)
        current, whole = self._settings.by_name(values)[name], isinstance(getattr(self._settings.initial, name), int)
        wanted = suggest_values(self._settings.controls[name], current, whole=whole)
        return gr.update(value=format_numbers(wanted), visible=True)

    def job(self, job: Job, columns: str, column_values: str, rows: str | None, row_values: str | None) -> Job:
        """Turn a job into a sweep.

        Raises:
            ValueError: values that cannot be parsed or swept over.
        """
        config = self._kind(
            settings=dataclasses.asdict(job.config),
            columns=columns,
            column_values=parse_numbers(column_values or ""),
            rows=rows or "",
            row_values=parse_numbers(row_values or "") if rows else (),
            column_title=self._titles.get(columns, ""),
            row_title=self._titles.get(rows or "", ""),
        )
        return dataclasses.replace(job, engine=f"{job.engine}_sweep", config=config)

    def updates_for(self, config: SweepConfig) -> dict[Any, Any]:
        """Return updates that show a sweep, by component."""
        return {
            self.columns: config.columns,
            self.column_values: format_numbers(config.column_values),
            self.rows: config.rows,
            self.row_values: gr.update(value=format_numbers(config.row_values), visible=bool(config.rows)),
        }


def suggest_values(control: Any, value: float | None, *, whole: bool = False) -> Sequence[float]:
    """Suggest values around a control's value.

    Half, once and twice the value, within the slider's range; the ends and the middle of the range if the value is 0;
    three consecutive numbers for an integer box such as a seed.
    """
    value = value or 0
    if not isinstance(control, gr.Slider):
        return (value, value + 1, value + 2) if whole or not value else (value / 2, value, value * 2)
    low, high, step = min(control.minimum, value), max(control.maximum, value), control.step or 1
    wanted = (value / 2, value * 2) if value else (low, (low + high) / 2, high)
    return sorted({value, *(round(min(max(round(one / step) * step, low), high), 6) for one in wanted)})
