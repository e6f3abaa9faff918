"""Libraries that only Keras would load are missing while it is loaded."""

from __future__ import annotations

import importlib
import sys

import pytest

from engines.core import quiet


def test_libraries_that_only_keras_would_load_are_missing_while_it_is_loaded_and_no_longer(monkeypatch):
    monkeypatch.setattr(quiet, "_OPTIONAL", ("wave", "json"))
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with quiet._without_optional():
        with pytest.raises(ImportError):
            importlib.import_module("wave")
        assert importlib.import_module("json"), "what was there is there"
    assert importlib.import_module("wave")
