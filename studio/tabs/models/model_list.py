"""Model list component."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from engines.backbones.backbone import ARCHITECTURES
from engines.core.messages import message
from engines.weights.download import size_of
from engines.weights.keras_applications import DATA, LICENCE_FOUND, OFFICIAL_FILES, SCORE_FOUND
from engines.weights.store import WeightsError, WeightsStore
from studio.components.html_component import component
from studio.i18n.catalog import translate

TITLES = {
    "studio_vgg": "Studio VGG",
    "vae_digits": message("Digits"),
    "vae_digits_notes": message("Digits, as in Chollet's book"),
    "vae_faces": message("Faces (VAE)"),
    "dcgan_faces": message("Faces (GAN)"),
    "dcgan_notes": message("Faces (GAN), as in Chollet's book"),
    "language_model_ours": message("Film reviews"),
    "language_model_notes": message("Film reviews, as in Chollet's book"),
}
SCORES = {
    "top1": message("Top-1 accuracy: {value}"),
    "total": message("Loss: {value}"),
    "encoder_total": message("Loss without refinement: {value}"),
    "reconstruction": message("Reconstruction loss: {value}"),
    "kl": message("KL divergence: {value}"),
    "mae": message("Mean absolute error: {value}"),
    "concept_smile": message("Concept “smile”: {value}"),
    "concept_age": message("Concept “age”: {value}"),
    "concept_masculine": message("Concept “masculine”: {value}"),
    "concept_long_hair": message("Concept “long hair”: {value}"),
    "concept_dark_hair": message("Concept “dark hair”: {value}"),
    "concept_daylight": message("Concept “daylight”: {value}"),
    "kid": message("Kernel distance: {value}"),
    "kid_real": message("Kernel distance between real photos: {value}"),
    "perplexity": message("Perplexity: {value}"),
    "bits_per_character": message("Bits per character: {value}"),
}
WHERE = {
    "bundled": message("Bundled"),
    "folder": message("In the weights folder"),
    "cache": message("In Keras's cache"),
    "part": message("Partly downloaded"),
    "missing": message("Not installed"),
}
# Button -> its text, and its accessible name.
WORDS = {
    "get": (message("Download"), message("Download {title}")),
    "rest": (message("Resume download"), message("Resume the download of {title}")),
    "remove": (message("Remove"), message("Remove {title}")),
    "discard": (message("Discard partial file"), message("Discard the partial download of {title}")),
    "halt": (message("Cancel"), message("Cancel the download of {title}")),
    "yes": (message("Yes, remove it"), message("Yes, remove {title}")),
    "no": (message("Keep it"), message("Keep {title}")),
    "keras": (message("Keras file"), message("Download {title} for Keras")),
}
ASK = message("Remove {title} from Keras's cache? This affects everyone who uses this server.")


def model_list(elem_id: str) -> gr.HTML:
    """Create the component, empty. Its value is what `list_value` returns.

    Its events are `obtain`, `halt` and `remove` for official files, and `export` for bundled ones; each reports the
    `name` of the file.
    """
    return component(__file__, elem_id, {})


def list_value(
    store: WeightsStore, *, going: Mapping[str, Any] | None = None, about: str = "", said: str = ""
) -> dict[str, Any]:
    """Return the component's value: all models of a store.

    Args:
        store: the weights.
        going: the download that this page watches, as `progress` returns it.
        about: name of the model that `said` refers to.
        said: message about that model.
    """
    try:
        bundled = [_bundled(store, entry) for entry in store.manifest().values()]
        note = ""
    except WeightsError as error:
        bundled, note = [], translate(str(error))
    official = [_official(store, name) for name in OFFICIAL_FILES]
    return {
        "groups": [
            {"title": translate("Bundled with the studio"), "note": note, "rows": bundled},
            {"title": translate("Published by Keras, trained on ImageNet"), "note": "", "rows": official},
        ],
        "going": going,
        "about": about,
        "said": translate(said),
    }


def title_of(name: str) -> str:
    """Return the display title of a weights file, given without its suffix."""
    return translate(TITLES.get(name) or (ARCHITECTURES[name].title if name in ARCHITECTURES else name))


def progress(name: str, done: int, total: int) -> dict[str, Any]:
    """Return the progress of a download as the component shows it.

    Args:
        name: name of the model.
        done: bytes downloaded.
        total: size in bytes; 0 if unknown.
    """
    words = {"title": title_of(name), "done": f"{done / 1e6:.0f}", "total": f"{total / 1e6:.0f}"}
    if not done:
        text = message("Connecting to download {title} …", **words)
    elif not total:
        text = message("Downloading {title}: {done} MB so far.", **words)
    else:
        text = message("Downloading {title}: {done} of {total} MB.", **words)
    return {"name": name, "share": done / total if total else None, "text": translate(text)}


def cancelling(name: str) -> dict[str, Any]:
    """Return the status of a download that is being cancelled."""
    return {
        "name": name,
        "share": None,
        "text": translate(message("Cancelling the download of {title} …", title=title_of(name))),
    }


def _bundled(store: WeightsStore, entry: Mapping[str, Any]) -> dict[str, Any]:
    name = Path(entry["file"]).stem
    located = store.find(name)
    source = located.source if located else "missing"
    facts = [
        _fact(message("Description"), entry.get("what")),
        _fact(message("Trained on"), entry.get("data")),
        _fact(message("Licence"), entry.get("licence")),
        _fact(message("Source"), entry.get("source")),
        _fact(message("Score"), _scores(entry.get("score"))),
        _fact(message("Training command"), entry.get("command"), "code"),
        _fact(message("File"), entry["file"], "code"),
        _fact("SHA-256", entry.get("sha256"), "code"),
    ]
    if source == "folder":
        said = message("Your own file with this name is used; the details below describe the bundled file.")
        facts.insert(0, _fact(message("Note"), said))
    if source == "missing":
        facts.insert(0, _fact(message("Note"), message("The file is missing; restore it from the project.")))
    acts = [] if source == "missing" else ["keras"]
    return _row(name, source, message("{size} MB", size=f"{entry.get('bytes', 0) / 1e6:.1f}"), facts, acts)


def _official(store: WeightsStore, name: str) -> dict[str, Any]:
    official, located, arrived = OFFICIAL_FILES[name], store.find(name), store.downloaded_bytes(name)
    source = located.source if located else "part" if arrived else "missing"
    facts = [
        _fact(
            message("Description"),
            message("{title} without its classifier, as published in keras.applications.", title=title_of(name)),
        ),
        _fact(message("Trained on"), DATA),
        _fact(message("Licence"), [official.licence, message("Source: {address}", address=LICENCE_FOUND)]),
        _fact(message("Source"), official.url, "link"),
        _fact(message("Score"), [message(SCORES["top1"], value=official.top1), SCORE_FOUND]),
        _fact(message("Training command"), message("None: third-party weights.")),
        _fact(message("File"), official.name, "code"),
        _fact("MD5", official.md5, "code"),
        _fact("SHA-256", message("Not published by Keras; the file is verified by its MD5.")),
    ]
    if source == "folder":
        said = message("Your own file with this name is used unverified; the details below describe Keras's file.")
        facts.insert(0, _fact(message("Note"), said))
    megabytes = f"{size_of(located.path) / 1e6:.0f}" if located else official.megabytes
    size = message("{size} MB", size=megabytes)
    if source == "part":
        size = message("{arrived:.0f} of {megabytes} MB", arrived=arrived / 1e6, megabytes=official.megabytes)
    acts = {"missing": ["get"], "part": ["rest", "discard"], "cache": ["remove"]}.get(source, [])
    return _row(name, source, size, facts, acts)


def _row(name: str, source: str, size: str, facts: list[dict[str, Any]], acts: list[str] | None = None):
    title = title_of(name)
    return {
        "name": name,
        "title": title,
        "where": translate(WHERE[source]),
        "here": source in ("bundled", "folder", "cache"),
        "size": translate(size),
        "facts": [fact for fact in facts if fact["lines"]],
        "acts": acts or [],
        "words": {
            act: [translate(shown), translate(message(label, title=title))] for act, (shown, label) in WORDS.items()
        },
        "ask": translate(message(ASK, title=title)),
    }


def _fact(label: str, text: str | list[str] | None, kind: str = "text") -> dict[str, Any]:
    lines = [text] if isinstance(text, str) else text or []
    return {"label": translate(label), "lines": [*map(translate, lines)], "kind": kind}


def _scores(score: Mapping[str, Any] | None) -> list[str]:
    """Format the scores, one per line, and then what they were measured on."""
    figures = [
        message(SCORES[name], value=value) if name in SCORES else f"{name}: {value}"
        for name, value in (score or {}).items()
        if name != "on"
    ]
    return [*figures, str(score["on"])] if score and "on" in score else figures
