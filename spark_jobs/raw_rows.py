"""Reading a raw dataset, and what may be wrong with one of its rows by the spec's expectations.

Every field is read as text: what is not of its type is then found with its reason, and a rejected row is kept as it
came. The rules by which a row is rejected:

=============================  =======================================================================
``row: not N fields``          the line has too few or too many fields
``c: missing``                 an empty field in a column that is not nullable
``c: no int`` (long, ...)      not of the column's type; a date is ``YYYY-MM-DD``, a timestamp that and, if it
                               has one, the time of day with or without an offset, a number is finite
``c: not allowed``             none of the allowed values
``c: below minimum``           likewise ``above maximum``
``c: no id``                   an entity's id that nobody could ask for (mlops_platform/use_case/ids.py)
the name of a rule             its condition in the spec is false
=============================  =======================================================================
"""

from collections.abc import Iterable
from functools import reduce

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DecimalType,
    DoubleType,
    FloatType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import PARQUET, DatasetManifest
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.tables import text_literal
from mlops_platform.use_case.find import file_of
from mlops_platform.use_case.ids import CONTROL_CHARACTERS, LONGEST_ID_BYTES, ids_are_whole_numbers
from mlops_platform.use_case.spec import HIVE_TYPES, Feature, RawColumn, Source, UseCase

MALFORMED = "_malformed"
_TEXT_PREFIX = "_text_of_"
DATE_LENGTH = len("2019-02-01")
TIMESTAMP = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.]\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?$"
"""A regular expression, for Java and DuckDB alike. Without an offset the time is UTC's; without a time, midnight."""

Rejection = tuple[str, str]
"""A reason to reject a row, and the SQL condition under which it holds. SQL, because that is one string to Spark, and
not a dozen calls from Python into the JVM."""


def read_dataset(session: SparkSession, lake: Lake, dataset: DatasetManifest, use_case: UseCase) -> DataFrame:
    """The rows of all sources, every column of ``UseCase.raw_table`` as text; null where a source lacks it.

    A line whose fields do not add up is whole in the further column ``_malformed``.
    """
    files = []
    for source, file, key in zip(use_case.sources, dataset.files, dataset.keys, strict=True):
        # a manifest of before it was looked for does not say: read as one piece, any file is read right
        if file.file_name.endswith(PARQUET):
            rows = parquet_as_text(session.read.parquet(lake.uri(key)), use_case, source)
        else:
            rows = read_text(session, lake.uri(key), use_case, source, multiline=file.multiline is not False)
        files.append(rows.select(*_common_columns(use_case, source), MALFORMED))
    return reduce(DataFrame.unionAll, files)


def read_text(
    session: SparkSession, location: str, use_case: UseCase, source: Source, *, multiline: bool = False
) -> DataFrame:
    """The rows of one source's CSV, each of its raw columns as text, and ``_malformed``.

    A ``multiline`` file has fields with line breaks: it is read as one piece, by one task.
    """
    names = [*(column.name for column in use_case.columns_of(source)), MALFORMED]
    schema = StructType([StructField(name, StringType()) for name in names])
    # columnPruning: fields are counted in every line, also where a query needs few of them
    reader = session.read.schema(schema).option("columnPruning", value=False).option("multiLine", value=multiline)
    return reader.csv(
        location, header=True, mode="PERMISSIVE", columnNameOfCorruptRecord=MALFORMED, quote='"', escape='"'
    )


def parquet_as_text(file: DataFrame, use_case: UseCase, source: Source) -> DataFrame:
    """The rows of one source's Parquet file as :func:`read_text` gives those of its CSV."""
    columns = {column.arriving_name: column for column in use_case.columns_of(source)}
    # a name that arrives may be of any characters, so columns are renamed by their places
    rows = file.toDF(*(columns[name].name for name in file.columns))
    texts = [_as_text(F.col(column.name), rows.schema[column.name], column) for column in columns.values()]
    return rows.select(*texts, F.lit(None).cast("string").alias(MALFORMED))


def _as_text(value: Column, field: StructField, column: RawColumn) -> Column:
    """What a CSV would have of the value, by what pandas makes of columns with gaps: 7.0 of 7, midnight of a day."""
    text = value.cast("string")
    if column.type in ("int", "long") and isinstance(field.dataType, FloatType | DoubleType | DecimalType):
        whole = value.try_cast("bigint")
        text = F.when(whole == value, whole.cast("string")).otherwise(text)
    if column.type == "date" and isinstance(field.dataType, TimestampType | TimestampNTZType):
        text = F.when(value == F.date_trunc("day", value), value.cast("date").cast("string")).otherwise(text)
    # an empty field of a CSV is null
    return F.nullif(text, F.lit("")).alias(column.name)


def _common_columns(use_case: UseCase, source: Source) -> list[Column]:
    """The columns of ``UseCase.raw_table``, out of those that the source has."""
    there = {column.name for column in use_case.columns_of(source)}
    columns = []
    for column in use_case.raw_table:
        if column.name in there:
            text = F.col(column.name)
            text = F.when(~text.isin(*source.missing), text) if source.missing else text
        else:
            label = source.label if column.name == use_case.label.name else None
            text = F.lit(label).cast(HIVE_TYPES[column.type]).cast("string")
        columns.append(text.alias(column.name))
    return columns


def with_values(rows: DataFrame, use_case: UseCase) -> DataFrame:
    """The rows of text as values: null where the text is none of its column's type. Beside each value stands its text.

    The rules and the features both ask for these columns, so that each field is parsed once.
    """
    columns = [MALFORMED]
    for column in use_case.raw_table:
        columns.append(f"`{column.name}`" if column.type == "string" else f"{_parsed(column)} AS `{column.name}`")
        columns += [f"`{column.name}` AS {_text(column)}"] if column.type != "string" else []
    values = rows.selectExpr(*columns)
    doubles = [column.name for column in use_case.raw_table if column.type == "double"]
    # in a step of its own: within one, to ask for a value twice is to parse it twice
    finite = {name: F.expr(f"IF({is_finite(f'`{name}`')}, `{name}`, NULL)") for name in doubles}
    return values.withColumns(finite)


def row_rules(use_case: UseCase) -> list[Rejection]:
    """What may be wrong with a row of text and values, seen by itself."""
    fields = sorted({len(use_case.columns_of(source)) for source in use_case.sources})
    rules: list[Rejection] = [(f"row: not {' or '.join(map(str, fields))} fields", f"{MALFORMED} IS NOT NULL")]
    needed = {use_case.row_key, use_case.entity_key, use_case.event_time}
    for column in use_case.raw_table:
        text, value = _text(column), f"`{column.name}`"
        if column.name in needed or not column.nullable:
            # a line with too few fields says so once, not for every field that is not there
            rules.append((f"{column.name}: missing", f"{text} IS NULL AND {MALFORMED} IS NULL"))
        if column.type != "string":
            rules.append((f"{column.name}: no {column.type}", f"{text} IS NOT NULL AND {value} IS NULL"))
        rules += bounds(column, text, value)
    if not ids_are_whole_numbers(use_case):
        rules.append((f"{use_case.entity_key}: no id", _is_no_id(f"`{use_case.entity_key}`")))
    # on a line of its own, since a condition may end with a comment
    rules += [(rule.name, f"NOT (\n{rule.condition}\n)") for rule in use_case.rules]
    return rules


def check_rules(use_case: UseCase, rows: DataFrame) -> None:
    """Have Spark read the spec's rules, each by itself, over rows of text. Nothing of the rows is looked at.

    Raises:
        PlatformError: a rule is no condition over the raw columns; says what Spark makes of it.
    """
    if not use_case.rules:
        return
    typed = with_values(rows, use_case).select(*values(use_case))
    for rule in use_case.rules:
        try:
            typed.where(F.expr(rule.condition))
        except PySparkException as error:
            reason = (error.getMessage() or str(error)).strip().splitlines()[0]
            raise PlatformError(
                f"the rule {rule.name!r} of {use_case.name} is no condition over its raw columns: {reason}",
                remedy=f"correct it in {file_of(use_case.name, 'spec')}",
            ) from None


def bounds(column: RawColumn | Feature, text: str, value: str) -> list[Rejection]:
    """What the spec says of a value: the values allowed, by their text, the least and the greatest."""
    rules: list[Rejection] = []
    if column.allowed:
        allowed = ", ".join(text_literal(one) for one in column.allowed)
        rules.append((f"{column.name}: not allowed", f"{text} NOT IN ({allowed})"))
    if column.minimum is not None:
        rules.append((f"{column.name}: below minimum", f"{value} < {column.minimum!r}D"))
    if column.maximum is not None:
        rules.append((f"{column.name}: above maximum", f"{value} > {column.maximum!r}D"))
    return rules


def any_of(rules: list[Rejection]) -> Column:
    """Whether any rule rejects the row; never null."""
    return F.expr(" OR ".join(f"coalesce({condition}, false)" for _, condition in rules) or "false")


def reasons(rules: list[Rejection]) -> Column:
    """Every reason for which the row is rejected, as an array; empty for a good row."""
    each = ", ".join(f"IF({condition}, {text_literal(reason)}, NULL)" for reason, condition in rules)
    return F.expr(f"array_compact(cast(array({each}) AS array<string>))")


def values(use_case: UseCase) -> list[Column]:
    """The raw columns with the types of the spec, out of :func:`with_values`."""
    return [F.col(column.name) for column in use_case.raw_table]


def texts(use_case: UseCase) -> list[Column]:
    """The raw columns as they came, out of :func:`with_values`."""
    return [F.col(_text(column)).alias(column.name) for column in use_case.raw_table]


def is_one_of(column: RawColumn, values: Iterable[object]) -> str:
    """The SQL condition that a row of text has one of these values, numbers or texts, in the column."""
    found = f"`{column.name}`" if column.type == "string" else _parsed(column)
    listed = ", ".join(text_literal(value) if isinstance(value, str) else str(value) for value in values)
    return f"{found} IN ({listed})"


def is_finite(value: str) -> str:
    """Whether a double is a number: neither infinite nor NaN."""
    # NaN is greater than infinity in Spark's order
    return f"abs({value}) < double('infinity')"


def _is_no_id(text: str) -> str:
    return f"octet_length({text}) > {LONGEST_ID_BYTES} OR {text} RLIKE {text_literal(CONTROL_CHARACTERS)}"


def _text(column: RawColumn) -> str:
    """The column that holds the text as it came: of a string, the value itself."""
    return f"`{column.name}`" if column.type == "string" else f"`{_TEXT_PREFIX}{column.name}`"


def _parsed(column: RawColumn) -> str:
    text = f"`{column.name}`"
    parsed = f"try_cast({text} AS {HIVE_TYPES[column.type]})"
    if column.type == "date":
        # a cast alone would take 2019 for the first of January
        return f"IF(length({text}) = {DATE_LENGTH}, {parsed}, NULL)"
    if column.type == "timestamp":
        # a cast alone would take 12:30 for half past twelve of the day on which it runs
        return f"IF({text} RLIKE {text_literal(TIMESTAMP)}, {parsed}, NULL)"
    return parsed
