"""What a transform has to be, so that it can run over a whole history, for one entity, and for new rows alone.

Each property is looked for on given rows. What breaks it is a finding, with the fewest rows that were found to show it.
"""

import datetime as dt
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mlops_platform.transform.compiled import CompiledTransform
from mlops_platform.transform.proof import LARGEST_DIFFERENCE
from mlops_platform.transform.run import compute
from mlops_platform.use_case.spec import Feature, UseCase

Row = dict[str, Any]
MOST_TRIALS = 200
"""Runs of the transform, at most, to find fewer rows that show a finding."""
NEARLY_PERFECT = 0.98
"""The area under the curve from which a feature alone is suspicious."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with one feature or, if that is None, with all of them.

    ``rows`` are raw rows that show it, with the columns that matter.
    """

    act: Literal["fail", "warn"]
    what: str
    remedy: str
    feature: str | None = None
    rows: tuple[Row, ...] = ()
    result: object = None
    expected: object = None


def check(compiled: CompiledTransform, use_case: UseCase, raw: pa.Table, run_date: dt.date) -> list[Finding]:
    """Every finding on these raw rows, and on awkward ones made of them; none where the transform is sound.

    Raises:
        duckdb.Error: a formula fails on a value.
    """
    checks = _Checks(compiled, use_case, run_date)
    rows: list[Row] = raw.to_pylist()
    all_rows = [*rows, *awkward_rows(use_case, rows)]
    run = partial(checks.features, schema=raw.schema)
    findings = list(checks.rows_for_rows(all_rows, run))
    if findings:  # without a row for each row, the others say nothing
        return findings
    # a job rejects rows whose features are out of range: of those that are awkward nothing is expected there
    return [*checks.properties(all_rows, run), *checks.ranges(rows, run), *checks.leaks(rows, run)]


def awkward_rows(use_case: UseCase, rows: Sequence[Row]) -> list[Row]:
    """Rows as the spec allows them and nobody thinks of: ties, nulls, bounds, every value allowed, 29 February."""
    first, entity = rows[0], use_case.entity_key
    changes: list[Row] = [{}, {}]  # of the same entity and time as the first
    for column in use_case.raw:
        if column.name in use_case.keys:
            continue
        whole = column.type in ("int", "long")
        bounds = [bound for bound in (column.minimum, column.maximum) if bound is not None]
        values: list[Any] = (
            [int(bound) if whole else bound for bound in bounds] if whole or column.type == "double" else []
        )
        values += [None] * column.nullable
        values += column.allowed if column.type == "string" else ()
        values += [dt.date(2020, 2, 29)] * (column.type == "date")
        changes += [{column.name: value} for value in values]
    keys = _other_keys([row[use_case.row_key] for row in rows])
    made = [first | change | {use_case.row_key: next(keys)} for change in changes]
    return made if entity != use_case.row_key else [row | {entity: row[use_case.row_key]} for row in made]


def _other_keys(taken: Sequence[Any]) -> Iterator[Any]:
    for number in itertools.count(1):
        greatest = max(taken)
        yield (
            f"{greatest}~{number}"
            if isinstance(greatest, str)
            else greatest + (number if isinstance(greatest, int) else dt.timedelta(days=number))
        )


Run = Callable[[Sequence[Row]], dict[Any, list[Row]]]


class _Checks:
    def __init__(self, compiled: CompiledTransform, use_case: UseCase, run_date: dt.date) -> None:
        self._compiled, self._use_case, self._run_date = compiled, use_case, run_date
        self._key, self._entity = use_case.row_key, use_case.entity_key

    def features(self, rows: Sequence[Row], schema: pa.Schema) -> dict[Any, list[Row]]:
        """The rows of features by row key."""
        found: dict[Any, list[Row]] = {}
        for row in compute(self._compiled, pa.Table.from_pylist(list(rows), schema), self._run_date).to_pylist():
            found.setdefault(row[self._key], []).append(row)
        return found

    def rows_for_rows(self, rows: list[Row], run: Run) -> Iterator[Finding]:
        def broken(some: Sequence[Row]) -> bool:
            found = run(some)
            return {key: len(of_key) for key, of_key in found.items()} != {row[self._key]: 1 for row in some}

        if broken(rows):
            few = fewest(rows, broken)
            yield Finding(
                "fail",
                f"{len(few)} raw rows become {sum(map(len, run(few).values()))} rows of features",
                "return one row for each raw row, with its keys: no filter, distinct, explode or limit, no join that "
                "finds several rows or none",
                None,
                self._shown(few),
                sum(map(len, run(few).values())),
                len(few),
            )

    def properties(self, rows: list[Row], run: Run) -> Iterator[Finding]:
        yield from self._same(
            [rows],
            run,
            lambda some: list(reversed(some)),
            "depends on the order of the rows",
            "order windows by columns that leave no ties, such as the event time and then the row key",
        )
        yield from self._same(
            self._by_first_entity(rows),
            run,
            lambda some: [row for row in some if row[self._entity] == some[0][self._entity]],
            f"depends on rows of another {self._entity}",
            f'partition every window by "{self._entity}"',
        )
        time = self._use_case.event_time
        if time is not None:
            yield from self._same(
                [sorted(rows, key=lambda row: row[time])],
                run,
                # the first half by time, whole days: rows of one day may see one another
                lambda some: [row for row in some if row[time] <= some[(len(some) - 1) // 2][time]],
                "of an earlier row depends on a later one",
                f'end every window that is ordered by "{time}" at the current row or before it',
            )

    def _same(
        self, groups: Iterable[list[Row]], run: Run, of: Callable[[Sequence[Row]], list[Row]], what: str, remedy: str
    ) -> Iterator[Finding]:
        """A finding on the first group where the features of the rows that ``of`` gives are other ones without the
        rest."""

        def difference(some: Sequence[Row]) -> tuple[Any, str, Any, Any] | None:
            part = of(some) if some else []
            whole, alone = run(some), run(part) if part else {}
            for key, (row, *_) in sorted(alone.items()):
                for name in self._use_case.feature_names:
                    if not _equal(row[name], whole[key][0][name]):
                        return key, name, whole[key][0][name], row[name]
            return None

        for group in groups:
            if difference(group) is not None:
                few = fewest(group, lambda some: difference(some) is not None)
                key, name, found, expected = difference(few) or (None, "", None, None)
                told = f"{name} {what} ({self._key} {key})"
                yield Finding("fail", told, remedy, name, self._shown(few), found, expected)
                return

    def _by_first_entity(self, rows: list[Row]) -> Iterator[list[Row]]:
        """The rows, beginning with each of a few entities in turn."""
        for entity in list(dict.fromkeys(row[self._entity] for row in rows))[:10]:
            yield sorted(rows, key=lambda row: row[self._entity] != entity)

    def ranges(self, rows: list[Row], run: Run) -> Iterator[Finding]:
        by_key = {row[self._key]: row for row in rows}
        found = run(rows)
        for feature in self._use_case.features:
            for key, (row, *_) in sorted(found.items()):
                fault = _out_of_range(feature, row[feature.name])
                if fault:
                    remedy = f"correct the formula of {feature.name}, or what the spec says of it"
                    what = f"{feature.name} {fault} ({self._key} {key})"
                    yield Finding("fail", what, remedy, feature.name, self._shown([by_key[key]]), row[feature.name])
                    break

    def leaks(self, rows: list[Row], run: Run) -> Iterator[Finding]:
        label = self._use_case.label.name
        found = run(rows)
        flipped = run([row | {label: _another(row[label])} for row in rows])
        labels = {row[self._key]: row[label] for row in rows if row[label] is not None}
        raw = {row[self._key]: row for row in rows}
        for role in dict.fromkeys((self._key, self._entity)):
            area = _separation({key: row[role] for key, row in raw.items()}, labels)
            if area is not None and area >= NEARLY_PERFECT:
                what = f"{role}, a key, gives the label away (AUC {area:.4f})"
                yield Finding("warn", what, f"make no feature of {role}, nor of the order of the rows")
        for feature in self._use_case.features:
            values = {key: of_key[0][feature.name] for key, of_key in found.items()}
            reads = next(
                (key for key in sorted(values) if not _equal(values[key], flipped[key][0][feature.name])), None
            )
            if reads is not None:
                changed = flipped[reads][0][feature.name]
                what = f"{feature.name} reads the label ({self._key} {reads}: with the other label it is {changed!r})"
                remedy = f'compute {feature.name} without "{label}"'
                yield Finding("fail", what, remedy, feature.name, self._shown([raw[reads]]), values[reads], changed)
                continue
            yield from self._tells_too_much(feature, values, labels, raw)

    def _tells_too_much(
        self, feature: Feature, values: dict[Any, Any], labels: dict[Any, Any], raw: dict[Any, Row]
    ) -> Iterator[Finding]:
        for role in dict.fromkeys((self._key, self._entity)):
            if len(raw) > 1 and all(values[key] == row[role] for key, row in raw.items()):
                remedy = f"leave {feature.name} out of the features"
                yield Finding("fail", f"{feature.name} is the key {role}", remedy, feature.name)
                return
        area = _separation(values, labels)
        if area is not None and area >= NEARLY_PERFECT:
            act: Literal["fail", "warn"] = "fail" if area == 1.0 else "warn"
            how = "perfectly" if area == 1.0 else f"nearly perfectly (AUC {area:.4f})"
            yield Finding(
                act,
                f"{feature.name} alone separates the classes {how}",
                "see whether it was known before the outcome was, and leave it out if it was not",
                feature.name,
            )

    def _shown(self, rows: Sequence[Row]) -> tuple[Row, ...]:
        """Rows with the columns that the query mentions."""
        names = [name for name in rows[0] if f'"{name.lower()}"' in self._compiled.sql.lower()]
        return tuple({name: row[name] for name in names} for row in rows)


def fewest(rows: Sequence[Row], shows: Callable[[Sequence[Row]], bool]) -> list[Row]:
    """Fewer of the rows that still show it: by halves, quarters and so on, then one by one (Zeller's ddmin).

    >>> fewest([{"n": n} for n in range(100)], lambda some: {"n": 7} in some and {"n": 93} in some)
    [{'n': 7}, {'n': 93}]
    """
    kept, size, trials = list(rows), max(1, len(rows) // 2), 0
    while trials < MOST_TRIALS:
        before = len(kept)
        at = 0
        while at < len(kept) and trials < MOST_TRIALS:
            fewer = kept[:at] + kept[at + size :]
            trials += 1
            if fewer and shows(fewer):
                kept = fewer
            else:
                at += size
        if size == 1 and len(kept) == before:
            break
        size = max(1, size // 2)
    return kept


def separation(values: Sequence[float], labels: Sequence[bool]) -> float | None:
    """The area under the ROC curve of the better direction; None where there are not two classes.

    >>> separation([1.0, 2.0, 3.0, 3.0], [False, False, True, True])
    1.0
    >>> separation([1.0, 1.0], [False, True])
    0.5
    """
    positives = sum(labels)
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    above = float(ranks[np.asarray(labels)].sum()) - positives * (positives + 1) / 2
    area = above / (positives * negatives)
    return max(area, 1 - area)


def _separation(values: dict[Any, Any], labels: dict[Any, Any]) -> float | None:
    """:func:`separation`, by row key; None too where the values are no numbers, or the classes not two."""
    known = [key for key in labels if isinstance(values[key], int | float)]
    if not set(labels.values()) <= {0, 1}:
        return None
    return separation([float(values[key]) for key in known], [bool(labels[key]) for key in known])


def _another(label: Any) -> Any:
    if isinstance(label, str):
        return f"not {label}"
    return label if label is None else type(label)(1 - label)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or math.isclose(one, other, rel_tol=LARGEST_DIFFERENCE, abs_tol=0.0)
    return bool(one == other)


def _out_of_range(feature: Feature, value: Any) -> str:
    if value is None:
        return "" if feature.nullable else "is missing"
    if feature.allowed and str(value) not in feature.allowed:
        return f"is {value!r}, which is not allowed"
    if isinstance(value, float) and not np.isfinite(value):
        return f"is {value!r}, which is no finite number"
    if feature.minimum is not None and value < feature.minimum:
        return f"is {value!r}, below the minimum {feature.minimum:g}"
    if feature.maximum is not None and value > feature.maximum:
        return f"is {value!r}, above the maximum {feature.maximum:g}"
    return ""
