"""Descriptions of the language model engines."""

from engines.core.description import TRAINING_FILES, Engine, Network
from engines.language_model.config import STEERABLE

ENGINES = (
    Engine(
        name="language_model",
        title="Text",
        does="Continue a text with a language model.",
        tab="text",
        config="engines.language_model:WritingConfig",
        function="engines.language_model:write",
        writes=True,
        networks={
            "ours": Network("Film reviews", "Reverie"),
            "notes": Network("Film reviews, as in Chollet's book", "Chollet's book"),
        },
        loader="engines.language_model.model:load_language_model",
        reader="engines.language_model.model:read_language_model",
        weights="language_model_{}",
        endpoint="write",
    ),
    Engine(
        name="language_training",
        title="Language model training",
        does="Train a language model.",
        tab="text",
        config="engines.language_model.config:LanguageTrainingConfig",
        function="engines.language_model.training:training",
        files=TRAINING_FILES,
        data="A UTF-8 text: .txt, .md or .jsonl, gzipped, or a zip of these.",
        makes="language_model",
        steerable=STEERABLE,
        writes=True,
    ),
)
