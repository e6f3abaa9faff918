"""Saved settings: named, exported, and remembered from the last visit.

They are stored in the browser. The server validates them like any untrusted input.
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
from studio.components.hidden_download import download_when_ready
from studio.components.toasts import inform, warn
from studio.i18n.page_translation import OWN
from studio.services import Studio

KEY, VERSION = "reverie_settings", 1
MAX_SAVED, LONGEST_NAME, MAX_BYTES = 50, 60, 300_000


class SavedSettings:
    """Controls for saved settings. Call `build` where the tab wants them; then `wire`.

    Args:
        studio: the services.
        settings: the tab's form.
        prefix: prefix of the element ids; exported files are valid for tabs with the same prefix.
    """

    def __init__(self, studio: Studio, settings: Settings, prefix: str):
        self._studio, self._settings, self._prefix = studio, settings, prefix

    def build(self) -> None:
        """Create the controls."""
        prefix = f"{self._prefix}-own"
        with gr.Accordion("Your settings", open=False, elem_id=prefix, elem_classes="fold"):
            self.choice = gr.Dropdown([], label="Saved settings", elem_id=f"{prefix}-choice", elem_classes=OWN)
            with gr.Row(elem_classes="pair"):
                self.name = gr.Textbox(
                    "", label="Name", max_length=LONGEST_NAME, elem_id=f"{prefix}-name", min_width=120
                )
                self.save_button = gr.Button("Save settings", size="sm", elem_id=f"{prefix}-save", min_width=120)
            with gr.Row(elem_classes="pair"):
                self.delete_button = gr.Button("Delete", size="sm", elem_id=f"{prefix}-delete", min_width=80)
                self.export_button = gr.Button("Export", size="sm", elem_id=f"{prefix}-export", min_width=80)
                self.import_button = gr.UploadButton(
                    "Import", file_types=[".json"], size="sm", type="filepath", elem_id=f"{prefix}-import", min_width=80
                )
            self.file = gr.DownloadButton("File", elem_id=f"{prefix}-file", elem_classes="invisible-button")

    def wire(self, begin: gr.Button, others: Sequence[Any] = ()) -> None:
        """Connect the controls.

        Args:
            begin: button that starts a run; the settings of the run are remembered as the last ones.
            others: further events that remember the settings.
        """
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        key = f"reverie-{self._prefix}"
        # The browser stores them from the first answer on. Rendered outside of the tab, see `on_visit`.
        self.kept = gr.BrowserState({}, storage_key=f"{key}-settings", secret=key, render=False)
        self.last = gr.BrowserState({}, storage_key=f"{key}-last", secret=key, render=False)
        controls = self._settings.components
        changed = [self.kept, self.choice]
        self.save_button.click(self.save_settings, [self.kept, self.name, *controls], [*changed, self.name], **options)
        self.delete_button.click(self.delete, [self.kept, self.choice], changed, **options)
        # The event that applies saved settings, for displays that do not follow a run.
        self.applied = self.choice.input(self.apply, [self.kept, self.choice], controls, **options)
        self.import_button.upload(self.import_file, [self.import_button, self.kept], changed, **options)
        download_when_ready(self.export_button.click(self.export_all, [self.kept], [self.file], **options), self.file)
        gr.on([begin.click, *others], self.remember_last, controls, [self.last], queue=False, **options)

    def on_visit(self, tab: gr.Tab) -> Any:
        """Load the stored settings when the tab is first opened; return that event. Call it outside of all tabs: a
        component in a tab exists only once that tab is opened."""
        self.kept.render()
        self.last.render()
        loaded = gr.State(False)

        def load(before: bool, kept: Any, last: Any) -> list[Any]:
            return [True, *([gr.skip()] * len(shown) if before else self.restore_last(kept, last))]

        shown = [self.choice, *self._settings.components]
        return tab.select(
            load,
            [loaded, self.kept, self.last],
            [loaded, *shown],
            queue=False,  # shows no toast
            api_visibility="private",
        )

    # Browser storage

    def _to_json(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """Return the form's values as JSON; fields without a visible control are left out."""
        fields = dataclasses.asdict(self._settings.config(values))
        shown = [name for name, control in self._settings.controls.items() if not isinstance(control, gr.State)]
        return json.loads(json.dumps({name: fields[name] for name in shown}))

    def _config(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise ValueError(message("These settings are damaged; save them again."))
        names = self._settings.earlier_names
        return from_mapping(type(self._settings.initial), {names.get(name, name): data[name] for name in data})

    def remember_last(self, *values: Any) -> Any:
        """Remember the settings with which a run starts."""
        try:
            return self._to_json(values)
        except ValueError:
            return gr.skip()  # the start of the run reports the error

    def restore_last(self, kept: Any, last: Any) -> list[Any]:
        """Return updates that show the stored settings and apply the last ones."""
        names = list(kept) if isinstance(kept, dict) else []
        choice = gr.update(choices=names, value=None)
        try:
            config = self._config(last) if last else None
        except ValueError:
            config = None  # from another version: keep the defaults
        if config is None:
            return [choice, *[gr.skip()] * len(self._settings.components)]
        return [choice, *self._settings.updates(self._settings.values(config))]

    # Saving and applying

    def save_settings(self, kept: Any, name: str | None, *values: Any) -> list[Any]:
        """Save the form's values under a name."""
        name, saved = (name or "").strip()[:LONGEST_NAME], dict(kept or {})
        try:
            if not name:
                raise ValueError(message("Name these settings first."))
            if name not in saved and len(saved) >= MAX_SAVED:
                raise ValueError(message("You can save up to {most} settings; delete one first.", most=MAX_SAVED))
            saved[name] = self._to_json(values)
        except ValueError as error:
            warn(error)
            return [gr.skip()] * 3
        inform(message("Settings saved in this browser."))
        return [saved, gr.update(choices=list(saved), value=name), ""]

    def apply(self, kept: Any, name: str | None) -> list[Any]:
        """Apply saved settings to the form."""
        if not name:
            return [gr.skip()] * len(self._settings.components)  # the selection was cleared
        try:
            config = self._config(dict(kept or {}).get(name))
        except ValueError as error:
            warn(error)
            return [gr.skip()] * len(self._settings.components)
        return self._settings.updates(self._settings.values(config))

    def delete(self, kept: Any, name: str | None) -> list[Any]:
        """Delete saved settings."""
        saved = dict(kept or {})
        if name not in saved:
            warn(message("Choose the settings to delete first."))
            return [gr.skip()] * 2
        del saved[name]
        return [saved, gr.update(choices=list(saved), value=None)]

    # Export and import

    def export_all(self, kept: Any) -> str | None:
        """Write all saved settings to a file and return its path."""
        if not kept:
            warn(message("There are no saved settings to export."))
            return None
        path = self._studio.gallery.folder / "archives" / f"reverie-{self._prefix}-settings.json"
        content = {KEY: VERSION, "tab": self._prefix, "settings": kept}
        with written_atomically(path) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=1).encode())
        return str(path)

    def import_file(self, path: str, kept: Any) -> list[Any]:
        """Add the settings of a file to the saved ones."""
        try:
            saved = dict(kept or {}) | self._read(Path(path))
            if len(saved) > MAX_SAVED:
                raise ValueError(
                    message(
                        "This would make {count} saved settings; the limit is {most}.", count=len(saved), most=MAX_SAVED
                    )
                )
        except ValueError as error:
            warn(error)
            return [gr.skip()] * 2
        inform(message("Imported; choose them under Saved settings."))
        return [saved, gr.update(choices=list(saved), value=None)]

    def _read(self, path: Path) -> dict[str, Any]:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(message("This file is too large for saved settings."))
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version, tab, settings = content[KEY], content["tab"], dict(content["settings"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise ValueError(message("This file contains no saved settings; choose one exported from here.")) from error
        if version != VERSION or tab != self._prefix:
            raise ValueError(message("These settings are from another tab or version; import them there."))
        for one in settings.values():
            self._config(one)
        return {str(name)[:LONGEST_NAME]: one for name, one in settings.items()}
