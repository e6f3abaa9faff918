"""The page: masthead and tabs, in each language."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gradio as gr

from engines.core.messages import joined, message
from engines.nn.precision import native_bfloat16
from studio.api.routes import add_api
from studio.components.html_component import apart, asset, component
from studio.components.refusals import speak_up
from studio.i18n.catalog import ENGLISH, LANGUAGES, current_language, translate, use_language
from studio.i18n.middleware import addresses
from studio.i18n.page_translation import translate_page
from studio.server.theme import STATIC
from studio.services import Studio
from studio.tabs.deep_dream.tab import DreamTab
from studio.tabs.faces.tab import FacesTab
from studio.tabs.gallery.tab import GalleryTab
from studio.tabs.home.tab import HomeTab
from studio.tabs.latent_space.tab import LatentTab
from studio.tabs.models.tab import ModelsTab
from studio.tabs.style_transfer.tab import StyleTab
from studio.tabs.text.tab import TextTab

DAY = 24 * 60 * 60
PROGRAMS = "programs"
TABS: tuple[tuple[str, str, type], ...] = (
    ("home", "Home", HomeTab),
    ("dream", "Dream", DreamTab),
    ("style", "Style", StyleTab),
    ("latent", "Latent", LatentTab),
    ("faces", "Faces", FacesTab),
    ("text", "Words", TextTab),
    ("gallery", "Gallery", GalleryTab),
    ("models", "Models", ModelsTab),
)


def build_page(studio: Studio) -> gr.Blocks:
    """All tabs in one Blocks, once for each language; nothing heavy is imported or computed here."""
    page = gr.Blocks(title="Reverie", analytics_enabled=False, fill_width=True, delete_cache=(DAY // 24, DAY))
    for language in LANGUAGES:
        route = page if language is ENGLISH else page.route(language.title, language.path, show_in_navbar=False)
        with route, use_language(language):
            build_route(studio, page)
        if language is not ENGLISH:
            translate_page(page, language)
    # On a page of its own, as browsers need not be sent what only programs ask for.
    with page.route("Reverie", PROGRAMS, show_in_navbar=False):
        add_api(studio, page)
    show_no_progress(page)
    speak_up(page)
    return page


def show_no_progress(page: gr.Blocks) -> None:
    """Have Gradio tell no component that an event is on its way: ours show what they wait for themselves.

    Hidden progress is told too, to all outputs of all events that ever were, with each message of each event, and each
    time the page is searched for each of them: that was nearly half of what it takes a browser to begin.
    """
    for event in page.fns.values():
        event.show_progress, event.show_progress_on = "hidden", []


def build_route(studio: Studio, page: gr.Blocks) -> None:
    """All tabs, as a language's page has them."""
    masthead(translate(machine()))
    tabs: list[tuple[Any, gr.Tab]] = []
    with gr.Tabs(overflow_behavior="wrap") as everything:
        for name, title, kind in TABS:
            with gr.Tab(title, id=name) as shown:
                tab = kind(studio)
                tab.build()
            tabs.append((tab, shown))
    doors = [door for tab, _ in tabs for door in tab.doors()]
    for tab, shown in tabs:
        if isinstance(tab, HomeTab | GalleryTab):
            tab.connect(everything, doors)
        tab.on_visit(page, shown)
    remember_the_tab(page, everything, [shown for _, shown in tabs])
    # The keys of what a browser keeps are the same in each language: whoever changes it finds all again.
    secret = gr.BrowserState("", storage_key="reverie-visitor", secret="reverie-visitor")
    page.load(
        studio.visitors.welcome,
        [secret],
        [secret],
        queue=False,
        api_visibility="private",
    )


def remember_the_tab(page: gr.Blocks, tabs: gr.Tabs, each: Sequence[gr.Tab]) -> None:
    """Have a reloaded page show the tab that was looked at last; a first visit begins with the first."""
    seen: dict[str, Any] = {"api_visibility": "private"}
    # In the browser: an answer of the server's might come when a person has chosen another already. Kept by its tab, so
    # that two tabs do not change each other; where that is blocked, each page begins with the first.
    for tab in each:
        keep = f"() => {{ try {{ sessionStorage.setItem('reverie-tab', '{tab.id}'); }} catch {{ }} }}"
        tab.select(None, None, None, js=keep, **seen)
    names = [str(tab.id) for tab in each]
    chosen = f"""() => {{
      let name = '';
      try {{ name = sessionStorage.getItem('reverie-tab'); }} catch {{ }}
      return {{ __type__: 'update', ...({names}.includes(name) && {{ selected: name }}) }};
    }}"""
    page.load(None, None, [tabs], js=chosen, **seen)


def machine() -> str:
    """What this machine computes with, in a few words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = message("{cores} core{s}", cores=cores, s="s" if cores > 1 else "")
    return joined([said, "bfloat16" if native_bfloat16() else ""])


def masthead(beside: str) -> gr.HTML:
    """The wordmark with a few words beside it, the way to the other languages, light or dark, the keys that work
    everywhere, and what Gradio leaves out for some."""
    links = []
    for language, address in addresses():
        here = ' aria-current="true"' if language is current_language() else ""
        code = language.code
        links.append(f'<a href="{address}" lang="{code}" hreflang="{code}"{here}>{language.title}</a>')
    template = asset(STATIC / "masthead.html").replace("LANGUAGES", "".join(links))
    script = apart(*(STATIC / f"{name}.js" for name in ("reach", "masthead", "theme_toggle", "accessibility_fixes")))
    return component(STATIC / "masthead", "masthead", beside, html_template=template, js_on_load=script)
