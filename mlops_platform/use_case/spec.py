"""What a use case declares: one frozen spec from which every schema, check, table and API model is derived.

Nothing here computes anything. Formulas are PySpark functions in ``use_cases/<use_case>/features.py``; estimators are
in ``use_cases/<use_case>/model.py``.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from mlops_platform.use_case.short_paths import ShortPath, check_short_paths
from mlops_platform.use_case.task import METRICS, Metric, Task

ColumnType = Literal["int", "long", "double", "string", "date", "boolean", "timestamp"]
"""The types a column can have, in the lake, in Hive and in the API."""

HIVE_TYPES: dict[ColumnType, str] = {
    "int": "INT",
    "long": "BIGINT",
    "double": "DOUBLE",
    "string": "STRING",
    "date": "DATE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}
"""The Hive (and Spark SQL) name of each type."""

LATEST, PARTITION = "is_latest", "snapshot"
"""The columns that the platform adds to each row of features: whether it is its entity's latest, and its snapshot."""

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
Identifier = Annotated[str, StringConstraints(pattern=f"^{IDENTIFIER.pattern}$")]
RawName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
LABEL_TYPES: dict[Task, ColumnType] = {"binary": "int", "multiclass": "string", "regression": "double"}
"""The type of the label's column in a row of features."""


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RawColumn(_Spec):
    """One column of the file that arrives, and what is expected of each of its values.

    A row that breaks an expectation is quarantined with the reason; ``nullable`` says if an empty field does.
    ``name`` is what it is called here, ``arrives_as`` its name in the file: ``""`` for a column without a name, None
    where it is the same.
    """

    name: RawName
    type: ColumnType
    meaning: str
    arrives_as: str | None = None
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def arriving_name(self) -> str:
        return self.name if self.arrives_as is None else self.arrives_as


class Source(_Spec):
    """One of the files that a dataset is made of, CSV or Parquet.

    ``lacks`` names the raw columns that it does not have: they are null in its rows. ``missing`` lists the texts that
    stand for an empty field in it, such as ``NA``. ``label`` is the label of all of its rows, where that is no raw
    column; None: its rows have none.
    """

    name: Identifier
    lacks: tuple[RawName, ...] = ()
    missing: tuple[str, ...] = ()
    label: int | float | str | None = None


class Rule(_Spec):
    """What must hold of a raw row: a condition of Spark SQL over the raw columns, typed, by their names here.

    A row of which it is false is quarantined with the rule's name. Where it is null, for want of a value, it holds, as
    a CHECK of SQL does.
    """

    name: Annotated[str, StringConstraints(pattern=r"^\S(.{0,98}\S)?$")]
    condition: Annotated[str, StringConstraints(min_length=1)]


class Feature(_Spec):
    """One input of the model: its type, its meaning for a reader, and the range its values must lie in.

    A model has an input for each value of a string. They are those ``allowed``; where none are named, as many as the
    training part has, and training refuses more than ``most_values``.
    """

    name: Identifier
    type: Literal["int", "double", "string"]
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    most_values: Annotated[int, Field(gt=0)] = 100
    example: float | int | str


class Label(_Spec):
    """What is predicted: of a raw column, or by the source that a row is from.

    Of the task ``binary`` it is 1 or 0, for which ``positive`` and ``negative`` are words; of ``multiclass`` one of
    ``classes``, whose order is that of all probabilities; of ``regression`` a number. Rows without a label are served,
    and no model learns from them or is judged by them.
    """

    name: Identifier
    meaning: str
    positive: str | None = None
    negative: str | None = None
    classes: tuple[str, ...] = ()


class Split(_Spec):
    """How training and holdout are told apart.

    ``time``: the holdout is the last events. ``random``: a seeded draw. With ``entities_apart`` no entity has rows on
    both sides.
    """

    by: Literal["time", "random"]
    holdout_fraction: Annotated[float, Field(gt=0, lt=1)]
    entities_apart: bool = False


class Candidate(_Spec):
    """One model family to fit: the name of its builder in ``use_cases/<use_case>/model.py`` and its parameters."""

    family: Identifier
    parameters: dict[str, Any] = Field(default_factory=dict)


class QualityGate(_Spec):
    """The rules a candidate must pass on the holdout before it may become champion.

    ``minimum``/``maximum``: bounds by metric. ``gain_over_baseline``: least gain over a dummy, by metric.
    ``largest_loss_to_champion``: how much worse than the champion on the same holdout is tolerated, by metric, and than
    the best champion that ever was: losses do not add up.
    """

    minimum: dict[Metric, float] = Field(default_factory=dict)
    maximum: dict[Metric, float] = Field(default_factory=dict)
    gain_over_baseline: dict[Metric, float] = Field(default_factory=dict)
    largest_loss_to_champion: dict[Metric, float] = Field(default_factory=dict)


_TYPES_OF_KEYS: dict[str, tuple[ColumnType, ...]] = {
    "row_key": ("int", "long", "string", "date", "timestamp"),
    "entity_key": ("int", "long", "string"),
    "event_time": ("date", "timestamp"),
}


class UseCase(_Spec):
    """Everything the platform knows of a use case.

    ``row_key`` names the column that identifies one raw row (and one row of features); ``entity_key`` the column that a
    caller asks by. The latest row of an entity is the one with the greatest ``event_time`` and, on a tie, the greatest
    ``row_key``. ``rules`` are what is expected of several raw columns at once. With ``folds`` a model's report has a
    cross-validation of the training part beside the holdout's figures.
    """

    name: Identifier
    title: str
    description: str
    owner: str
    raw: tuple[RawColumn, ...]
    sources: Annotated[tuple[Source, ...], Field(min_length=1)] = (Source(name="data"),)
    rules: tuple[Rule, ...] = ()
    row_key: RawName
    entity_key: RawName
    event_time: RawName | None = None
    features: tuple[Feature, ...]
    task: Task = "binary"
    label: Label
    split: Split
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    candidates: tuple[Candidate, ...]
    primary_metric: Metric
    gate: QualityGate
    short_paths: tuple[ShortPath, ...] = ()
    quarantine_limit: Annotated[float, Field(ge=0, le=1)] = 0.05
    seed: int = 20190101
    schedule: str | None = "@daily"
    stale_after_days: Annotated[int, Field(gt=0)] = 7

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        _refuse_repeated("raw column", (column.name for column in self.raw))
        _refuse_repeated("name in the file", (column.arriving_name for column in self.raw), knows_case=True)
        _refuse_repeated("feature", self.feature_names)
        _refuse_repeated("source", (source.name for source in self.sources))
        _refuse_repeated("rule", (rule.name for rule in self.rules))
        identity = {self.label.name, *self.keys}
        seen = sorted(name for name in self.feature_names if name in {key.lower() for key in identity})
        if seen:
            raise ValueError(f"a model must not see {', '.join(seen)}: it is a key or the label")
        reserved = sorted(name for name in {*identity, *self.feature_names} if name.lower() in (LATEST, PARTITION))
        if reserved:
            raise ValueError(
                f"{', '.join(reserved)}: the platform has a column of this name in each row of features; give another"
            )
        return self

    @model_validator(mode="after")
    def _keys_are_raw_columns(self) -> Self:
        for role, name in (("row_key", self.row_key), ("entity_key", self.entity_key), ("event_time", self.event_time)):
            if name is None:
                continue
            if name not in self.raw_columns:
                raise ValueError(f"{role} {name!r} is no raw column; raw columns are {', '.join(self.raw_columns)}")
            kind, taken = self.raw_column(name).type, _TYPES_OF_KEYS[role]
            if kind not in taken:
                raise ValueError(f"{role} {name!r} is a {kind}; it has to be one of {', '.join(taken)}")
        if self.split.by == "time" and self.event_time is None:
            raise ValueError("a split by time needs an event_time")
        if self.split.by == "time" and self.folds is not None:
            raise ValueError(
                "a cross-validation learns from later events than it judges by: a split by time has no folds"
            )
        check_short_paths(self.short_paths, self.features)
        return self

    @model_validator(mode="after")
    def _sources_fit_the_columns(self) -> Self:
        for source in self.sources:
            for name in source.lacks:
                if name not in self.raw_columns:
                    raise ValueError(f"source {source.name} lacks {name!r}, which is no raw column")
                if name in self.keys:
                    raise ValueError(f"source {source.name} cannot lack {name}: every row needs its keys")
                if not self.raw_column(name).nullable:
                    raise ValueError(f"source {source.name} lacks {name}: declare it nullable")
        return self

    @model_validator(mode="after")
    def _rows_can_have_a_label(self) -> Self:
        of_sources = [source for source in self.sources if source.label is not None]
        if self.label_is_the_sources:
            if not of_sources:
                raise ValueError(
                    f"label {self.label.name!r} is no raw column, and no source has it as a constant; raw columns are "
                    f"{', '.join(self.raw_columns)}"
                )
            for source in of_sources:
                if not self._is_a_label(source.label):
                    raise ValueError(f"source {source.name} has the label {source.label!r}; {self._labels_in_words}")
        elif of_sources:
            raise ValueError(
                f"label {self.label.name!r} is a raw column, and source {of_sources[0].name} has a label; keep one"
            )
        elif self.task == "binary" and self.raw_column(self.label.name).type not in ("int", "long", "boolean"):
            raise ValueError(
                f"label {self.label.name!r} is a {self.raw_column(self.label.name).type} without classes; it has to be "
                "a column of the whole numbers 0 and 1, or a boolean"
            )
        return self

    def _is_a_label(self, constant: float | str | None) -> bool:
        if self.task == "regression":
            return isinstance(constant, int | float)
        return constant in (self.label.classes if self.task == "multiclass" else (0, 1))

    @property
    def _labels_in_words(self) -> str:
        if self.task == "regression":
            return "a label is a number"
        return f"the classes are {', '.join(self.label.classes) if self.task == 'multiclass' else '0 and 1'}"

    @model_validator(mode="after")
    def _label_is_of_the_task(self) -> Self:
        label, named = self.label, [name for name in ("positive", "negative") if getattr(self.label, name) is not None]
        if self.task == "binary" and (len(named) < 2 or label.classes):  # noqa: PLR2004 - the two of them
            raise ValueError(f"the label {label.name} of a binary task needs positive and negative, and no classes")
        if self.task == "multiclass" and (named or len(set(label.classes)) < max(2, len(label.classes))):
            raise ValueError(
                f"the label {label.name} of a multiclass task needs two different classes or more, "
                "and neither positive nor negative"
            )
        if self.task == "regression" and (named or label.classes):
            raise ValueError(
                f"the label {label.name} of a regression is a number: it has {', '.join(named) or 'classes'}"
            )
        return self

    @model_validator(mode="after")
    def _metrics_are_of_the_task(self) -> Self:
        rules = (self.gate.minimum, self.gate.maximum, self.gate.gain_over_baseline, self.gate.largest_loss_to_champion)
        named = dict.fromkeys((self.primary_metric, *(metric for rule in rules for metric in rule)))
        foreign = [metric for metric in named if metric not in METRICS[self.task]]
        if foreign:
            raise ValueError(
                f"{', '.join(foreign)} cannot be measured of a {self.task} task; "
                f"its metrics are {', '.join(METRICS[self.task])}"
            )
        return self

    @property
    def raw_columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.raw)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The model's inputs, in their order everywhere."""
        return tuple(feature.name for feature in self.features)

    @property
    def keys(self) -> tuple[str, ...]:
        """The raw columns that tell what a row is of: its own key, the entity's, the event's time if there is one."""
        return tuple(dict.fromkeys(key for key in (self.row_key, self.entity_key, self.event_time) if key is not None))

    def raw_column(self, name: str) -> RawColumn:
        return next(column for column in self.raw if column.name == name)

    def columns_of(self, source: Source) -> tuple[RawColumn, ...]:
        """The raw columns that the source's file has, in their order."""
        return tuple(column for column in self.raw if column.name not in source.lacks)

    def arriving_columns(self, source: Source) -> tuple[str, ...]:
        """The same by their names in the file: the header of a CSV."""
        return tuple(column.arriving_name for column in self.columns_of(source))

    @property
    def label_is_the_sources(self) -> bool:
        """Whether the source of a row says its label, and no raw column does."""
        return self.label.name not in self.raw_columns

    @property
    def raw_table(self) -> tuple[RawColumn, ...]:
        """Columns of one raw row as the transform takes it: those of the files, then the label where the source says
        it."""
        if not self.label_is_the_sources:
            return self.raw
        kind = LABEL_TYPES[self.task]
        return (*self.raw, RawColumn(name=self.label.name, type=kind, meaning=self.label.meaning, nullable=True))

    @property
    def computed_table(self) -> tuple[tuple[str, ColumnType], ...]:
        """Columns of one row that the transform returns (grain: one raw row), in order: keys, features, label."""
        columns: list[tuple[str, ColumnType]] = [(key, self.raw_column(key).type) for key in self.keys]
        columns += [(feature.name, feature.type) for feature in self.features]
        return (*columns, (self.label.name, LABEL_TYPES[self.task]))

    @property
    def feature_table(self) -> tuple[tuple[str, ColumnType], ...]:
        """Columns of one row of features: what the transform returns, and whether the row is its entity's latest.

        Grain: one raw row. Without the partition column ``snapshot``.
        """
        return (*self.computed_table, (LATEST, "int"))

    @property
    def spec_hash(self) -> str:
        """Sha256 (64 hex digits) of the parts that a model depends on: features, task, label, keys and split.

        Words for a reader (meanings, examples, titles) are no such part.
        """
        parts = {
            "name": self.name,
            "keys": [(name, self.raw_column(name).type) for name in self.keys],
            "features": [
                feature.model_dump(exclude={"meaning", "example", "most_values"}) for feature in self.features
            ],
            "label": self.label.name,
            "split": [self.split.model_dump(), self.seed],
            # not said of binary ones, which is what all models of before are
            **({} if self.task == "binary" else {"task": [self.task, self.label.classes]}),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _refuse_repeated(kind: str, names: Iterable[str], *, knows_case: bool = False) -> None:
    """Hive and Spark know no case in a column's name."""
    every = list(names)
    folded = every if knows_case else [name.lower() for name in every]
    repeated = sorted({name for name, key in zip(every, folded, strict=True) if folded.count(key) > 1})
    if repeated:
        raise ValueError(f"{kind} declared twice: {', '.join(map(str, repeated))}")
