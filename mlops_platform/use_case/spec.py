"""What a use case declares: one frozen spec from which every schema, check, table and API model is derived.

Nothing here computes anything. Formulas are PySpark functions in ``use_cases/<use_case>/features.py``; estimators are
in ``use_cases/<use_case>/model.py``.
"""

import hashlib
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

ColumnType = Literal["int", "long", "double", "string", "date"]
"""The types a column can have, in the lake, in Hive and in the API."""

HIVE_TYPES: dict[ColumnType, str] = {
    "int": "INT",
    "long": "BIGINT",
    "double": "DOUBLE",
    "string": "STRING",
    "date": "DATE",
}
"""The Hive (and Spark SQL) name of each type."""

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
Identifier = Annotated[str, StringConstraints(pattern=f"^{IDENTIFIER.pattern}$")]
RawName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
Metric = Literal["roc_auc", "average_precision", "precision", "recall", "f1", "brier"]
"""Metrics of the holdout. For ``brier`` lower is better, for the others higher."""


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RawColumn(_Spec):
    """One column of the file that arrives, and what is expected of each of its values.

    A row that breaks an expectation is quarantined with the reason; ``nullable`` says if an empty field does.
    """

    name: RawName
    type: ColumnType
    meaning: str
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


class Feature(_Spec):
    """One input of the model: its type, its meaning for a reader, and the range its values must lie in."""

    name: Identifier
    type: Literal["int", "double", "string"]
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    example: float | int | str


class Label(_Spec):
    """What is predicted: a column of the raw data with the classes 0 and 1."""

    name: Identifier
    meaning: str
    positive: str
    negative: str


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


class UseCase(_Spec):
    """Everything the platform knows of a use case.

    ``row_key`` names the columns that identify one raw row (and one row of features); ``entity_key`` the column that a
    caller asks by. The latest row of an entity is the one with the greatest ``event_time`` and, on a tie, the greatest
    ``row_key``.
    """

    name: Identifier
    title: str
    description: str
    owner: str
    raw: tuple[RawColumn, ...]
    row_key: RawName
    entity_key: RawName
    event_time: RawName | None = None
    features: tuple[Feature, ...]
    label: Label
    split: Split
    candidates: tuple[Candidate, ...]
    primary_metric: Metric
    gate: QualityGate
    quarantine_limit: Annotated[float, Field(ge=0, le=1)] = 0.05
    seed: int = 20190101
    schedule: str | None = "@daily"
    stale_after_days: Annotated[int, Field(gt=0)] = 7

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        raw = [column.name for column in self.raw]
        features = [feature.name for feature in self.features]
        for kind, names in (("raw column", raw), ("feature", features)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{kind} declared twice: {', '.join(repeated)}")
        needed = {"row_key": self.row_key, "entity_key": self.entity_key, "label": self.label.name}
        if self.event_time is not None:
            needed["event_time"] = self.event_time
        for role, name in needed.items():
            if name not in raw:
                raise ValueError(f"{role} {name!r} is no raw column; raw columns are {', '.join(raw)}")
        identity = {self.row_key, self.entity_key, self.label.name} & set(features)
        if identity:
            raise ValueError(f"a model must not see {', '.join(sorted(identity))}: it is a key or the label")
        if self.split.by == "time" and self.event_time is None:
            raise ValueError("a split by time needs an event_time")
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

    @property
    def feature_table(self) -> tuple[tuple[str, ColumnType], ...]:
        """Columns of one row of features (grain: one raw row), in order, without the partition column ``snapshot``."""
        columns: list[tuple[str, ColumnType]] = [(key, self.raw_column(key).type) for key in self.keys]
        columns += [(feature.name, feature.type) for feature in self.features]
        columns.append((self.label.name, "int"))
        columns.append(("is_latest", "int"))
        return tuple(columns)

    @property
    def spec_hash(self) -> str:
        """Sha256 (64 hex digits) of the parts that a model depends on: features, label, keys and split.

        Words for a reader (meanings, examples, titles) are no such part.
        """
        parts = {
            "name": self.name,
            "keys": [(name, self.raw_column(name).type) for name in self.keys],
            "features": [feature.model_dump(exclude={"meaning", "example"}) for feature in self.features],
            "label": self.label.name,
            "split": [self.split.model_dump(), self.seed],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
