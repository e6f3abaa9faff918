"""What a command line and a worker begin with: TensorFlow loaded without the notes that it writes to standard error
meanwhile, and without libraries that only it would load."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# As TensorFlow and the library that it logs with write them: of the levels of information and warnings.
_NOTE = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl|\d{4}-\d\d-\d\d [\d:.]+: [IW] ")
# Loaded by Keras and TensorFlow where they are installed, in case somebody hands them their objects. Nobody does here,
# and they take more than a third of the time.
_OPTIONAL = ("jax", "matplotlib", "pandas", "scipy")


def load_quietly() -> None:
    """Load what Keras computes with."""
    if "keras" not in sys.modules:
        with _without_notes():
            if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
                # Where Keras's own file of settings names another backend, that is loaded below.
                with contextlib.suppress(ImportError), _without_optional():
                    import keras
            import keras  # noqa: F401


@contextlib.contextmanager
def _without_optional() -> Iterator[None]:
    """Have optional libraries be taken for missing inside of the block, those that are loaded already excepted."""
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    try:
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python marks what is missing
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Hold back what is written to standard error inside of the block, and let go of what is no note.

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
