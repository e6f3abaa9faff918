"""What command lines, workers and servers begin with: TensorFlow loaded without the notes that it writes to standard
error meanwhile, and where that is safe without libraries that only it would load."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# As TensorFlow and the library that it logs with write them: of the levels of information and warnings.
_NOTE = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl|\d{4}-\d\d-\d\d [\d:.]+: [IW] ")
# Keras loads these where they are installed, in case it is handed their tables or is to draw. Nobody does so here, and
# they take a quarter of the time.
_OPTIONAL = ("matplotlib", "pandas")


def load_quietly(*, alone: bool = True) -> None:
    """Load what Keras computes with.

    Args:
        alone: whether no other thread could want meanwhile what Keras need not load.
    """
    if "keras" not in sys.modules:
        with _without_notes(), _without_optional() if alone else contextlib.nullcontext():
            import keras  # noqa: F401


@contextlib.contextmanager
def _without_optional() -> Iterator[None]:
    """Have libraries be taken for missing inside of the block, unless they are loaded already."""
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    try:
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python marks what is missing
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Hold back what is written to standard error inside of the block, and pass on everything else.

    Compiled code writes past `sys.stderr`, and no setting of TensorFlow's silences what it logs while it is loaded.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _NOTE.match(line):
                    os.write(2, line)
