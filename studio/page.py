"""The page: masthead and tabs."""

from __future__ import annotations

import os
from typing import Any

import gradio as gr

from engines.parts.precision import native_bfloat16
from studio.api import add_api
from studio.studio import Studio
from studio.tabs.deep_dream import DreamTab
from studio.tabs.faces import FacesTab
from studio.tabs.gallery import GalleryTab
from studio.tabs.latent_space import LatentTab
from studio.tabs.style_transfer import StyleTab
from studio.tabs.text import TextTab

DAY = 24 * 60 * 60
TABS = (
    ("dream", "Dream", DreamTab),
    ("style", "Style", StyleTab),
    ("latent", "Latent", LatentTab),
    ("faces", "Faces", FacesTab),
    ("text", "Words", TextTab),
)


def build_page(studio: Studio) -> gr.Blocks:
    """All tabs in one Blocks; nothing heavy is imported or computed here."""
    with gr.Blocks(title="Reverie", analytics_enabled=False, fill_width=True, delete_cache=(DAY // 24, DAY)) as page:
        gr.HTML(masthead(), apply_default_css=False)
        with gr.Tabs(overflow_behavior="wrap") as everything:
            tabs: list[tuple[Any, gr.Tab]] = []
            for name, title, kind in TABS:
                with gr.Tab(title, id=name) as shown:
                    tab = kind(studio)
                    tab.build()
                tabs.append((tab, shown))
            doors = [door for tab, _ in tabs for door in tab.doors()]
            with gr.Tab("Gallery", id="gallery") as shown:
                gallery = GalleryTab(studio)
                gallery.build()
                gallery.connect(everything, doors)
            tabs.append((gallery, shown))
        for tab, shown in tabs:
            tab.on_visit(page, shown)
        secret = gr.BrowserState("", storage_key="reverie-visitor", secret="reverie-visitor")
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        page.load(studio.visitors.welcome, [secret], [secret], queue=False, **quiet)
        add_api(studio, page)
    return page


def masthead() -> str:
    """The wordmark, and what this machine computes with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine = f"{cores} core{'s' if cores > 1 else ''}" + (" · bfloat16" if native_bfloat16() else "")
    return f'<header class="masthead"><h1>Reverie</h1><span class="machine">{machine}</span></header>'
