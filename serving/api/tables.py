"""Tables as short paths take them: bodies typed from a path's declared columns, and the rows of features in them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, create_model

from mlops_platform.online_store.protocol import FeatureValue
from mlops_platform.use_case.short_paths import ColumnsPath, PathColumn, RowsPath
from serving.api.schemas import Schemas, as_whole_number, feature_type
from serving.problems import invalid

_DATA = "body.data"


class Table:
    """The body of one path, and how it is read."""

    def __init__(self, path: RowsPath | ColumnsPath, schemas: Schemas) -> None:
        self._path = path
        self._features = {feature.name: feature for feature in schemas.use_case.features}
        self._limit = schemas.batch_limit
        self.title = title = f"{schemas.title}{''.join(part.capitalize() for part in path.path[1:].split('_'))}"
        data: Any = self._list_of_rows() if isinstance(path, RowsPath) else self._lists_by_name(f"{title}Columns")
        self.request: type[BaseModel] = create_model(
            f"{title}Request",
            __config__=ConfigDict(extra="forbid", json_schema_extra={"examples": [{"data": self._example()}]}),
            data=(data, ...),
        )

    def rows(self, body: BaseModel) -> list[dict[str, FeatureValue]]:
        """The rows of features of a validated body, in order.

        Raises:
            Problem: 422, columns are of different lengths or contradict one another.
        """
        data: Any = body.data  # type: ignore[attr-defined]
        named = self._named_rows(data) if isinstance(self._path, RowsPath) else _transposed(data)
        return [self._features_of(row, f"{_DATA}.{at}") for at, row in enumerate(named)]

    def _list_of_rows(self) -> Any:
        kinds = tuple(self._type(column) for column in self._path.columns)
        return self._several(tuple[kinds])  # type: ignore[valid-type]

    def _several(self, kind: Any) -> Any:
        return Annotated[list[kind], Field(min_length=1, max_length=self._limit)]

    def _lists_by_name(self, title: str) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for at, column in enumerate(self._path.columns):
            default = None if column.feature is None else ...
            # a field's own name: a column's may be none that a model takes
            fields[f"column_{at}"] = (self._several(self._type(column)), Field(default, alias=column.name))
        return create_model(title, __config__=ConfigDict(extra="forbid"), **fields)

    def _type(self, column: PathColumn) -> Any:
        if column.feature is None:
            return Annotated[Any, Field(title=column.name, description="ignored")]
        if column.value is None:
            return Annotated[feature_type(self._features[column.feature], ranges=True), Field(title=column.name)]
        described = Field(title=column.name, description=f"1 where {column.feature} is {column.value}, else 0")
        return Annotated[Literal[0, 1] | StrictBool, BeforeValidator(as_whole_number), described]

    def _example(self) -> Any:
        values = {column.name: self._example_of(column) for column in self._path.columns}
        if isinstance(self._path, RowsPath):
            return [list(values.values())]
        return {column.name: [values[column.name]] for column in self._path.columns if column.feature is not None}

    def _example_of(self, column: PathColumn) -> FeatureValue:
        if column.feature is None:
            return None
        example = self._features[column.feature].example
        return example if column.value is None else int(column.value == example)

    def _named_rows(self, data: list[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
        names = [column.name for column in self._path.columns]
        return (dict(zip(names, values, strict=True)) for values in data)

    def _features_of(self, row: Mapping[str, Any], place: str) -> dict[str, FeatureValue]:
        """A feature that no column gives is null."""
        found: dict[str, FeatureValue] = dict.fromkeys(self._features)
        for column in self._path.columns:
            if column.feature is not None and column.value is None:
                found[column.feature] = row[column.name]
        for name, columns in self._path.one_hot.items():
            found[name] = self._value_of(name, columns, row, place)
        return found

    def _value_of(
        self, feature: str, columns: tuple[PathColumn, ...], row: Mapping[str, Any], place: str
    ) -> FeatureValue:
        ones = [column for column in columns if row[column.name]]
        if len(ones) > 1:
            raise _contradiction(place, f"{', '.join(one.name for one in ones)} are 1: {feature} has one value")
        if not ones and not self._features[feature].nullable:
            raise _contradiction(
                place, f"one of {', '.join(column.name for column in columns)} is to be 1: {feature} cannot be null"
            )
        return ones[0].value if ones else None


def _transposed(data: BaseModel) -> Iterator[dict[str, Any]]:
    columns = data.model_dump(by_alias=True, exclude_unset=True)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise _contradiction(_DATA, f"expected columns of one length, found {found}")
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _contradiction(place: str, message: str) -> Exception:
    return invalid(f"{place}: {message}", [{"field": place, "message": message}])
