"""The fastest number format on this machine.

Processors without bfloat16 units emulate it more slowly than they compute in float32, so the CPU flags decide.
"""

from __future__ import annotations

import functools
from pathlib import Path

_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}


@functools.cache
def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's feature flags; empty if the system does not list them."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "").split())


def native_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 natively. Does not load TensorFlow."""
    return bool(processor_flags() & _BFLOAT16_FLAGS)


def compute_dtype() -> str:
    """ "bfloat16" if the processor or a GPU supports it natively, else "float32"."""
    # JAX is only used for GPUs; on a CPU it always computes in float32.
    return "bfloat16" if (native_bfloat16() and not _on_jax()) or _has_gpu() else "float32"


def training_policy() -> str:
    """The Keras dtype policy for training: weights in float32, computation in `compute_dtype`."""
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
