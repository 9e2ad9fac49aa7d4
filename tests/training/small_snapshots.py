"""Made-up rows of credit risk's feature table, as parquet, and quick jobs on them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.use_case.spec import UseCase
from training.job import TrainingJob, from_hyperparameters


def credit_risk_rows(use_case: UseCase, rows: int = 3000, *, random_labels: bool = False) -> pa.Table:
    """Rows of the feature table. The young with many loans tend to be positive, unless labels are random."""
    draw = np.random.default_rng(7)
    age = draw.integers(20, 70, rows)
    previous = draw.integers(0, 30, rows)
    chance = np.clip(0.02 + 0.3 * (age < 35) + 0.01 * previous, 0, 1)
    years, amount, car = draw.integers(0, 40, rows), draw.gamma(4, 32, rows), draw.integers(0, 2, rows)

    def with_nulls(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=draw.random(rows) < 0.1)

    columns = {
        "loan_id": pa.array(draw.permutation(rows)),
        "id": pa.array(5008804 + draw.integers(0, rows // 10 + 1, rows)),
        "loan_date": pa.array(17897 + draw.integers(0, 700, rows).astype(np.int32)),
        "age": pa.array(age),
        "years_on_the_job": with_nulls(years),
        "nb_previous_loans": pa.array(previous),
        "avg_amount_loans_previous": with_nulls(amount),
        "flag_own_car": with_nulls(car),
        "status": pa.array((draw.random(rows) < (0.2 if random_labels else chance)).astype(np.int32)),
        "is_latest": pa.array(np.zeros(rows, dtype=np.int32)),
    }
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in use_case.feature_table])
    return pa.table({name: columns[name].cast(schema.field(name).type) for name in schema.names}, schema=schema)


def write_parquet(folder: Path, table: pa.Table, files: int = 1) -> Path:
    folder.mkdir(parents=True)
    size = -(-table.num_rows // files)
    for number in range(files):
        pq.write_table(table.slice(number * size, size), folder / f"part-{number}.parquet")
    (folder / "_SUCCESS").touch()
    return folder


def a_job(run_id: str = "run-1", **hyperparameters: str) -> TrainingJob:
    """A quick job of credit risk: a forest of ten trees."""
    given = {
        "use_case": "credit_risk",
        "snapshot": "first",
        "run_id": run_id,
        "git_sha": "0" * 40,
        "random_forest.n_estimators": "10",
        **hyperparameters,
    }
    if "random_forest" not in given.get("families", "random_forest"):
        del given["random_forest.n_estimators"]
    return from_hyperparameters(given)
