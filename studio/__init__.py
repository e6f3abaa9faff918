"""The studio: Gradio only; no tensor arithmetic."""

from __future__ import annotations

import inspect
import sys


def _import_gradio() -> None:
    """Import Gradio without the type stubs that it writes beside every component it defines.

    They take a third of the time until the first page and serve only editors. Gradio leaves them out for a class
    whose file it cannot find, so for the length of its import, and for components only, there is none to be found.
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
    component_meta.create_or_modify_pyi = lambda *_: None  # for our own components


if "gradio" not in sys.modules:
    _import_gradio()
