"""What a transform was compiled to, and out of what: kept with every snapshot that it computed."""

import hashlib

from pydantic import BaseModel, ConfigDict

from mlops_platform.use_case.spec import ColumnType, UseCase

RAW = "raw"
"""The table that the query reads: valid raw rows, with the names and types of the spec."""
RUN_DATE = "run_date"
"""The query's one parameter, where the transform asks for its date."""


class Transform(BaseModel):
    """What is compiled.

    Attributes:
        raw: names and types of the raw columns.
        columns: names and types of what has to come out, in order.
        sources: the text of the use case's Python files, by their path in its folder; of a compiled transform, of those
            alone that computing its features takes.
    """

    model_config = ConfigDict(frozen=True)

    use_case: str
    raw: tuple[tuple[str, ColumnType], ...]
    columns: tuple[tuple[str, ColumnType], ...]
    sources: dict[str, str]

    @classmethod
    def of(cls, use_case: UseCase, sources: dict[str, str]) -> "Transform":
        return cls(
            use_case=use_case.name,
            raw=tuple((column.name, column.type) for column in use_case.raw_table),
            columns=use_case.computed_table,
            sources=sources,
        )


class CompiledTransform(BaseModel):
    """One query for DuckDB, and all that it takes to compile it anew.

    ``compiler`` has the version of each part that has a say in the text: a transform that is compiled by the same ones
    twice gives the same text twice.
    """

    model_config = ConfigDict(frozen=True)

    sql: str
    compiler: dict[str, str]
    transform: Transform

    @property
    def fingerprint(self) -> str:
        """Sha256 (64 hex digits) of the query: a changed formula changes it, a changed comment does not."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def takes_run_date(self) -> bool:
        return f"${RUN_DATE}" in self.sql
