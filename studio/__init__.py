"""The studio: Gradio only; no tensor arithmetic."""

from __future__ import annotations

import inspect
import sys


def _import_gradio() -> None:
    """Import Gradio without writing type stubs for its components.

    The stubs take a third of the startup time and only serve editors. Gradio skips them for a class whose source file
    it cannot find, so component classes have none while it is imported.
    """
    getfile = inspect.getfile

    def nowhere(thing):
        if isinstance(thing, type) and hasattr(thing, "EVENTS"):
            raise OSError("no stub is wanted")
        return getfile(thing)

    inspect.getfile = nowhere
    try:
        from gradio import component_meta
    finally:
        inspect.getfile = getfile
    component_meta.create_or_modify_pyi = lambda *_: None  # for the components defined here


if "gradio" not in sys.modules:
    _import_gradio()
