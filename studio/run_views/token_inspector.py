"""Token inspector component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from studio.components.html_component import component


def token_inspector(elem_id: str) -> gr.HTML:
    """Create the token inspector, empty. Its value is what `token_details` returns; its event `pick` reports the
    `token` that should replace the inspected one."""
    return component(__file__, elem_id, {})


def token_details(
    distributions: Sequence[Any], pieces: Sequence[str], index: int, name: Any, *, rewritable: bool
) -> dict[str, Any]:
    """Return the inspector's value for one token.

    Args:
        distributions: an `engines.language_model.sampling.TokenDistribution` for each token.
        pieces: text of each token.
        index: index of the inspected token.
        name: converts a token to its text.
        rewritable: True if another token may be chosen.
    """
    one = distributions[index]
    return {
        "piece": pieces[index],
        "token": one.token,
        "before": one.before,
        "after": one.after,
        "entropy": one.entropy,
        "entropy_after": one.entropy_after,
        "alternatives": [[name(token), before, after, token] for token, before, after in one.alternatives],
        "rewritable": rewritable,
    }
