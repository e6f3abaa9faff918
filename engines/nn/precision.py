"""The fastest number format on this machine.

Processors without bfloat16 units emulate it and are slower than with float32, so the flags decide, never a guess.
"""

from __future__ import annotations

import functools
from pathlib import Path

_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}


@functools.cache
def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's feature flags; empty where the system does not list them."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "").split())


def native_bfloat16() -> bool:
    """Whether the processor itself computes in bfloat16; asks nothing of TensorFlow."""
    return bool(processor_flags() & _BFLOAT16_FLAGS)


def compute_dtype() -> str:
    """ "bfloat16" where the processor or a GPU computes it natively, else "float32"."""
    # JAX is here for GPUs; on a processor it is held to what every processor does.
    return "bfloat16" if (native_bfloat16() and not _on_jax()) or _has_gpu() else "float32"


def training_policy() -> str:
    """The Keras dtype policy for training: weights in float32, arithmetic in the machine's fastest format."""
    return "mixed_bfloat16" if compute_dtype() == "bfloat16" else "float32"


def _on_jax() -> bool:
    import keras

    return keras.config.backend() == "jax"


def _has_gpu() -> bool:
    if _on_jax():
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
