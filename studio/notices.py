"""Sentences for a person, shown as toasts."""

from __future__ import annotations

import html

import gradio as gr


def warn(error: Exception | str) -> None:
    """Show a warning. Words that came out of a file are shown as words: Gradio would take them for HTML."""
    gr.Warning(html.escape(str(error), quote=False))


def inform(sentence: str) -> None:
    """Show a piece of news."""
    gr.Info(html.escape(sentence, quote=False))
