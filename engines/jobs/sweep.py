"""Sweeps: one engine over a grid of one or two settings, as a contact sheet.

A sweep is an engine like the others, so that Stop, recipes and all else that is made for engines serve it too. Its
cells run one after another. Where the engine chooses settings for the machine it is on, the first cell's choice holds
for all of them: they differ in what is swept and in nothing else.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from engines.core.configs import from_mapping, setting, validate
from engines.core.description import loaded
from engines.core.frames import Frame, Frames
from engines.core.messages import joined, message
from engines.core.options import format_number
from engines.imaging.contact_sheet import ContactSheet, Heading
from engines.jobs.registry import ENGINES

MOST_CELLS = 36
MOST_LETTERS = 60


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What is swept. `settings` may change while it runs; what is swept may not.

    Attributes:
        engine: key in `engines.jobs.registry.ENGINES` of the engine that makes the cells.
        fixed: settings that all cells have, whatever is asked for.
        apart: settings that are not swept: another clock, or another way of computing, makes no picture to compare.
    """

    engine: ClassVar[str]
    fixed: ClassVar[Mapping[str, Any]] = {}
    apart: ClassVar[frozenset[str]] = frozenset()

    settings: Mapping[str, Any] = setting(dict, "The settings that all pictures share, by name; others as by default.")
    columns: str = setting("", "Name of the setting that differs from picture to picture.")
    column_values: tuple[float, ...] = setting((), "Its values.")
    rows: str = setting("", "Name of another setting, which differs from row to row; none if not given.")
    row_values: tuple[float, ...] = setting((), "Its values.")
    column_title: str = setting("", "What the sheet calls the first; by its name if not given.")
    row_title: str = setting("", "What the sheet calls the other; by its name if not given.")

    def __post_init__(self):
        validate(self)
        settings: Any = from_mapping(self.config_class, {**self.settings, **self.fixed})
        object.__setattr__(self, "settings", dataclasses.asdict(settings))
        if self.rows and self.columns == self.rows:
            raise ValueError(message("A sweep takes one setting, or two different ones; choose another for the rows."))
        for name, values in self.swept.items():
            self._check(name, values)
        if self.row_values and not self.rows:
            raise ValueError(message("There are values for the rows of the sheet, but no setting; name one."))
        if self.cells > MOST_CELLS:
            raise ValueError(
                message(
                    "These would be {count} pictures; a sweep makes at most {most}.", count=self.cells, most=MOST_CELLS
                )
            )
        cells = [self.cell(index) for index in range(self.cells)]
        for name in self.swept:
            reasons = [cell.without_effect.get(name) for cell in cells]
            if all(reasons):
                raise ValueError(
                    message("{setting} changes nothing as it is: {why}.", setting=self.title(name), why=reasons[0])
                )

    @property
    def config_class(self) -> type:
        """Of the settings."""
        return ENGINES[self.engine].config_class

    @property
    def swept(self) -> dict[str, tuple[float, ...]]:
        """The values of each setting that is swept, by its name."""
        named = {self.columns: self.column_values}
        return named | ({self.rows: self.row_values} if self.rows else {})

    @property
    def cells(self) -> int:
        """How many pictures there are."""
        return len(self.column_values) * max(1, len(self.row_values))

    @classmethod
    def sweepable(cls) -> tuple[str, ...]:
        """The settings that can be swept: those that are one number each."""
        config_class = ENGINES[cls.engine].config_class
        hints = typing.get_type_hints(config_class)
        names = [field.name for field in dataclasses.fields(config_class) if hints[field.name] in (int, float)]
        return tuple(name for name in names if name not in cls.apart)

    @property
    def chosen_on_the_way(self) -> bool:
        """Whether what the engine chooses for the first cell may change until that is done: it is to keep a time."""
        return bool(self.settings.get("seconds"))

    def title(self, name: str) -> str:
        """What a person calls a setting that is swept."""
        given = self.column_title if name == self.columns else self.row_title
        return message(given[:MOST_LETTERS] or name.replace("_", " ").capitalize())

    def _check(self, name: str, values: tuple[float, ...]) -> None:
        if name not in self.sweepable():
            names = ", ".join(self.sweepable())
            raise ValueError(
                message(
                    "There is no setting {name!r} that could be swept here; use one of {known}.",
                    name=name[:40],
                    known=names,
                )
            )
        if not values:
            raise ValueError(
                message(
                    "Give the values of {setting} to sweep over, with commas between them.", setting=self.title(name)
                )
            )
        if len(set(values)) < len(values):
            raise ValueError(message("A value of {setting} is there twice; give each once.", setting=self.title(name)))

    def values(self, index: int) -> dict[str, float]:
        """What a cell has for what is swept; cells are counted line by line."""
        row, column = divmod(index, len(self.column_values))
        chosen = {self.columns: self.column_values[column]}
        return chosen | ({self.rows: self.row_values[row]} if self.rows else {})

    def cell(self, index: int) -> Any:
        """The config of a cell.

        Raises:
            ValueError: a value that the engine does not allow.
        """
        hints = typing.get_type_hints(self.config_class)
        chosen: dict[str, float] = self.values(index)
        whole = {name: int(value) for name, value in chosen.items() if float(value).is_integer()}
        chosen |= {name: value for name, value in whole.items() if hints[name] is int}
        return from_mapping(self.config_class, {**self.settings, **chosen})

    def following(self, config: Any) -> SweepConfig:
        """The same sweep where its cells go on with another config, but for what is swept."""
        kept = {name: self.settings[name] for name in self.swept}
        return dataclasses.replace(self, settings=dataclasses.asdict(config) | kept)


@dataclass(frozen=True, kw_only=True)
class DreamSweepConfig(SweepConfig):
    """A sweep of dreams."""

    engine: ClassVar[str] = "deep_dream"
    # A sheet of films could not be printed.
    fixed: ClassVar[Mapping[str, Any]] = {"pictures": 1}
    apart: ClassVar[frozenset[str]] = frozenset({"pictures", "zoom", "turn", "tile_size"})

    columns: str = setting("step_size", "Name of the setting that differs from picture to picture.")
    column_values: tuple[float, ...] = setting((0.01, 0.02, 0.04), "Its values.")


@dataclass(frozen=True, kw_only=True)
class StyleSweepConfig(SweepConfig):
    """A sweep of paintings."""

    engine: ClassVar[str] = "style_transfer"
    apart: ClassVar[frozenset[str]] = frozenset({"seconds", "tile_size"})

    columns: str = setting("balance", "Name of the setting that differs from picture to picture.")
    column_values: tuple[float, ...] = setting((0.05, 0.15, 0.4), "Its values.")


def resolve(config: SweepConfig, backbone: Any) -> SweepConfig:
    """The config as it will run on this backbone, as the engine of its cells says.

    Raises:
        ValueError: the two do not fit, in whichever cell.
    """
    resolve_cell = loaded(f"{ENGINES[config.engine].module}:resolve")
    resolved = [resolve_cell(config.cell(index), backbone) for index in range(config.cells)]
    return config.following(resolved[0])


def sweep(config: SweepConfig, backbone: Any, **inputs: Any) -> Frames[SweepConfig]:
    """Run an engine once for each cell, yielding the sheet as it fills.

    Args:
        config: what is swept; `send` another with other `settings` to steer the cell at work and all after it. What
            the engine has chosen itself stays as it is.
        backbone, inputs: as the engine takes them.

    Yields:
        A frame for each of a cell's, with its metrics; the last of each cell is a keyframe and a seam. `config` is set
        where it is another than what was asked for and sent: the cell's engine has chosen settings itself.

    Raises:
        ValueError: what the engine raises.
    """
    run = loaded(ENGINES[config.engine].function)
    filling = Filling(resolve(config, backbone))
    for cell in range(config.cells):
        frames = run(config=filling.config.cell(cell), backbone=backbone, **inputs)
        sent, ended = None, False
        while not ended:
            frame = frames.send(sent)
            ended = frame.step >= frame.total
            changed = yield filling.laid(cell, frame)
            sent = None
            if changed is not None:
                filling.steer(changed)
                sent = filling.config.cell(cell)
        frames.close()


class Filling:
    """A sweep's sheet as it fills, and the settings that hold for its cells meanwhile, whoever works them.

    Attributes:
        config: in force: what was asked for and sent, with what the engine has chosen itself.
    """

    def __init__(self, config: SweepConfig):
        self.config = config
        self._told = config
        self._chosen = set[str]()
        self._sheet: ContactSheet | None = None
        self._done = 0

    def laid(self, cell: int, frame: Frame, steps: int = 1) -> Frame:
        """The sweep's frame, with a frame of a cell, which stands for so many of the cell's steps, laid into it."""
        assert frame.image is not None
        if self._sheet is None:
            self._sheet = _sheet(self.config, frame.image.shape[:2])
        self._sheet.put(cell, frame.image)
        self._done += steps
        if frame.config is not None:
            self._chosen |= _unlike(self.config.cell(cell), frame.config)
            self.config = self.config.following(frame.config)
        ended, cells = frame.step >= frame.total, self.config.cells
        unsaid = None if self.config == self._told else self.config
        self._told = self.config
        return Frame(
            step=self._done,
            total=self._done + frame.total - frame.step + frame.total * (cells - cell - 1),
            image=self._sheet.image,
            metrics=frame.metrics,
            note=joined([message("picture {number} of {count}", number=cell + 1, count=cells), frame.note]),
            progress=(cell + frame.progress) / cells,
            keyframe=ended,
            config=unsaid,
            seam=ended,
        )

    def steer(self, changed: SweepConfig) -> None:
        """Take up a changed config from the next step; what the engine has chosen itself stays as it is."""
        self._told = changed
        kept = {name: self.config.settings[name] for name in self._chosen}
        self.config = dataclasses.replace(self.config, settings={**changed.settings, **kept})


def _unlike(first: Any, second: Any) -> set[str]:
    """The names of the fields in which two configs differ."""
    return {
        field.name for field in dataclasses.fields(first) if getattr(first, field.name) != getattr(second, field.name)
    }


def _sheet(config: SweepConfig, shape: tuple[int, int]) -> ContactSheet:
    sides = [Heading(config.title(name), tuple(map(format_number, values))) for name, values in config.swept.items()]
    return ContactSheet(sides[0], sides[1] if config.rows else None, shape)
