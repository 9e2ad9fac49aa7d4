from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.use_case.spec import Feature, UseCase
from tests.training.small_snapshots import credit_risk_rows, write_parquet
from training.dataset import read


def test_rows_come_in_the_order_of_their_key_however_the_files_were_cut(tmp_path: Path, credit_risk: UseCase) -> None:
    table = credit_risk_rows(credit_risk, 50)
    one = read(write_parquet(tmp_path / "one", table), credit_risk)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(50)))
    many = read(write_parquet(tmp_path / "snapshot=many", shuffled, files=4), credit_risk)
    np.testing.assert_array_equal(one.inputs, many.inputs)
    np.testing.assert_array_equal(one.label, many.label)
    np.testing.assert_array_equal(one.entity, many.entity)
    np.testing.assert_array_equal(one.event_day, many.event_day)


def test_the_inputs_are_the_features_alone_in_the_specs_order(tmp_path: Path, credit_risk: UseCase) -> None:
    table = credit_risk_rows(credit_risk, 50).sort_by("loan_id")
    dataset = read(write_parquet(tmp_path / "features", table), credit_risk)
    assert isinstance(dataset.inputs, np.ndarray)
    assert dataset.inputs.shape == (50, 5)
    assert dataset.inputs.dtype == np.float64
    for position, name in enumerate(credit_risk.feature_names):
        expected = table.column(name).cast(pa.float64()).to_numpy()
        np.testing.assert_array_equal(dataset.inputs[:, position], expected)
    # neither a key nor the label is in any column
    for name in ("loan_id", "id", "status"):
        hidden = table.column(name).cast(pa.float64()).to_numpy()
        assert not any(np.array_equal(hidden, column) for column in dataset.inputs.T)


def test_strings_make_a_frame_and_their_nulls_empty_strings(tmp_path: Path, credit_risk: UseCase) -> None:
    town = Feature(name="town", type="string", nullable=True, meaning="where", example="Rome")
    with_town = credit_risk.model_copy(update={"features": (town, credit_risk.features[0])})
    table = credit_risk_rows(credit_risk, 3).sort_by("loan_id").append_column("town", pa.array(["Rome", None, "Oslo"]))
    dataset = read(write_parquet(tmp_path / "features", table), with_town)
    ages = [float(age) for age in table.column("age").to_pylist()]
    assert isinstance(dataset.inputs, pd.DataFrame)
    assert dataset.inputs.to_dict("list") == {"town": ["Rome", "", "Oslo"], "age": ages}


def test_what_is_no_snapshot_is_refused(tmp_path: Path, credit_risk: UseCase) -> None:
    table = credit_risk_rows(credit_risk, 20)
    wrong_label = table.set_column(
        table.column_names.index("status"), "status", pc.add(table.column("status"), pa.scalar(1, pa.int32()))
    )
    lacking = table.drop_columns(["age", "status"])
    for name, content, message in (
        ("label", wrong_label, "status in {folder} has values other than 0 and 1"),
        ("columns", lacking, "the snapshot in {folder} lacks age, status"),
        ("rows", table.slice(0, 0), "the snapshot in {folder} has no rows"),
    ):
        folder = write_parquet(tmp_path / name, content, files=1)
        with pytest.raises(SnapshotError) as caught:
            read(folder, credit_risk)
        assert caught.value.what == message.format(folder=folder)
        assert caught.value.remedy == "publish a new snapshot: mlops run credit_risk features"
    with pytest.raises(SnapshotError, match="nowhere cannot be read as parquet"):
        read(tmp_path / "nowhere", credit_risk)
