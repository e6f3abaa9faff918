"""Theme: colours, fonts and spacing."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

# The page's own styles and scripts.
STATIC = Path(__file__).with_name("static")

_FONT = (
    "ui-sans-serif",
    "system-ui",
    "Segoe UI",
    "Apple SD Gothic Neo",
    "Malgun Gothic",
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "NanumGothic",
    "sans-serif",
)
_ACCENT = gr.themes.Color(
    c50="#fff4ec",
    c100="#ffe6d4",
    c200="#fdc9a5",
    c300="#fba66c",
    c400="#f97316",
    c500="#dd5a0e",
    c600="#c2410c",
    c700="#9f360c",
    c800="#7c2d12",
    c900="#5f2410",
    c950="#3a1508",
    name="ember",
)
_PAPER = gr.themes.Color(
    c50="#fffdf9",
    c100="#f6f4ef",
    c200="#e2dcd0",
    c300="#cfc7b8",
    c400="#a49c8f",
    c500="#6d675e",
    c600="#57524a",
    c700="#2e2a26",
    c800="#1b1917",
    c900="#121110",
    c950="#0a0908",
    name="paper",
)


def stylesheet() -> str:
    """Join the page's styles and, in the order of their paths, those of the components."""
    page = STATIC / "studio.css"
    components = sorted(set(STATIC.parents[1].rglob("*.css")) - {page})
    return "\n".join(path.read_text(encoding="utf-8") for path in (page, *components))


def theme() -> gr.themes.Base:
    """Create the studio's Gradio theme. It uses system fonts only, so nothing is downloaded."""
    base = gr.themes.Base(
        primary_hue=_ACCENT,
        neutral_hue=_PAPER,
        font=_FONT,
        font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
        radius_size=gr.themes.sizes.radius_lg,
    )
    return base.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_900",
        body_text_color="#1d1b18",
        body_text_color_dark="#efe9df",
        body_text_color_subdued="#645e55",
        body_text_color_subdued_dark="#aaa294",
        background_fill_primary="*neutral_50",
        background_fill_primary_dark="*neutral_800",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_900",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_border_width_dark="0px",
        block_info_text_color="*body_text_color_subdued",
        block_info_text_color_dark="*body_text_color_subdued",
        block_info_text_size="12px",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_title_text_weight="500",
        block_title_text_size="13px",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_700",
        panel_background_fill="transparent",
        panel_background_fill_dark="transparent",
        panel_border_width="0px",
        input_background_fill="transparent",
        input_background_fill_dark="transparent",
        input_border_width="1px",
        input_border_color="*neutral_200",
        input_border_color_dark="*neutral_700",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#1a0d04",
        button_primary_border_color="transparent",
        button_primary_border_color_dark="transparent",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        layout_gap="18px",
        form_gap_width="0px",
    )
