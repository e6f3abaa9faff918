"""The page: masthead and tabs."""

from __future__ import annotations

import os

import gradio as gr

from engines.parts.precision import native_bfloat16
from studio.studio import Studio
from studio.tabs.deep_dream import DreamTab
from studio.tabs.faces import FacesTab
from studio.tabs.latent_space import LatentTab
from studio.tabs.models import ModelsTab
from studio.tabs.style_transfer import StyleTab
from studio.tabs.text import TextTab

DAY = 24 * 60 * 60
TABS = (
    ("dream", "Dream", DreamTab),
    ("style", "Style", StyleTab),
    ("latent", "Latent", LatentTab),
    ("faces", "Faces", FacesTab),
    ("text", "Words", TextTab),
    ("models", "Models", ModelsTab),
)


def build_page(studio: Studio) -> gr.Blocks:
    """All tabs in one Blocks; nothing heavy is imported or computed here."""
    with gr.Blocks(title="Reverie", analytics_enabled=False, fill_width=True, delete_cache=(DAY // 24, DAY)) as page:
        gr.HTML(masthead(), apply_default_css=False)
        with gr.Tabs():
            tabs = []
            for name, title, kind in TABS:
                with gr.Tab(title, id=name) as shown:
                    tab = kind(studio)
                    tab.build()
                tabs.append((tab, shown))
        for tab, shown in tabs:
            tab.on_visit(page, shown)
    return page


def masthead() -> str:
    """The wordmark, and what this machine computes with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine = f"{cores} core{'s' if cores > 1 else ''}" + (" · bfloat16" if native_bfloat16() else "")
    return f'<header class="masthead"><h1>Reverie</h1><span class="machine">{machine}</span></header>'
