"""Load TensorFlow without its log output, and where that is safe without optional libraries."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Info and warning lines of TensorFlow and absl.
_LOG_LINE = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl|\d{4}-\d\d-\d\d [\d:.]+: [IW] ")
# Keras imports these if they are installed, which takes a quarter of the loading time. They are not used here.
_OPTIONAL = ("matplotlib", "pandas")


def load_quietly(*, alone: bool = True) -> None:
    """Import Keras and its backend.

    Args:
        alone: True if no other thread may import the optional libraries meanwhile.
    """
    if "keras" not in sys.modules:
        with _without_log_lines(), _without_optional() if alone else contextlib.nullcontext():
            import keras  # noqa: F401


@contextlib.contextmanager
def _without_optional() -> Iterator[None]:
    """Within the block, make optional libraries that are not yet loaded appear missing."""
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    try:
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes Python raise ImportError
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _without_log_lines() -> Iterator[None]:
    """Within the block, filter log lines from standard error.

    Compiled code bypasses `sys.stderr`, and TensorFlow has no setting that silences what it logs while loading.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # no standard error
        yield
        return
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            buffer.seek(0)
            for line in buffer:
                if not _LOG_LINE.match(line):
                    os.write(2, line)
