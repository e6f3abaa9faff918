"""Choose sizes and steps to fit the time and memory available."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from engines.core.memory import free_bytes
from engines.imaging.images import MIN_SIDE, long_enough
from engines.style_transfer.config import LAYERS, MAX_SIDE, StyleConfig
from engines.style_transfer.perceptual_loss import PerceptualLoss
from engines.style_transfer.targets import StyleInputs, StyleTargets

if TYPE_CHECKING:
    from engines.backbones.backbone import Backbone

# Each scale is SCALE_FACTOR times as large as the one before, and takes 1 / STEPS_FACTOR as many steps.
SCALE_FACTOR = 1.75
STEPS_FACTOR = 1.4
MIN_SHORT_SIDE = 48
# Sizes that a run with a time limit chooses from.
SIZES = (192, 256, 320, 384, 448, 512, 576, 640, 720, 800, 900, 1024, 1152, 1280, 1440)
# Photos with a larger aspect ratio get longer sizes, so that they have as many pixels as one with this aspect ratio.
LONG = 4.0
# A larger size is chosen only if this many steps at full size fit into the time.
MIN_STEPS = 30
# Beyond this many steps a larger size improves the result more.
MAX_USEFUL_STEPS = 250
# Steps of a sketch at full size; what starts from a sketch needs fewer.
SKETCH_STEPS = 10
MIN_STEPS_ON_A_SKETCH = 12
PROBE_SIDE = 224
TILES = (1536, 1024, 768, 512, 384)
UNTILED = 16_384
# Curvature pairs that L-BFGS keeps.
CORRECTIONS = 10
# Bytes per pixel that are held between steps: the history of L-BFGS and a dozen images, in float32.
_STATE_BYTES_PER_PIXEL = (2 * CORRECTIONS + 14) * 3 * 4
# A sketch is only a starting point, and may differ from the photo.
_SKETCH_BALANCE = 0.02


@dataclass(frozen=True, eq=False)
class Level:
    """One scale of the coarse-to-fine schedule.

    Attributes:
        shape: (height, width).
        backbone: the network whose losses are minimised.
        sketch: whether this is the sketch that another network continues from.
        above: number of larger scales with the same network.
    """

    shape: tuple[int, int]
    backbone: Backbone
    sketch: bool
    above: int

    @property
    def area(self) -> int:
        return math.prod(self.shape)

    def steps(self, at_full_size: float) -> int:
        """Steps at this scale, given the steps at full size."""
        return max(1, round((SKETCH_STEPS if self.sketch else at_full_size) * STEPS_FACTOR**self.above))

    def config(self, config: StyleConfig) -> StyleConfig:
        """The settings in force at this scale."""
        if not self.sketch:
            return config
        layers, content = LAYERS[self.backbone.name]
        standard, kept = StyleConfig(), ("blend", "style_scale", "color", "tile_size", "seed")
        chosen = {name: getattr(config, name) for name in kept}
        return dataclasses.replace(
            standard, **chosen, balance=_SKETCH_BALANCE, style_layers=layers, content_layer=content
        )


class Planner:
    """Chooses sizes, steps and tiles for one photo.

    Args:
        backbone: the network of the result.
        sketch_network: the network of the sketch that `backbone` starts from; None without a sketch.
        loss_for: returns the `PerceptualLoss` for given settings and network.
        began: when the run was requested (time.monotonic).
    """

    def __init__(
        self,
        inputs: StyleInputs,
        backbone: Backbone,
        sketch_network: Backbone | None,
        loss_for: Callable[[StyleConfig, Backbone], PerceptualLoss],
        began: float,
    ):
        self._inputs, self._backbone, self._sketch_network = inputs, backbone, sketch_network
        self._loss_for, self._began = loss_for, began
        self._photo: tuple[int, int] = inputs.content.shape[:2]
        # Measured seconds per pixel and step, by network.
        self._seconds: dict[str, float] = {}

    def step_cost(self, level: Level, config: StyleConfig) -> int:
        """Multiplications per step."""
        return level.area * self._loss_for(level.config(config), level.backbone).work_per_pixel

    def relative_step_time(self, level: Level, than: Level, config: StyleConfig) -> float:
        """Time of a step on one level relative to one on another."""
        if {level.backbone.name, than.backbone.name} <= set(self._seconds):
            each = self._seconds[level.backbone.name] / self._seconds[than.backbone.name]
            return each * level.area / than.area
        return self.step_cost(level, config) / self.step_cost(than, config)

    def levels(self, config: StyleConfig) -> list[Level]:
        """The levels from coarse to full size. From a start image there is only the full size."""
        height, width = self._full_shape(config.size)
        count = 1 if self._inputs.start is not None else config.scales
        shapes = [(round(height / SCALE_FACTOR**i), round(width / SCALE_FACTOR**i)) for i in range(count)]
        shapes = [shape for shape in shapes if min(shape) >= MIN_SHORT_SIDE][::-1] or [(height, width)]
        sketch_network = self._sketch_network
        each = [
            Level(shape, sketch_network or self._backbone, sketch_network is not None, len(shapes) - 1 - number)
            for number, shape in enumerate(shapes)
        ]
        return [*each, Level(shapes[-1], self._backbone, False, 0)] if sketch_network else each

    def _full_shape(self, size: int) -> tuple[int, int]:
        height, width = self._photo
        scale = self.longest_side(size) / max(height, width) if size else 1.0
        return max(1, round(height * scale)), max(1, round(width * scale))

    def longest_side(self, size: int) -> int:
        """`size`, or more where the short side of a panorama would be too short to work with."""
        shape = self._photo
        # The same for all sizes of a photo, as a larger size must not give a smaller image.
        wanted = MIN_SHORT_SIDE if max(shape) >= LONG * min(shape) else MIN_SIDE
        across = min(wanted, min(shape), MAX_SIDE * min(shape) // max(shape))
        return long_enough(shape, size, max(across, MIN_SIDE), MAX_SIDE)

    def _sizes(self) -> list[int]:
        """Sizes that a run with a time limit chooses from."""
        height, width = self._photo
        stretch = math.sqrt(max(1.0, max(height, width) / min(height, width) / LONG))
        return sorted({self.longest_side(min(MAX_SIDE, round(size * stretch))) for size in SIZES})

    def fit_memory(self, config: StyleConfig) -> tuple[StyleConfig, bool, bool]:
        """Choose tiles, and a smaller size where tiles are not enough, to fit the available memory.

        Returns:
            the config, whether the size was reduced, whether tiles are used.
        """
        free = free_bytes()
        budget = 2 << 30 if free is None else min(free // 2, 3 << 30)
        levels, downsized = self.levels(config), False
        each = max(self._loss_for(level.config(config), level.backbone).bytes_per_pixel for level in levels)
        height, width = self._full_shape(config.size)
        longest = max(height, width)
        # The optimiser's state and the images come on top, with or without tiles.
        most = math.inf if free is None else max(0.8 * free - TILES[-1] ** 2 * each, 0) / _STATE_BYTES_PER_PIXEL
        if height * width > most and longest > SIZES[0]:
            longest = self.longest_side(max(SIZES[0], int(longest * math.sqrt(most / (height * width)))))
            config = dataclasses.replace(config, size=longest)
            height, width = self._full_shape(longest)
            downsized = True
        if each * height * width <= budget:
            return dataclasses.replace(config, tile_size=UNTILED), downsized, False
        tile = next((tile for tile in TILES if each * tile**2 <= budget), TILES[-1])
        return dataclasses.replace(config, tile_size=tile), downsized, True

    def fit_time(self, config: StyleConfig) -> StyleConfig:
        """Choose size, scales and steps so that the run takes `config.seconds` on this computer.

        Two timed evaluations at a small size measure the speed; the first one includes tracing.
        """
        shape = self._full_shape(PROBE_SIDE)
        for level in self.levels(config):
            if level.backbone.name not in self._seconds:
                self._seconds[level.backbone.name] = self._measure_step(level, shape, config) / math.prod(shape)
        left = config.seconds - (time.monotonic() - self._began)
        own = max(self._photo)
        sizes = self._sizes()
        best = dataclasses.replace(config, size=sizes[0], scales=1, steps=1)
        enough = MIN_STEPS_ON_A_SKETCH if self._sketch_network else MIN_STEPS
        for size in sizes:
            scales = 1 if self._inputs.start is not None else max(1, 1 + round(math.log(size / 160, SCALE_FACTOR)))
            tried = dataclasses.replace(config, size=size, scales=scales)
            levels = self.levels(tried)
            each = [(level, level.area * self._seconds[level.backbone.name]) for level in levels]
            sketched = sum(level.steps(0) * seconds for level, seconds in each if level.sketch)
            a_step = sum(STEPS_FACTOR**level.above * seconds for level, seconds in each if not level.sketch)
            steps = int((0.9 * left - sketched) / a_step)
            if steps < (enough if size <= max(own, 512) else MAX_USEFUL_STEPS) and size > sizes[0]:
                break
            best = dataclasses.replace(tried, steps=min(max(steps, 5), 2000))
        return best

    def _measure_step(self, level: Level, shape: tuple[int, int], config: StyleConfig) -> float:
        """Seconds per step at a small size."""
        settings = level.config(config)
        loss = self._loss_for(settings, level.backbone)
        style_targets = StyleTargets(self._inputs, settings, loss, shape, UNTILED)
        targets, image = style_targets.targets(settings), tf.constant(style_targets.content)
        times = []
        for _ in range(2):
            before = time.monotonic()
            loss.evaluate(image, targets, (1.0, 1.0, 1.0), tile=UNTILED)
            times.append(time.monotonic() - before)
        return min(times)
