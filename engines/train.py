"""Train or score the weights that Reverie ships: python -m engines.train NAME --data PATH."""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.core.python_version import why_unsupported

# Before importing packages that may be missing.
if why_unsupported():
    sys.exit(why_unsupported())

import numpy as np
from PIL import Image
from tqdm import tqdm

from engines.core.configs import for_programs
from engines.core.description import Engine, import_string
from engines.core.files import why_unwritten, written_atomically
from engines.core.frames import Frames
from engines.core.options import add_options, changed_options
from engines.core.output_paths import OutputError, check_folder, check_output
from engines.core.quiet import load_quietly
from engines.nn.compact_checkpoint import compact

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
CHECKPOINTS = Path("checkpoints")
# What the backbone's training starts from; in the project, so that it can be repeated alone: the result of an earlier
# training with InceptionV3's features, and that of distillation.
START = WEIGHTS / "training" / "studio_vgg_96_pixels.npz"
FIRST_BLOCKS = WEIGHTS / "training" / "studio_vgg_first_blocks.npz"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0 on success, 1 after an error message."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hide TensorFlow's start-up messages
    options = _parser().parse_args(arguments)
    try:
        load_quietly()
        if options.compact:
            if not options.checkpoint:
                raise ValueError("--compact needs --checkpoint, the checkpoint to copy.")
            compact(options.checkpoint, options.compact)
            return 0
        if options.evaluate:
            scores = options.work(options).evaluate()
            print(json.dumps(scores) if options.json else "\n".join(f"{k}: {v:.4g}" for k, v in scores.items()))
            return 0
        check_outputs(options)
        with tqdm(unit="step", smoothing=0.05, disable=None) as bar:  # only in a terminal
            for frame in options.work(options).train():
                bar.set_description(frame.note if frame.preparing else "", refresh=frame.preparing)
                if frame.preparing:
                    continue
                bar.total = frame.total
                bar.update(frame.step - bar.n)
                metrics = [f"{name} {value:.4g}" for name, value in frame.metrics.items()]
                tqdm.write(f"{frame.step}: " + "  ".join([*metrics, *filter(None, [frame.note])]))
                for sentence in frame.notices:
                    tqdm.write(sentence, file=sys.stderr)
                if options.pictures and frame.image is not None:
                    try:
                        _write_image(options.pictures / f"{frame.step:06d}.png", frame.image)
                    except OSError as error:  # a lost preview image must not end the training
                        tqdm.write(f"The image could not be written: {why_unwritten(error)}.")
    except OSError as error:
        print(f"{error.filename or 'The weights'}: {why_unwritten(error)}.", file=sys.stderr)
        return 1
    except ValueError as error:
        print(for_programs(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command resumes from the last checkpoint.", file=sys.stderr)
        return 1
    return 0


def check_outputs(options: argparse.Namespace) -> None:
    """Check that all outputs can be written later.

    Raises:
        OutputError: like `check_output` and `check_folder`, or two outputs are the same file.
    """
    inputs = [options.data, *([options.start, options.style_branch] if options.name == "backbone" else [])]
    for path, folder in ((options.output, WEIGHTS), (options.checkpoint, CHECKPOINTS)):
        if path is None:
            check_folder(folder)
        else:
            check_output(path, (".npz",), inputs)
    if options.output and options.checkpoint and options.output.absolute() == options.checkpoint.absolute():
        raise OutputError(f"{options.output} cannot be both, weights and checkpoint; give one of them another name.")
    if options.pictures:
        check_folder(options.pictures)


def _write_image(path: Path, image: np.ndarray) -> None:
    with written_atomically(path) as file:
        Image.fromarray(image).save(file, "PNG")


@dataclass(frozen=True)
class Work:
    """The two actions of a subcommand: train, yielding frames, or evaluate shipped weights."""

    train: Callable[[], Frames[Any]]
    evaluate: Callable[[], dict[str, float]]


def _weights_store(options: argparse.Namespace) -> Any:
    """Store with third-party networks for training and evaluation: beside the data, or in weights/."""
    from engines.weights.store import WeightsStore

    return WeightsStore(folders=(options.data / "../weights", WEIGHTS))


def _backbone(options: argparse.Namespace) -> Work:
    from engines.backbones import training
    from engines.backbones.backbone import load_backbone
    from engines.backbones.config import BackboneTrainingConfig

    output = options.output or WEIGHTS / "studio_vgg.npz"
    checkpoint = options.checkpoint or CHECKPOINTS / "studio_vgg.npz"

    def train() -> Frames[None]:
        config = BackboneTrainingConfig(**changed_options(options, BackboneTrainingConfig))
        teacher = load_backbone("inception_v3", _weights_store(options))
        return training.train(config, options.data, options.start, options.style_branch, teacher, checkpoint, output)

    return Work(train, lambda: training.evaluate(output, options.data))


def _distillation(options: argparse.Namespace) -> Work:
    from engines.backbones import distillation
    from engines.backbones.backbone import load_backbone
    from engines.backbones.config import DistillationConfig

    output = options.output or FIRST_BLOCKS
    checkpoint = options.checkpoint or CHECKPOINTS / "distillation.npz"

    def train() -> Frames[None]:
        config = DistillationConfig(**changed_options(options, DistillationConfig))
        teacher = load_backbone("vgg19", _weights_store(options))
        paintings = options.data / ".." / "pictures" / "style"
        return distillation.train(config, options.data, paintings, teacher, checkpoint, output)

    def evaluate() -> dict[str, float]:
        raise ValueError(
            "The style branch has no score; python -m tests.benchmarks.painting_quality judges paintings made with it."
        )

    return Work(train, evaluate)


def _network(engine: Engine, options: argparse.Namespace) -> Work:
    """The work of a training engine; its networks' files are named as the engine that it trains for says."""
    from engines.jobs.registry import ENGINES
    from engines.nn.data_parallel import use_one_thread_per_op

    weights = ENGINES[engine.makes].weights

    def train() -> Frames[Any]:
        use_one_thread_per_op()
        config = engine.config_class(**changed_options(options, engine.config_class))
        file = f"{weights.format(getattr(config, 'network', config.model))}.npz"
        checkpoint, output = options.checkpoint or CHECKPOINTS / file, options.output or WEIGHTS / file
        training = import_string(engine.function)
        return training(config, None, data=options.data, checkpoint=checkpoint, output=output)

    def evaluate() -> dict[str, float]:
        prefix, known = weights.format(""), ENGINES[engine.makes].networks
        # Some networks are named by their model and more: `notes_words`.
        extended = hasattr(engine.config_class, "network")
        paths = sorted((options.output or WEIGHTS).glob(f"{prefix}*.npz"))
        found = {path.stem.removeprefix(prefix): path for path in paths}
        shipped = {
            name: path
            for name, path in found.items()
            if name in known or (extended and name.partition("_")[0] in known)
        }
        return import_string(f"{engine.module}:evaluate")(shipped, options.data, _weights_store(options))

    return Work(train, evaluate)


def _subcommands() -> dict[str, tuple[str, type, Callable[[argparse.Namespace], Work]]]:
    """Name of each subcommand -> its help, the class of its settings, and what returns its work."""
    from engines.backbones.config import BackboneTrainingConfig, DistillationConfig
    from engines.jobs.registry import ENGINES

    return {
        "backbone": ("Train the classifying branch of the bundled backbone.", BackboneTrainingConfig, _backbone),
        "distillation": ("Distil VGG19 into the style branch of the backbone.", DistillationConfig, _distillation),
        **{
            engine.makes: (engine.does, engine.config_class, functools.partial(_network, engine))
            for engine in ENGINES.values()
            if engine.makes
        },
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines.train", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, (text, config_class, work) in _subcommands().items():
        one = names.add_parser(name, help=text)
        one.set_defaults(work=work)
        shared = Path(os.environ.get("REVERIE_SHARED", "../shared"))
        one.add_argument("--data", type=Path, default=shared / "data", help="the data file, or its folder")
        one.add_argument("--output", type=Path, help="weights file to write, or with --evaluate to score [weights/]")
        one.add_argument("--checkpoint", type=Path, help="checkpoint to resume from [checkpoints/]")
        one.add_argument("--compact", type=Path, metavar="COPY", help="only copy the checkpoint, at half the size")
        one.add_argument("--pictures", type=Path, help="folder for preview images")
        one.add_argument("--evaluate", action="store_true", help="score existing weights instead of training")
        one.add_argument("--json", action="store_true", help="print the scores as one JSON object")
        if name == "backbone":
            one.add_argument("--start", type=Path, default=START, help="weights to train further, or first blocks")
            one.add_argument("--style-branch", type=Path, default=FIRST_BLOCKS, help="output of the distillation")
        add_options(one, config_class)
    return parser


if __name__ == "__main__":
    sys.exit(main())
