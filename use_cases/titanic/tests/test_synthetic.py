"""Made-up passengers have the schema and the character of the real ones, and the real ones are taken as they are."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.use_case.find import get_use_case
from use_cases.titanic.synthetic import FULL_ROWS, generate, write_csv

USE_CASE = get_use_case("titanic")


@pytest.fixture(scope="module")
def passengers() -> pa.Table:
    return generate(FULL_ROWS, seed=1)


def share(table: pa.Table, mask: pa.ChunkedArray, value: str = "survived") -> float:
    return float(pc.mean(table.filter(mask).column(value)).as_py())


def test_the_schema_is_that_of_the_spec(passengers: pa.Table) -> None:
    assert passengers.schema == pa.schema([(column.name, ARROW_TYPES[column.type]) for column in USE_CASE.raw_table])
    assert passengers.column("passenger_id").to_pylist() == list(range(1, 892))


def test_as_much_is_missing_as_in_the_real_file(passengers: pa.Table) -> None:
    missing = {name: passengers.column(name).null_count for name in ("age", "cabin", "embarked")}
    assert missing["age"] == pytest.approx(177, abs=40)
    assert missing["cabin"] == pytest.approx(687, abs=40)
    assert 0 < missing["embarked"] < 10
    assert 3 < pc.sum(pc.equal(passengers.column("fare"), 0)).as_py() < 30


def test_women_and_those_who_travel_first_class_survive(passengers: pa.Table) -> None:
    female, first = pc.equal(passengers.column("sex"), "female"), pc.equal(passengers.column("pclass"), 1)
    assert share(passengers, female) == pytest.approx(0.742, abs=0.08)
    assert share(passengers, pc.invert(female)) == pytest.approx(0.189, abs=0.08)
    assert share(passengers, pc.and_(female, first)) > 0.9
    assert share(passengers, first, "fare") > 3 * share(passengers, pc.invert(first), "fare")


def test_the_same_seed_gives_the_same_bytes_and_a_dataset(tmp_path: Path) -> None:
    for name, seed in (("a.csv", 7), ("b.csv", 7), ("c.csv", 8)):
        write_csv(tmp_path / name, rows=300, seed=seed)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()
    assert Datasets(Lake(tmp_path / "lake"), USE_CASE).add(tmp_path / "a.csv").rows == 300


def test_the_real_passengers_are_a_dataset(tmp_path: Path, real_data: Path) -> None:
    assert Datasets(Lake(tmp_path / "lake"), USE_CASE).add(real_data / "titanic" / "train.csv").rows == 891
