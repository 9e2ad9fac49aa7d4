"""Short paths: addresses of a use case's own beside ``/v1/<use_case>``, each of one of a few shapes.

=========  =====================================================================================================
by_id      ``GET <path>/{id}`` and ``GET <path>/?<parameter>=<id>``: features or a prediction; ``?test`` says that
           the path is there. Where it predicts, ``POST <path>`` takes what ``POST /v1/<use_case>/predict`` does
rows       ``POST <path>`` with ``{"data": [[…], …]}``, values in the order of ``columns``: ``[1, …]``
columns    ``POST <path>`` with ``{"data": {"<column>": […], …}}``: ``{"prediction": 1}``, for several rows a list
health     ``GET <path>``: ``answer``, while there is a champion
=========  =====================================================================================================
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

if TYPE_CHECKING:
    from mlops_platform.use_case.spec import Feature

PLATFORM_SEGMENTS = frozenset(
    {"admin", "docs", "endpoints", "healthz", "invocations", "metrics", "openapi.json", "ping", "readyz", "redoc"}
    | {"v1", "v2"}
)
"""First segments of the prediction service's own paths, which no use case can claim."""
_OTHER_PARAMETERS = frozenset({"model", "source", "test"})
"""What else can stand in the query of a path that takes an id."""


class _Path(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, StringConstraints(pattern=r"^/[a-z][a-z0-9_]{0,62}$")]

    @model_validator(mode="after")
    def _is_free(self) -> Self:
        if self.path[1:] in PLATFORM_SEGMENTS:
            raise ValueError(f"the short path {self.path} is one of the service's own paths: choose another")
        return self


class PathColumn(BaseModel):
    """One column of a request, and what it says of a row.

    ``feature`` alone: the feature's value. With ``value``: 1 where the feature has this value, else 0; of the columns
    of one feature at most one is 1, and none stands for a null. No feature: the column is ignored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1)]
    feature: str | None = None
    value: int | str | None = None

    @model_validator(mode="after")
    def _value_is_of_a_feature(self) -> Self:
        if self.value is not None and self.feature is None:
            raise ValueError(f"the column {self.name} stands for the value {self.value!r} of no feature: name it")
        return self


class _TablePath(_Path):
    columns: Annotated[tuple[PathColumn, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        repeated = _repeated(column.name for column in self.columns)
        if repeated:
            raise ValueError(f"{self.path}: column declared twice: {', '.join(repeated)}")
        return self

    @property
    def one_hot(self) -> dict[str, tuple[PathColumn, ...]]:
        """By feature, the columns of which at most one is 1."""
        found: dict[str, tuple[PathColumn, ...]] = {}
        for column in self.columns:
            if column.feature is not None and column.value is not None:
                found[column.feature] = (*found.get(column.feature, ()), column)
        return found

    def check(self, features: "Sequence[Feature]") -> None:
        """See that a row of these columns is a row of features, and says each of them once.

        Raises:
            ValueError: it is not; names the path, the column and the feature.
        """
        known = {feature.name: feature for feature in features}
        for column in self.columns:
            if column.feature is not None:
                _check_column(self.path, column, known)
        plain = [column.feature for column in self.columns if column.feature is not None and column.value is None]
        repeated = _repeated([*plain, *self.one_hot])
        if repeated:
            raise ValueError(f"{self.path}: {', '.join(repeated)}: given twice by its columns")
        for name, columns in self.one_hot.items():
            values = _repeated(repr(column.value) for column in columns)
            if values:
                raise ValueError(f"{self.path}: several columns stand for {name} = {', '.join(values)}")
        lacking = sorted(
            name for name, feature in known.items() if not feature.nullable and name not in {*plain, *self.one_hot}
        )
        if lacking:
            raise ValueError(f"{self.path}: no column gives {', '.join(lacking)}, which cannot be null")


class ByIdPath(_Path):
    """The latest features of an id, or the prediction from them; ``parameter`` is what a query calls the id."""

    shape: Literal["by_id"] = "by_id"
    answers: Literal["features", "prediction"]
    parameter: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = "id"

    @model_validator(mode="after")
    def _parameter_is_the_only_one_of_its_name(self) -> Self:
        if self.parameter in _OTHER_PARAMETERS:
            raise ValueError(f"{self.path}: the parameter {self.parameter} means something else: choose another name")
        return self


class RowsPath(_TablePath):
    """Predictions for rows that are lists of values, in the order of ``columns``."""

    shape: Literal["rows"] = "rows"


class ColumnsPath(_TablePath):
    """Predictions for named columns of equal length. One that is ignored may be absent."""

    shape: Literal["columns"] = "columns"


class HealthPath(_Path):
    """That the use case has a model: ``answer``, to the letter."""

    shape: Literal["health"] = "health"
    answer: dict[str, str]


ShortPath = Annotated[ByIdPath | RowsPath | ColumnsPath | HealthPath, Field(discriminator="shape")]


def check_short_paths(paths: "Sequence[ShortPath]", features: "Sequence[Feature]") -> None:
    """See that one use case's short paths differ, and fit its features.

    Raises:
        ValueError: they do not.
    """
    repeated = _repeated(path.path for path in paths)
    if repeated:
        raise ValueError(f"short path declared twice: {', '.join(repeated)}")
    for path in paths:
        if isinstance(path, RowsPath | ColumnsPath):
            path.check(features)


def _check_column(path: str, column: PathColumn, known: "Mapping[str, Feature]") -> None:
    feature = known.get(column.feature or "")
    if feature is None:
        raise ValueError(f"{path}: the column {column.name} gives {column.feature}, which is no feature")
    if column.value is None:
        return
    of_its_type = {"int": int, "string": str}.get(feature.type)
    if of_its_type is None or not isinstance(column.value, of_its_type):
        raise ValueError(f"{path}: the column {column.name}: {column.value!r} is no value of {feature.name}")
    too_low = isinstance(column.value, int) and feature.minimum is not None and column.value < feature.minimum
    too_high = isinstance(column.value, int) and feature.maximum is not None and column.value > feature.maximum
    if too_low or too_high or (feature.allowed and column.value not in feature.allowed):
        raise ValueError(f"{path}: the column {column.name}: {feature.name} is never {column.value!r}")


def _repeated(names: "Iterator[str] | Sequence[str]") -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)
