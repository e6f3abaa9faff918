"""What each part of the adversarial training buys: kernel distances after equally many images, one part changed.

It takes minutes a row and needs the training data, so that `make bench` leaves it out:
python -m tests.benchmarks.dcgan_parts --images 64000.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

PARTS: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "without averaged weights": {"averaging": 0.0},
    "without augmentation": {"augmentation": "none"},
    "with the book's loss": {"objective": "noisy labels"},
    "with the book's rates": {"g_learning_rate": 1e-4, "d_learning_rate": 1e-4},
}


def measure(data: Path, images: int, seed: int) -> dict[str, float]:
    """The kernel distance from the held-out images, by what was skipped."""
    from engines.dcgan.config import DCGANTrainingConfig
    from engines.dcgan.kid import features, kernel_distance
    from engines.dcgan.model import read_gan
    from engines.dcgan.training import read_images, train
    from engines.nn.data_parallel import use_one_thread_per_op
    from engines.weights.store import WeightsStore

    use_one_thread_per_op()
    store = WeightsStore(folders=(data / "../weights",))
    held_out = features(read_images(data, 64).held_out, store)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "gan.npz"
        for name, changes in PARTS.items():
            config = DCGANTrainingConfig(images=images, interval=10_000, seed=seed, **changes)
            for _ in train(config, data, None, output):
                pass
            samples = read_gan(output).sample(range(len(held_out)))
            found[name] = kernel_distance(features(samples, store), held_out)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("REVERIE_SHARED", "../shared"))
    parser.add_argument("--data", type=Path, default=shared / "data", help="as for python -m engines.train dcgan")
    parser.add_argument("--images", type=int, default=64_000, help="how many pictures each training sees [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of all trainings [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found = measure(options.data, options.images, options.seed)
    if options.json:
        print(json.dumps(found))
        return
    print(f"Kernel distance after {options.images} pictures, ours and with one part changed:")
    for name, distance in found.items():
        print(f"{name:28}{distance:10.4f}{distance / found['as shipped']:8.2f} x")
    assert np.isfinite(list(found.values())).all()


if __name__ == "__main__":
    main()
