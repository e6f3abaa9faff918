"""The page: masthead and tabs, in each language."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import joined, message
from engines.nn.precision import native_bfloat16
from studio.api.routes import add_api
from studio.components.html_component import asset, component, concatenate_scripts
from studio.components.refusals import install_error_messages
from studio.i18n.catalog import ENGLISH, LANGUAGES, current_language, translate, use_language
from studio.i18n.middleware import language_links
from studio.i18n.page_translation import translate_page
from studio.server.theme import STATIC
from studio.services import Studio
from studio.tabs.deep_dream.tab import DreamTab
from studio.tabs.faces.tab import FacesTab
from studio.tabs.gallery.tab import GalleryTab
from studio.tabs.home.tab import HomeTab
from studio.tabs.latent_space.tab import LatentTab
from studio.tabs.models.tab import ModelsTab
from studio.tabs.page_tab import PageTab
from studio.tabs.style_transfer.tab import StyleTab
from studio.tabs.text.tab import TextTab

DAY = 24 * 60 * 60
PROGRAMS = "programs"
# Each has a card on Home, and a filter in the gallery.
RESULT_TABS: tuple[type[PageTab], ...] = (DreamTab, StyleTab, LatentTab, FacesTab, TextTab)
TABS: tuple[type[PageTab], ...] = (HomeTab, *RESULT_TABS, GalleryTab, ModelsTab)


def build_page(studio: Studio) -> gr.Blocks:
    """Build one Blocks with a route per language. Imports and computes nothing heavy."""
    page = gr.Blocks(title="Reverie", analytics_enabled=False, fill_width=True, delete_cache=(DAY // 24, DAY))
    for language in LANGUAGES:
        route = page if language is ENGLISH else page.route(language.title, language.path, show_in_navbar=False)
        with route, use_language(language):
            build_route(studio, page)
        if language is not ENGLISH:
            translate_page(page, language)
    # A separate route, so that browsers do not download the API's components.
    with page.route("Reverie", PROGRAMS, show_in_navbar=False):
        add_api(studio, page)
    show_no_progress(page)
    install_error_messages(page)
    return page


def show_no_progress(page: gr.Blocks) -> None:
    """Turn off Gradio's progress indicators: each tab shows its own.

    Even hidden indicators are sent to every output of every past event with each message, and the page is searched for
    each of them. That took nearly half of the time a browser needed to start.
    """
    for event in page.fns.values():
        event.show_progress, event.show_progress_on = "hidden", []


def build_route(studio: Studio, page: gr.Blocks) -> None:
    """Build all tabs in the current language."""
    masthead(translate(machine_summary()))
    tabs: list[tuple[PageTab, gr.Tab]] = []
    with gr.Tabs(overflow_behavior="wrap") as all_tabs:
        for kind in TABS:
            with gr.Tab(kind.title, id=kind.id) as shown:
                tab = kind(studio, RESULT_TABS) if issubclass(kind, HomeTab | GalleryTab) else kind(studio)
                tab.build()
            tabs.append((tab, shown))
    handoffs = [handoff for tab, _ in tabs for handoff in tab.handoffs()]
    for tab, shown in tabs:
        tab.connect(all_tabs, handoffs)
        tab.on_visit(page, shown)
    remember_tab(page, all_tabs, [shown for _, shown in tabs])
    # The storage keys are the same in each language, so switching languages keeps everything.
    secret = gr.BrowserState("", storage_key="reverie-visitor", secret="reverie-visitor")
    page.load(
        studio.visitors.register,
        [secret],
        [secret],
        queue=False,
        api_visibility="private",
    )


def remember_tab(page: gr.Blocks, tabs: gr.Tabs, each: Sequence[gr.Tab]) -> None:
    """Reopen the last selected tab after a reload; a first visit shows the first tab."""
    options: dict[str, Any] = {"api_visibility": "private"}
    # Runs in the browser, because a server's answer could override a newer choice.
    script, names = asset(Path(__file__).with_suffix(".js")), [str(tab.id) for tab in each]
    for tab, name in zip(each, names, strict=True):
        tab.select(None, None, None, js=f"() => {script}.remember({name!r})", **options)
    page.load(None, None, [tabs], js=f"() => {script}.recall({names})", **options)


def machine_summary() -> str:
    """Describe this machine's compute in a few words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = message("{cores} core{s}", cores=cores, s="s" if cores > 1 else "")
    return joined([text, "bfloat16" if native_bfloat16() else "float32"])


def masthead(note: str) -> gr.HTML:
    """Create the masthead: name, a note, language links, theme toggle, keyboard shortcuts and accessibility fixes."""
    links = []
    for language, address in language_links():
        here = ' aria-current="true"' if language is current_language() else ""
        code = language.code
        links.append(f'<a href="{address}" lang="{code}" hreflang="{code}"{here}>{language.title}</a>')
    template = asset(STATIC / "masthead.html").replace("LANGUAGES", "".join(links))
    script = concatenate_scripts(
        *(STATIC / f"{name}.js" for name in ("reach", "masthead", "theme_toggle", "accessibility_fixes"))
    )
    return component(STATIC / "masthead", "masthead", note, html_template=template, js_on_load=script)
