"""Where DuckDB and Spark differ: what is mended in the query's tree, and what is refused by its name.

docs/transforms.md lists it for those who write transforms.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb
from sqlframe.base.column import Column
from sqlframe.duckdb import DuckDBSession
from sqlframe.duckdb import functions as duckdb_functions
from sqlglot import exp, parse_one

MOST_DECIMALS = 15


class Refused(Exception):
    """Something that the two engines are known to do differently. ``name`` is what it is called in PySpark."""

    def __init__(self, name: str, what: str, remedy: str) -> None:
        super().__init__(what)
        self.name = name
        self.what = what
        self.remedy = remedy


class _Reason(NamedTuple):
    why: str
    remedy: str


_CHANCE = _Reason("gives another value each time", "take something of the row that is spread as evenly")
_CLOCK = _Reason("reads the clock", "use run_date: F.lit(run_date)")
_SKETCH = _Reason("is an estimate, and DuckDB has another one", "compute it exactly: F.percentile, F.count_distinct")
_HASH = _Reason("is another function in DuckDB", "use F.md5 or F.sha2")
_MONTHS = _Reason("rounds to eight digits in Spark alone", "count in days: F.datediff")

REFUSED: dict[str, tuple[str, _Reason]] = {
    "Rand": ("rand", _CHANCE),
    "Randn": ("randn", _CHANCE),
    "Uuid": ("uuid", _CHANCE),
    "TableSample": ("sample", _CHANCE),
    "CurrentDate": ("current_date", _CLOCK),
    "CurrentTimestamp": ("current_timestamp", _CLOCK),
    "Localtimestamp": ("localtimestamp", _CLOCK),
    "CurrentDatetime": ("now", _CLOCK),
    "ApproxQuantile": ("percentile_approx", _SKETCH),
    "ApproxDistinct": ("approx_count_distinct", _SKETCH),
    "HASH": ("hash", _HASH),
    "XXHASH64": ("xxhash64", _HASH),
    "MonthsBetween": ("months_between", _MONTHS),
}
"""By the class of the node, or the name of a function that has no class: what it is in PySpark, and the reason."""

_WHOLE_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FRACTIONS = ("FLOAT", "DOUBLE")


def replace_functions() -> None:
    """Put own functions in the place of those of sqlframe's whose loss of digits no tree tells any more.

    Both also take a column's name, which sqlframe's would take for a text.
    """
    duckdb_functions.log1p = _log1p
    duckdb_functions.expm1 = _expm1


def mend(query: exp.Select, connection: duckdb.DuckDBPyConnection, session: DuckDBSession) -> exp.Select:
    """The query, changed to what Spark would give.

    Args:
        connection: has the tables that the query reads.

    Raises:
        Refused: it has something that cannot be mended.
    """
    # a list, since what is mended is replaced
    for node in list(query.walk()):
        _refuse(node)
        _mend_order(node)
        _mend_literal(node)
        _mend_days(node)
    for step in _steps(query):
        # innermost first: what a cast casts may have casts within
        for node in reversed(list(step.find_all(exp.Cast, exp.TryCast, exp.Round, exp.Ln, exp.Log, exp.Sqrt))):
            if node.find_ancestor(exp.Select) is step:
                _mend_value(node, _Types(query, step, connection, session))
    return query


def text(query: exp.Expr, session: DuckDBSession) -> str:
    """The query in DuckDB's SQL."""
    # sqlglot alone does not know of this version's way to write a function of a list's elements
    return session._to_sql(query, pretty=True, quote_identifiers=True)


def with_plain_names(query: exp.Select) -> exp.Select:
    """The query with its steps numbered, and without those that only name columns, as of all that the raw table has.

    So that a raw column more is no other formula, unless the transform takes all that there are.
    """
    names: dict[str, str] = {}
    for step in list(query.ctes):
        if isinstance(step.this, exp.Select) and _only_names_columns(step.this):
            table = step.this.args["from_"].this.name
            names[step.alias] = names.get(table, table)
            step.pop()
        else:
            names[step.alias] = f"step_{len(names)}"
            step.set("alias", exp.TableAlias(this=exp.to_identifier(names[step.alias])))
    for table in query.find_all(exp.Table):
        if table.name in names:
            table.set("this", exp.to_identifier(names[table.name]))
    for column in query.find_all(exp.Column):
        if column.table in names:
            column.set("table", exp.to_identifier(names[column.table]))
    if not query.ctes:
        query.set("with_", None)
    return query


def _only_names_columns(step: exp.Select) -> bool:
    """Whether a step is ``SELECT a, b, c FROM table`` and nothing else."""
    given = {name for name, value in step.args.items() if value}
    plain = all(isinstance(column, exp.Column) for column in step.selects)
    return plain and given <= {"from_", "expressions"} and isinstance(step.args["from_"].this, exp.Table)


def _steps(query: exp.Select) -> Iterator[exp.Select]:
    """Each select, after those that it reads from."""
    for step in query.ctes:
        yield from step.this.find_all(exp.Select)
    yield query


class _Types:
    """Which type DuckDB gives an expression of a step: nobody knows better."""

    def __init__(
        self, query: exp.Select, step: exp.Select, connection: duckdb.DuckDBPyConnection, session: DuckDBSession
    ) -> None:
        self._query, self._step, self._connection, self._session = query, step, connection, session

    def of(self, node: exp.Expr) -> str | None:
        """Its name; None if the expression means nothing by itself."""
        own = self._step.find_ancestor(exp.CTE)
        earlier = list(itertools.takewhile(lambda step: step is not own, self._query.ctes))
        for clause in ((), ("group", "having")):
            probe = self._step.copy()
            for name in ("with_", "order", "limit", "distinct", *clause):
                probe.set(name, None)
            probe.set("expressions", [node.copy()])
            if earlier:
                probe.set("with_", exp.With(expressions=[step.copy() for step in earlier]))
            try:
                return str(self._connection.sql(text(probe, self._session)).types[0])
            except duckdb.Error:
                continue
        return None


def _refuse(node: exp.Expr) -> None:
    key = node.name.upper() if isinstance(node, exp.Anonymous) else type(node).__name__
    if key in REFUSED:
        name, reason = REFUSED[key]
        raise Refused(name, f"{name} {reason.why}", reason.remedy)


def _mend_order(node: exp.Expr) -> None:
    """Where nothing is said, nulls come first in Spark and last in DuckDB."""
    if isinstance(node, exp.Order):
        ordered = [
            one if isinstance(one, exp.Ordered) else exp.Ordered(this=one, desc=False, nulls_first=True)
            for one in node.expressions
        ]
        node.set("expressions", ordered)


def _mend_literal(node: exp.Expr) -> None:
    """A number with a point is a double in PySpark, and a decimal in DuckDB unless it has an exponent."""
    if isinstance(node, exp.Literal) and not node.is_string and "." in node.this and "e" not in node.this.lower():
        node.set("this", f"{node.this}e0")


def _mend_days(node: exp.Expr) -> None:
    """Days are added as a number: DuckDB takes intervals of 30 days and of a month for one, where a query has both."""
    if isinstance(node, exp.DateAdd | exp.DateSub | exp.TsOrDsAdd) and node.text("unit").upper() == "DAY":
        operator = exp.Sub if isinstance(node, exp.DateSub) else exp.Add
        day = exp.cast(node.this.copy(), exp.DType.DATE)
        node.replace(exp.paren(operator(this=day, expression=exp.paren(node.expression.copy()))))


def _mend_value(node: exp.Expr, types: _Types) -> None:
    value = node.this
    if isinstance(node, exp.Cast):
        _mend_cast(node, types)
    elif isinstance(node, exp.Round):
        if types.of(value) in _FRACTIONS:
            node.replace(_rounded(value, node.args.get("decimals")))
    elif isinstance(node, exp.Sqrt):
        node.replace(_sql("CASE WHEN :x < 0 THEN CAST('NaN' AS DOUBLE) ELSE SQRT(:x) END", x=value))
    else:  # null in Spark, an error in DuckDB
        of = node.expression if isinstance(node, exp.Log) and node.expression else value
        node.replace(
            exp.Case(ifs=[exp.If(this=exp.GT(this=of.copy(), expression=exp.Literal.number(0)), true=node.copy())])
        )


def _mend_cast(node: exp.Cast, types: _Types) -> None:
    to_whole = node.to.is_type(*exp.DataType.INTEGER_TYPES)
    if not to_whole and not node.to.is_type(*exp.DataType.TEXT_TYPES):
        return
    found = types.of(node.this)
    if found is None:
        raise Refused(
            "cast",
            f"what is cast in {node.sql(dialect='spark')} has no type that can be told",
            "compute it in a select of its own, and cast it in the next",
        )
    if not to_whole:
        if found in _FRACTIONS:
            raise Refused("cast", "a double has another text in DuckDB (1.0E10 is 10000000000.0)", "keep the number")
    elif found in _FRACTIONS or found.startswith("DECIMAL"):
        node.set("this", exp.Anonymous(this="TRUNC", expressions=[node.this.copy()]))
    elif found == "VARCHAR":
        # DuckDB takes 3.7, 1e3 and 0x1 for whole numbers too; what is none fails, or is null, as in Spark
        whole = _sql(
            "CASE WHEN :x IS NULL THEN NULL WHEN REGEXP_FULL_MATCH(TRIM(:x), '[+-]?[0-9]+') THEN TRIM(:x) ELSE '' END",
            x=node.this,
        )
        node.set("this", whole)


def _rounded(value: exp.Expr, decimals: exp.Expr | None) -> exp.Expr:
    """Rounded as Spark does: half up, by the digits that the double is written with, not by its binary value."""
    places = decimals.this if isinstance(decimals, exp.Literal) else "0" if decimals is None else ""
    if not places.isdigit() or int(places) > MOST_DECIMALS:
        raise Refused("round", "rounds to a number of digits that is not from 0 to 15", f"give 0 to {MOST_DECIMALS}")
    # what a decimal does not hold has no digits to round
    digits = f"TRY_CAST(CAST(:x AS VARCHAR) AS DECIMAL(38, {places}))"
    return _sql(f"COALESCE(CAST(CAST({digits} AS VARCHAR) AS DOUBLE), :x)", x=value)


def _log1p(col: Any) -> Column:
    """ln(1 + x), with all digits of a small x; null from -1 down."""
    x = Column.ensure_col(col).column_expression
    # by Kahan: what 1 + x loses of x, the quotient gives back
    return Column(
        _sql("CASE WHEN :x > -1 THEN CASE WHEN 1 + :x = 1 THEN :x ELSE LN(1 + :x) * (:x / ((1 + :x) - 1)) END END", x=x)
    )


def _expm1(col: Any) -> Column:
    """exp(x) - 1, with all digits of a small x."""
    x = Column.ensure_col(col).column_expression
    return Column(
        _sql(
            "CASE WHEN EXP(:x) = 1 THEN :x WHEN ABS(:x) > 0.5 THEN EXP(:x) - 1 "
            "ELSE (EXP(:x) - 1) * (:x / LN(EXP(:x))) END",
            x=x,
        )
    )


def _sql(template: str, x: exp.Expr) -> exp.Expr:
    """An expression of DuckDB's, with ``x`` for ``:x``."""
    tree = parse_one(template, dialect="duckdb")
    return exp.paren(exp.replace_placeholders(tree, x=x.copy()))
