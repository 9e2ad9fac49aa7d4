"""What a transform has to be: each property that one breaks is found, with the fewest rows that show it."""

import datetime as dt
import random
from typing import Any

import pyarrow as pa
import pytest

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.transform.check import Finding, check
from mlops_platform.transform.compiled import Transform
from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Split, UseCase
from tests.mlops_platform.transform.compiling import IMPORTS, compiled

TODAY = dt.date(2021, 1, 1)
THROWS = UseCase(
    name="throws",
    title="Throws",
    description="Is a throw heads?",
    owner="nobody@example.com",
    row_key="throw",
    entity_key="coin",
    event_time="day",
    raw=(
        RawColumn(name="throw", type="long", meaning="the throw", minimum=0),
        RawColumn(name="coin", type="string", meaning="the coin"),
        RawColumn(name="day", type="date", meaning="the day"),
        RawColumn(name="height", type="double", meaning="metres", nullable=True, minimum=0, maximum=9),
        RawColumn(name="heads", type="int", meaning="1 for heads", minimum=0, maximum=1),
    ),
    features=(Feature(name="f", type="double", nullable=True, maximum=1000, meaning="tried", example=1.0),),
    label=Label(name="heads", meaning="heads", positive="heads", negative="tails"),
    split=Split(by="time", holdout_fraction=0.2),
    candidates=(Candidate(family="logistic_regression"),),
    primary_metric="roc_auc",
    gate=QualityGate(),
)
DRAWS = random.Random(7)
ROWS: list[dict[str, Any]] = [
    {
        "throw": throw,
        "coin": "abc"[throw % 3],
        "day": dt.date(2020, 1, 1) + dt.timedelta(throw // 4),
        "height": DRAWS.uniform(0, 9),
        "heads": DRAWS.randint(0, 1),
    }
    for throw in range(40)
]
RAW = pa.Table.from_pylist(ROWS, pa.schema([(column.name, ARROW_TYPES[column.type]) for column in THROWS.raw]))
HEIGHT = 'return raw.select("throw", "coin", "day", F.col("height").alias("f"), "heads")'
OF_THE_COIN = 'Window.partitionBy("coin").orderBy("day", "throw")'


def findings(formula: str, rows: str = "raw") -> list[Finding]:
    source = (
        f"{IMPORTS}def compute(raw, run_date):\n"
        f'    return {rows}.select("throw", "coin", "day", ({formula}).cast("double").alias("f"), "heads")\n'
    )
    return check(compiled(Transform.of(THROWS, {"features.py": source})), THROWS, RAW, TODAY)


def test_a_sound_transform_has_no_findings() -> None:
    assert findings(f'F.sum("height").over({OF_THE_COIN}.rowsBetween(Window.unboundedPreceding, -1))') == []


@pytest.mark.parametrize(
    ("formula", "what", "rows"),
    [
        ('F.row_number().over(Window.partitionBy("coin").orderBy("day"))', "f depends on the order of the rows", 2),
        ('F.max("height").over(Window.partitionBy())', "f depends on rows of another coin", 2),
        ('F.max("height").over(Window.partitionBy("coin"))', "f of an earlier row depends on a later one", 2),
        (f'F.lead("height").over({OF_THE_COIN})', "f of an earlier row depends on a later one", 2),
        ('F.col("height") * 1000', "f is {}, above the maximum 1000", 1),
        ('F.col("heads") * F.col("height")', "f reads the label", 1),
    ],
)
def test_a_property_that_is_broken_is_shown_with_the_fewest_rows(formula: str, what: str, rows: int) -> None:
    found = findings(formula)[0]

    assert found.what.startswith(what.format(found.result))
    assert (found.act, found.feature, len(found.rows)) == ("fail", "f", rows)
    assert found.result != found.expected


def test_a_key_and_what_gives_the_label_away_are_found() -> None:
    assert [finding.what for finding in findings('F.col("throw")')] == ["f is the key throw"]
    later = [row | {"height": 1.0 + row["heads"]} for row in ROWS]
    one = compiled(Transform.of(THROWS, {"features.py": f"{IMPORTS}def compute(raw, run_date):\n    {HEIGHT}\n"}))
    assert [
        (found.act, found.what) for found in check(one, THROWS, pa.Table.from_pylist(later, RAW.schema), TODAY)
    ] == [("fail", "f alone separates the classes perfectly")]


def test_a_key_that_gives_the_label_away_is_a_warning() -> None:
    one = compiled(Transform.of(THROWS, {"features.py": f"{IMPORTS}def compute(raw, run_date):\n    {HEIGHT}\n"}))
    ordered = [row | {"heads": int(row["throw"] >= 20)} for row in ROWS]

    assert [
        (found.act, found.what) for found in check(one, THROWS, pa.Table.from_pylist(ordered, RAW.schema), TODAY)
    ] == [("warn", "throw, a key, gives the label away (AUC 1.0000)")]


def test_rows_that_are_lost_are_found_first() -> None:
    (found,) = findings('F.col("height")', rows='raw.where("height > 3")')

    assert found.what == "1 raw rows become 0 rows of features"
    assert (found.result, found.expected, len(found.rows)) == (0, 1, 1)
