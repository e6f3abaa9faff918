"""Train or score the weights that Reverie ships: python -m engines.train NAME --data PATH."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from tqdm import tqdm

from engines.options import add_options, changed_options

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0 when the work was done, 1 after a one-sentence error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes are no news to a person
    from engines import backbone_training

    parser = argparse.ArgumentParser(prog="python -m engines.train", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    backbone = names.add_parser("backbone", help="the bundled backbone, studio_vgg")
    backbone.add_argument("--data", type=Path, default=Path(os.environ.get("REVERIE_SHARED", "../shared")) / "data")
    backbone.add_argument("--output", type=Path, default=WEIGHTS / "studio_vgg.npz", help="where the weights go")
    backbone.add_argument("--checkpoint", type=Path, default=Path("checkpoints/studio_vgg.npz"))
    backbone.add_argument("--evaluate", action="store_true", help="score the weights at --output instead")
    backbone.add_argument("--json", action="store_true", help="print the scores as one JSON object")
    add_options(backbone, backbone_training.BackboneTrainingConfig)
    options = parser.parse_args(arguments)
    try:
        if options.evaluate:
            scores = backbone_training.evaluate(options.output, options.data)
            print(json.dumps(scores) if options.json else "\n".join(f"{k}: {v:.4g}" for k, v in scores.items()))
            return 0
        changed = changed_options(options, backbone_training.BackboneTrainingConfig)
        config = backbone_training.BackboneTrainingConfig(**changed)
        with tqdm(unit="step", smoothing=0.05) as bar:
            for frame in backbone_training.train(config, options.data, options.checkpoint, options.output):
                bar.total = frame.total
                bar.update(frame.step - bar.n)
                tqdm.write(f"{frame.step}: " + "  ".join(f"{k} {v:.4g}" for k, v in frame.metrics.items()))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from the last checkpoint.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
