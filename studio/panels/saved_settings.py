"""Saved settings: named, exported, and remembered from the last visit.

Their browser keeps them; the server checks them whenever they come back, as it would check anybody's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.configs import from_mapping
from engines.core.files import written_atomically
from engines.core.messages import message
from studio.components.config_form import Settings
from studio.components.hidden_download import fetched_when_made
from studio.components.toasts import inform, warn
from studio.i18n.page_translation import OWN
from studio.services import Studio

KEY, VERSION = "reverie_settings", 1
MOST, LONGEST_NAME, MOST_BYTES = 50, 60, 300_000


class OwnSettings:
    """The controls and what they do. The parts are laid out where the tab wants them: `build`; then `wire`.

    Args:
        settings: the tab's controls.
        prefix: what the ids on the page begin with; the tab that an exported file is for.
    """

    def __init__(self, studio: Studio, settings: Settings, prefix: str):
        self._studio, self._settings, self._prefix = studio, settings, prefix

    def build(self) -> None:
        """Lay them out."""
        prefix = f"{self._prefix}-own"
        with gr.Accordion("Your settings", open=False, elem_id=prefix, elem_classes="fold"):
            self.choice = gr.Dropdown([], label="Saved", elem_id=f"{prefix}-choice", elem_classes=OWN)
            with gr.Row(elem_classes="pair"):
                self.name = gr.Textbox(
                    "", label="Name", max_length=LONGEST_NAME, elem_id=f"{prefix}-name", min_width=120
                )
                self.save = gr.Button("Save under this name", size="sm", elem_id=f"{prefix}-save", min_width=120)
            with gr.Row(elem_classes="pair"):
                self.drop = gr.Button("Delete", size="sm", elem_id=f"{prefix}-delete", min_width=80)
                self.export = gr.Button("Export", size="sm", elem_id=f"{prefix}-export", min_width=80)
                self.bring = gr.UploadButton(
                    "Import", file_types=[".json"], size="sm", type="filepath", elem_id=f"{prefix}-import", min_width=80
                )
            self.file = gr.DownloadButton("File", elem_id=f"{prefix}-file", elem_classes="offstage")

    def wire(self, begin: gr.Button, others: Sequence[Any] = ()) -> None:
        """Connect them; `begin` starts a run, whose settings are those used last.

        Args:
            others: other events that use the settings.
        """
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        key = f"reverie-{self._prefix}"
        # Kept by the browser from its first answer on; rendered outside of the tab, see `on_visit`.
        self.kept = gr.BrowserState({}, storage_key=f"{key}-settings", secret=key, render=False)
        self.last = gr.BrowserState({}, storage_key=f"{key}-last", secret=key, render=False)
        controls = self._settings.components
        changed = [self.kept, self.choice]
        self.save.click(self.saved, [self.kept, self.name, *controls], [*changed, self.name], **seen)
        self.drop.click(self.dropped, [self.kept, self.choice], changed, **seen)
        # The event of settings being taken up: what shows them otherwise than by a run follows it.
        self.taken = self.choice.input(self.chosen, [self.kept, self.choice], controls, **seen)
        self.bring.upload(self.imported, [self.bring, self.kept], changed, **seen)
        fetched_when_made(self.export.click(self.exported, [self.kept], [self.file], **seen), self.file)
        gr.on([begin.click, *others], self.used, controls, [self.last], queue=False, **seen)

    def on_visit(self, tab: gr.Tab) -> Any:
        """Have a fresh page find them again when the tab is first looked at, and return the event of it. Called outside
        of all tabs: what is in one is not there on a fresh page before the tab is opened."""
        self.kept.render()
        self.last.render()
        looked_at = gr.State(False)

        def found(before: bool, kept: Any, last: Any) -> list[Any]:
            return [True, *([gr.skip()] * len(shown) if before else self.found(kept, last))]

        shown = [self.choice, *self._settings.components]
        return tab.select(
            found,
            [looked_at, self.kept, self.last],
            [looked_at, *shown],
            queue=False,  # nothing is said of it
            api_visibility="private",
        )

    # What the browser keeps

    def _said(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """What the controls say, as JSON has it; not what no control shows, which nobody would expect to come back."""
        said = dataclasses.asdict(self._settings.config(values))
        shown = [name for name, control in self._settings.controls.items() if not isinstance(control, gr.State)]
        return json.loads(json.dumps({name: said[name] for name in shown}))

    def _config(self, said: Any) -> Any:
        if not isinstance(said, Mapping):
            raise ValueError(message("These settings are damaged; save them anew."))
        return from_mapping(type(self._settings.first), said)

    def used(self, *values: Any) -> Any:
        """A run begins: these settings are the last."""
        try:
            return self._said(values)
        except ValueError:
            return gr.skip()  # whoever starts the run says why it cannot

    def found(self, kept: Any, last: Any) -> list[Any]:
        """A page was loaded: what is saved, and the settings used last."""
        names = list(kept) if isinstance(kept, dict) else []
        choice = gr.update(choices=names, value=None)
        try:
            config = self._config(last) if last else None
        except ValueError:
            config = None  # of another version: the page begins as ever
        if config is None:
            return [choice, *[gr.skip()] * len(self._settings.components)]
        return [choice, *self._settings.shown(self._settings.values(config))]

    # Saving and choosing

    def saved(self, kept: Any, name: str | None, *values: Any) -> list[Any]:
        """Save what the controls say under a name."""
        name, there = (name or "").strip()[:LONGEST_NAME], dict(kept or {})
        try:
            if not name:
                raise ValueError(message("Give these settings a name first."))
            if name not in there and len(there) >= MOST:
                raise ValueError(message("At most {most} settings are saved; delete one first.", most=MOST))
            there[name] = self._said(values)
        except ValueError as error:
            warn(error)
            return [gr.skip()] * 3
        inform(message("Saved: your browser keeps these settings."))
        return [there, gr.update(choices=list(there), value=name), ""]

    def chosen(self, kept: Any, name: str | None) -> list[Any]:
        """Put saved settings into the controls."""
        if not name:
            return [gr.skip()] * len(self._settings.components)  # a choice that was left without one
        try:
            config = self._config(dict(kept or {}).get(name))
        except ValueError as error:
            warn(error)
            return [gr.skip()] * len(self._settings.components)
        return self._settings.shown(self._settings.values(config))

    def dropped(self, kept: Any, name: str | None) -> list[Any]:
        """Delete saved settings."""
        there = dict(kept or {})
        if name not in there:
            warn(message("Choose the settings to delete first."))
            return [gr.skip()] * 2
        del there[name]
        return [there, gr.update(choices=list(there), value=None)]

    # Taking along

    def exported(self, kept: Any) -> str | None:
        """All saved settings as a file."""
        if not kept:
            warn(message("There are no saved settings to export yet."))
            return None
        path = self._studio.gallery.folder / "archives" / f"reverie-{self._prefix}-settings.json"
        said = {KEY: VERSION, "tab": self._prefix, "settings": kept}
        with written_atomically(path) as file:
            file.write(json.dumps(said, ensure_ascii=False, indent=1).encode())
        return str(path)

    def imported(self, path: str, kept: Any) -> list[Any]:
        """Add the settings in a file to those that are saved."""
        try:
            there = dict(kept or {}) | self._read(Path(path))
            if len(there) > MOST:
                raise ValueError(
                    message(
                        "These would be {count} saved settings; at most {most} are kept.", count=len(there), most=MOST
                    )
                )
        except ValueError as error:
            warn(error)
            return [gr.skip()] * 2
        inform(message("Imported: choose them under Saved."))
        return [there, gr.update(choices=list(there), value=None)]

    def _read(self, path: Path) -> dict[str, Any]:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(message("This file is too large to be one of saved settings."))
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            version, tab, settings = said[KEY], said["tab"], dict(said["settings"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise ValueError(
                message("There are no saved settings in this file; choose one that was exported here.")
            ) from error
        if version != VERSION or tab != self._prefix:
            raise ValueError(message("These settings are of another tab or another version; import them there."))
        for one in settings.values():
            self._config(one)
        return {str(name)[:LONGEST_NAME]: one for name, one in settings.items()}
