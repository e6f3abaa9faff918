"""Sweeps: one engine over a grid of one or two settings, as a contact sheet.

A sweep is an engine like any other, so stopping, recipes and everything else for engines work with it. Its cells run
one after another. If the engine chooses settings for its machine, the first cell's choice applies to all cells, so that
they differ only in what is swept.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from engines.core.configs import from_mapping, in_words, setting, validate
from engines.core.description import import_string
from engines.core.frames import Frame, Frames
from engines.core.messages import joined, message
from engines.core.options import format_number
from engines.imaging.contact_sheet import ContactSheet, Heading
from engines.jobs.registry import ENGINES

MAX_CELLS = 36
MAX_TITLE_LENGTH = 60


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """Settings for a sweep. Only `settings` can be steered.

    Attributes:
        engine: key in `engines.jobs.registry.ENGINES` of the engine that makes the cells.
        fixed: settings that override those in `settings`.
        not_sweepable: numeric settings that cannot be swept, as they do not change the image in a comparable way.
    """

    engine: ClassVar[str]
    fixed: ClassVar[Mapping[str, Any]] = {}
    not_sweepable: ClassVar[frozenset[str]] = frozenset()

    settings: Mapping[str, Any] = setting(dict, "Settings shared by all images, by name; the rest keep their defaults.")
    columns: str = setting("", "Name of the setting that varies by column.")
    column_values: tuple[float, ...] = setting((), "Values of this setting.")
    rows: str = setting("", "Name of the setting that varies by row; leave empty for none.")
    row_values: tuple[float, ...] = setting((), "Values of this setting.")
    column_title: str = setting("", "Heading of the columns; the name of the setting if empty.")
    row_title: str = setting("", "Heading of the rows; the name of the setting if empty.")

    def __post_init__(self):
        validate(self)
        settings: Any = from_mapping(self.config_class, {**self.settings, **self.fixed})
        object.__setattr__(self, "settings", dataclasses.asdict(settings))
        if self.rows and self.columns == self.rows:
            raise ValueError(message("The rows need a different setting from the columns; choose another."))
        for name, values in self.swept.items():
            self._check(name, values)
        if self.row_values and not self.rows:
            raise ValueError(message("The rows have values but no setting; choose one."))
        if self.cells > MAX_CELLS:
            raise ValueError(
                message(
                    "This sweep would make {count} images; the limit is {most}; use fewer values.",
                    count=self.cells,
                    most=MAX_CELLS,
                )
            )
        cells = [self.cell(index) for index in range(self.cells)]
        for name in self.swept:
            reasons = [cell.without_effect.get(name) for cell in cells]
            if all(reasons):
                raise ValueError(
                    message("{setting} has no effect here: {why}.", setting=self.title(name), why=reasons[0])
                )

    @property
    def config_class(self) -> type:
        """The class of a cell's config."""
        return ENGINES[self.engine].config_class

    @property
    def swept(self) -> dict[str, tuple[float, ...]]:
        """The values of each swept setting, by name."""
        named = {self.columns: self.column_values}
        return named | ({self.rows: self.row_values} if self.rows else {})

    @property
    def cells(self) -> int:
        """The number of cells."""
        return len(self.column_values) * max(1, len(self.row_values))

    @classmethod
    def sweepable(cls) -> tuple[str, ...]:
        """The settings that can be swept: single numbers, except `not_sweepable`."""
        config_class = ENGINES[cls.engine].config_class
        hints = typing.get_type_hints(config_class)
        names = [field.name for field in dataclasses.fields(config_class) if hints[field.name] in (int, float)]
        return tuple(name for name in names if name not in cls.not_sweepable)

    @property
    def may_still_change(self) -> bool:
        """True if the engine may change its chosen settings until the first cell is done, to meet a time limit."""
        return bool(self.settings.get("seconds"))

    def title(self, name: str) -> str:
        """The display title of a swept setting; without one, its name, which is what programs know it by."""
        given = self.column_title if name == self.columns else self.row_title
        return message(given[:MAX_TITLE_LENGTH] or in_words(name))

    def _check(self, name: str, values: tuple[float, ...]) -> None:
        if name not in self.sweepable():
            names = ", ".join(self.sweepable())
            raise ValueError(
                message(
                    "The setting {name!r} cannot be swept; use one of {known}.",
                    name=name[:40],
                    known=names,
                )
            )
        if not values:
            raise ValueError(message("Enter the values of {setting}, separated by commas.", setting=self.title(name)))
        if len(set(values)) < len(values):
            raise ValueError(
                message("{setting} has a repeated value; enter each value once.", setting=self.title(name))
            )

    def values(self, index: int) -> dict[str, float]:
        """The values of the swept settings in a cell; cells are counted row by row."""
        row, column = divmod(index, len(self.column_values))
        values = {self.columns: self.column_values[column]}
        return values | ({self.rows: self.row_values[row]} if self.rows else {})

    def cell(self, index: int) -> Any:
        """The config of a cell.

        Raises:
            ValueError: a value that the engine does not accept.
        """
        hints = typing.get_type_hints(self.config_class)
        values: dict[str, float] = self.values(index)
        integers = {name: int(value) for name, value in values.items() if float(value).is_integer()}
        values |= {name: value for name, value in integers.items() if hints[name] is int}
        return from_mapping(self.config_class, {**self.settings, **values})

    def with_settings_of(self, config: Any) -> SweepConfig:
        """The same sweep with the settings of another cell config, except for what is swept."""
        swept = {name: self.settings[name] for name in self.swept}
        return dataclasses.replace(self, settings=dataclasses.asdict(config) | swept)


@dataclass(frozen=True, kw_only=True)
class DreamSweepConfig(SweepConfig):
    """Settings for a sweep of dreams."""

    engine: ClassVar[str] = "deep_dream"
    # A cell is one image, not a video.
    fixed: ClassVar[Mapping[str, Any]] = {"pictures": 1}
    not_sweepable: ClassVar[frozenset[str]] = frozenset({"pictures", "zoom", "turn", "tile_size"})

    columns: str = setting("step_size", "Name of the setting that varies by column.")
    column_values: tuple[float, ...] = setting((0.01, 0.02, 0.04), "Values of this setting.")


@dataclass(frozen=True, kw_only=True)
class StyleSweepConfig(SweepConfig):
    """Settings for a sweep of style transfers."""

    engine: ClassVar[str] = "style_transfer"
    not_sweepable: ClassVar[frozenset[str]] = frozenset({"seconds", "tile_size"})

    columns: str = setting("balance", "Name of the setting that varies by column.")
    column_values: tuple[float, ...] = setting((0.05, 0.15, 0.4), "Values of this setting.")


def resolve(config: SweepConfig, backbone: Any) -> SweepConfig:
    """Fill in backbone-dependent defaults, as the cells' engine does.

    Raises:
        ValueError: a cell's config does not fit the backbone.
    """
    resolve_cell = import_string(f"{ENGINES[config.engine].module}:resolve")
    resolved = [resolve_cell(config.cell(index), backbone) for index in range(config.cells)]
    return config.with_settings_of(resolved[0])


def sweep(config: SweepConfig, backbone: Any, **inputs: Any) -> Frames[SweepConfig]:
    """Run an engine once for each cell, yielding the sheet as it fills.

    Args:
        config: the sweep; `send` one with other `settings` to steer the current cell and all later ones. Settings that
            the engine chose itself remain.
        backbone, inputs: as for the engine.

    Yields:
        A frame for each frame of a cell, with its metrics; the last of each cell is a keyframe and a yield point.
        `config` is set when the cell's engine chose settings itself.

    Raises:
        ValueError: as the engine.
    """
    run = import_string(ENGINES[config.engine].function)
    progress = SweepProgress(resolve(config, backbone))
    for cell in range(config.cells):
        frames = run(config=progress.config.cell(cell), backbone=backbone, **inputs)
        sent, ended = None, False
        while not ended:
            frame = frames.send(sent)
            ended = frame.step >= frame.total
            changed = yield progress.add_frame(cell, frame)
            sent = None
            if changed is not None:
                progress.steer(changed)
                sent = progress.config.cell(cell)
        frames.close()


class SweepProgress:
    """The sheet of a running sweep and the settings in force, wherever the cells are computed.

    Attributes:
        config: the settings in force: as passed and sent, with those that the engine chose itself.
    """

    def __init__(self, config: SweepConfig):
        self.config = config
        self._reported = config
        self._chosen_by_engine = set[str]()
        self._sheet: ContactSheet | None = None
        self._done = 0

    def add_frame(self, cell: int, frame: Frame, steps: int = 1) -> Frame:
        """Add a cell's frame, `steps` after its previous one, to the sheet; returns the sweep's frame."""
        assert frame.image is not None
        if self._sheet is None:
            self._sheet = _sheet(self.config, frame.image.shape[:2])
        self._sheet.put(cell, frame.image)
        self._done += steps
        if frame.config is not None:
            self._chosen_by_engine |= _changed_fields(self.config.cell(cell), frame.config)
            self.config = self.config.with_settings_of(frame.config)
        ended, cells = frame.step >= frame.total, self.config.cells
        unreported = None if self.config == self._reported else self.config
        self._reported = self.config
        return Frame(
            step=self._done,
            total=self._done + frame.total - frame.step + frame.total * (cells - cell - 1),
            image=self._sheet.image,
            metrics=frame.metrics,
            note=joined([message("image {number} of {count}", number=cell + 1, count=cells), frame.note]),
            progress=(cell + frame.progress) / cells,
            keyframe=ended,
            config=unreported,
            yield_point=ended,
        )

    def steer(self, changed: SweepConfig) -> None:
        """Apply a changed config from the next step on; settings that the engine chose itself remain."""
        self._reported = changed
        chosen = {name: self.config.settings[name] for name in self._chosen_by_engine}
        self.config = dataclasses.replace(self.config, settings={**changed.settings, **chosen})


def _changed_fields(first: Any, second: Any) -> set[str]:
    """Names of the fields in which two configs differ."""
    return {
        field.name for field in dataclasses.fields(first) if getattr(first, field.name) != getattr(second, field.name)
    }


def _sheet(config: SweepConfig, shape: tuple[int, int]) -> ContactSheet:
    sides = [Heading(config.title(name), tuple(map(format_number, values))) for name, values in config.swept.items()]
    return ContactSheet(sides[0], sides[1] if config.rows else None, shape)
