"""Reading a raw CSV, and what may be wrong with one of its rows by the spec's expectations.

Every field is read as text: what is not of its type is then found with its reason, and a rejected row is kept as it
came. The rules by which a row is rejected:

=============================  =======================================================================
``row: not N fields``          the line has too few or too many fields
``c: missing``                 an empty field in a column that is not nullable
``c: no int`` (long, ...)      not of the column's type; a date is ``YYYY-MM-DD``, a number is finite
``c: not allowed``             none of the allowed values
``c: below minimum``           likewise ``above maximum``
``c: no id``                   an entity's id that nobody could ask for (mlops_platform/use_case/ids.py)
=============================  =======================================================================
"""

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from mlops_platform.lake.tables import text_literal
from mlops_platform.use_case.ids import CONTROL_CHARACTERS, LONGEST_ID_BYTES, ids_are_whole_numbers
from mlops_platform.use_case.spec import HIVE_TYPES, Feature, RawColumn, UseCase

MALFORMED = "_malformed"
_VALUE_PREFIX = "_value_of_"
DATE_LENGTH = len("2019-02-01")

Rule = tuple[str, str]
"""A reason, and the SQL condition under which it holds of a row. SQL, because a rule is then one string to Spark, and
not a dozen calls from Python into the JVM."""


def read_text(session: SparkSession, location: str, use_case: UseCase, *, multiline: bool = False) -> DataFrame:
    """The file's rows, every raw column as text, with the whole line in ``_malformed`` if its fields do not add up.

    A ``multiline`` file has fields with line breaks: it is read as one piece, by one task.
    """
    names = [*use_case.raw_columns, MALFORMED]
    schema = StructType([StructField(name, StringType()) for name in names])
    # columnPruning: fields are counted in every line, also where a query needs few of them
    reader = session.read.schema(schema).option("columnPruning", value=False).option("multiLine", value=multiline)
    return reader.csv(
        location, header=True, mode="PERMISSIVE", columnNameOfCorruptRecord=MALFORMED, quote='"', escape='"'
    )


def with_values(rows: DataFrame, use_case: UseCase) -> DataFrame:
    """The rows of text, and beside each column that is no text its value: null if the text is none of its type.

    The rules and the features both ask for these columns, so that each field is parsed once.
    """
    values = [f"{_parsed(column)} AS {_value(column)}" for column in use_case.raw if column.type != "string"]
    with_numbers = rows.selectExpr("*", *values)
    doubles = [_value(column) for column in use_case.raw if column.type == "double"]
    # in a step of its own: within one, to ask for a value twice is to parse it twice
    finite = {value.strip("`"): F.expr(f"IF({is_finite(value)}, {value}, NULL)") for value in doubles}
    return with_numbers.withColumns(finite)


def row_rules(use_case: UseCase) -> list[Rule]:
    """What may be wrong with a row of text and values, seen by itself."""
    rules: list[Rule] = [(f"row: not {len(use_case.raw)} fields", f"{MALFORMED} IS NOT NULL")]
    needed = {use_case.row_key, use_case.entity_key, use_case.event_time}
    for column in use_case.raw:
        text, value = f"`{column.name}`", _value(column)
        if column.name in needed or not column.nullable:
            # a line with too few fields says so once, not for every field that is not there
            rules.append((f"{column.name}: missing", f"{text} IS NULL AND {MALFORMED} IS NULL"))
        if column.type != "string":
            rules.append((f"{column.name}: no {column.type}", f"{text} IS NOT NULL AND {value} IS NULL"))
        rules += bounds(column, text, value)
    if not ids_are_whole_numbers(use_case):
        rules.append((f"{use_case.entity_key}: no id", _is_no_id(f"`{use_case.entity_key}`")))
    return rules


def bounds(column: RawColumn | Feature, text: str, value: str) -> list[Rule]:
    """What the spec says of a value: the values allowed, by their text, the least and the greatest."""
    rules: list[Rule] = []
    if column.allowed:
        allowed = ", ".join(text_literal(one) for one in column.allowed)
        rules.append((f"{column.name}: not allowed", f"{text} NOT IN ({allowed})"))
    if column.minimum is not None:
        rules.append((f"{column.name}: below minimum", f"{value} < {column.minimum!r}D"))
    if column.maximum is not None:
        rules.append((f"{column.name}: above maximum", f"{value} > {column.maximum!r}D"))
    return rules


def any_of(rules: list[Rule]) -> Column:
    """Whether any rule rejects the row; never null."""
    return F.expr(" OR ".join(f"coalesce({condition}, false)" for _, condition in rules) or "false")


def reasons(rules: list[Rule]) -> Column:
    """Every reason for which the row is rejected, as an array; empty for a good row."""
    each = ", ".join(f"IF({condition}, {text_literal(reason)}, NULL)" for reason, condition in rules)
    return F.expr(f"array_compact(cast(array({each}) AS array<string>))")


def typed(use_case: UseCase) -> list[str]:
    """The raw columns with the types of the spec, out of the columns of text and values, for ``selectExpr``."""
    return [f"{_value(column)} AS `{column.name}`" for column in use_case.raw]


def row_key(use_case: UseCase) -> str:
    """The value of the row key: 7 and 07 are one."""
    return _value(use_case.raw_column(use_case.row_key))


def is_finite(value: str) -> str:
    """Whether a double is a number: neither infinite nor NaN."""
    # NaN is greater than infinity in Spark's order
    return f"abs({value}) < double('infinity')"


def _is_no_id(text: str) -> str:
    return f"octet_length({text}) > {LONGEST_ID_BYTES} OR {text} RLIKE {text_literal(CONTROL_CHARACTERS)}"


def _value(column: RawColumn) -> str:
    """The column that holds the value: of text, the text itself."""
    return f"`{column.name}`" if column.type == "string" else f"`{_VALUE_PREFIX}{column.name}`"


def _parsed(column: RawColumn) -> str:
    text = f"`{column.name}`"
    parsed = f"try_cast({text} AS {HIVE_TYPES[column.type]})"
    if column.type == "date":
        # a cast alone would take 2019 for the first of January
        return f"IF(length({text}) = {DATE_LENGTH}, {parsed}, NULL)"
    return parsed
