from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.synthetic import generators, get_generator

FULL_SIZE = 777_715


@pytest.fixture(scope="module")
def loans() -> pyarrow.Table:
    return get_generator("credit_risk").generate(FULL_SIZE, 1)


def share(condition: pyarrow.ChunkedArray) -> float:
    return float(pc.mean(condition.cast("double")).as_py())


def test_the_columns_and_their_number_are_the_sources(loans: pyarrow.Table, credit_risk: UseCase) -> None:
    assert tuple(loans.column_names) == credit_risk.raw_columns
    assert loans.num_rows == FULL_SIZE
    assert pc.count_distinct(loans["id"]).as_py() == 36_457
    assert pc.count_distinct(loans["loan_id"]).as_py() == FULL_SIZE


def test_ids_and_dates_span_the_sources_range(loans: pyarrow.Table) -> None:
    assert pc.min(loans["id"]).as_py() == 5008804
    assert 5150400 < pc.max(loans["id"]).as_py() <= 5150487
    known = pc.is_in(pyarrow.array([5008804, 5137035, 5021985, 5008827]), pc.unique(loans["id"]))
    assert known.to_pylist() == [True] * 4
    days = loans["loan_date"].cast("string")
    assert [pc.min(days).as_py(), pc.max(days).as_py()] == ["2019-01-01", "2020-12-30"]
    born = loans["birthday"].cast("string")
    assert pc.min(born).as_py()[:7] >= "1952-11"
    assert pc.max(born).as_py()[:7] <= "2001-03"


def test_labels_jobs_and_amounts_have_the_sources_figures(loans: pyarrow.Table) -> None:
    assert share(pc.equal(loans["status"], 1)) == pytest.approx(0.0149, abs=0.0003)
    started = loans["job_start_date"].cast("string")
    assert share(pc.equal(started, "3021-09-18")) == pytest.approx(0.16, abs=0.01)
    late = pc.and_(pc.not_equal(started, "3021-09-18"), pc.greater(started, loans["loan_date"].cast("string")))
    assert 0 < share(late) < 0.01
    amounts = loans["loan_amount"].to_numpy()
    assert amounts.min() >= 100
    assert 700 < amounts.max() <= 820
    assert np.median(amounts) == pytest.approx(118, abs=1)
    assert amounts.mean() == pytest.approx(129.5, abs=0.5)


def test_several_loans_of_one_customer_fall_on_one_day_now_and_then(loans: pyarrow.Table) -> None:
    days = loans.group_by(["id", "loan_date"]).aggregate([("loan_id", "count")])
    crowded = int(pc.sum(pc.greater(days["loan_id_count"], 1).cast("int64")).as_py())
    assert 0 < crowded < 0.2 * len(days)


def test_a_customer_is_the_same_in_each_loan(loans: pyarrow.Table) -> None:
    people = loans.select(["id", "birthday", "flag_own_car", "job_start_date"]).group_by(
        ["id", "birthday", "flag_own_car", "job_start_date"]
    )
    assert people.aggregate([]).num_rows == 36_457


def test_the_same_seed_gives_the_same_bytes_and_a_dataset(tmp_path: Path, credit_risk: UseCase) -> None:
    generator = get_generator("credit_risk")
    for name, seed in (("a.csv", 7), ("b.csv", 7), ("c.csv", 8)):
        generator.write_csv(tmp_path / name, rows=2_000, seed=seed)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()
    datasets = Datasets(Lake(tmp_path / "lake"), credit_risk)
    assert datasets.add(tmp_path / "a.csv").rows == 2_000
    assert datasets.add(tmp_path / "b.csv").version == 1


def test_a_use_case_without_a_generator_names_those_that_have_one() -> None:
    with pytest.raises(PlatformError) as caught:
        get_generator("credit_rsk")
    assert str(caught.value) == (
        f"there is no generator of raw data for 'credit_rsk'; there is one for {', '.join(generators())}. "
        "Remedy: bring a file: ./start.sh --data credit_rsk=FILE"
    )
