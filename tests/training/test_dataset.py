from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.use_case.spec import Feature, Split, UseCase
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


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path, credit_risk: UseCase) -> None:
    table = credit_risk_rows(credit_risk, 50).sort_by("loan_id")
    place = table.column_names.index("status")
    gone = pc.less(table.column("loan_id"), 7)
    unknown = table.set_column(place, "status", pc.if_else(gone, pa.scalar(None, pa.int32()), table.column("status")))
    dataset = read(write_parquet(tmp_path / "some", unknown), credit_risk)
    assert (len(dataset), dataset.unlabelled) == (43, 7)
    np.testing.assert_array_equal(dataset.label, table.column("status").to_numpy()[7:])
    with pytest.raises(SnapshotError, match=r"none of the 7 rows of the snapshot in .* has a label"):
        read(write_parquet(tmp_path / "none", unknown.filter(gone)), credit_risk)


def test_rows_of_the_same_features_are_known_where_rows_are_drawn(tmp_path: Path, credit_risk: UseCase) -> None:
    table = credit_risk_rows(credit_risk, 50).sort_by("loan_id")
    again = table.slice(3, 2).set_column(0, "loan_id", pa.array([50, 51]))
    folder = write_parquet(tmp_path / "features", pa.concat_tables([table, again]))
    drawn = credit_risk.model_copy(update={"split": Split(by="random", holdout_fraction=0.2)})
    alike = read(folder, drawn).alike
    assert alike is not None
    assert (alike[50], alike[51], len(set(alike))) == (alike[3], alike[4], len({tuple(row) for row in features(table)}))
    assert read(folder, credit_risk).alike is None


def features(table: pa.Table) -> list[tuple[object, ...]]:
    names = ["age", "years_on_the_job", "nb_previous_loans", "avg_amount_loans_previous", "flag_own_car"]
    return [tuple(row.values()) for row in table.select(names).to_pylist()]


def test_a_string_of_more_values_than_a_model_may_have_inputs_for_is_refused(
    tmp_path: Path, credit_risk: UseCase
) -> None:
    town = Feature(name="town", type="string", meaning="where", example="Rome", most_values=2)
    with_town = credit_risk.model_copy(update={"features": (town,)})
    table = credit_risk_rows(credit_risk, 3).append_column("town", pa.array(["Rome", "Oslo", "Bern"]))
    folder = write_parquet(tmp_path / "features", table)
    with pytest.raises(SnapshotError) as caught:
        read(folder, with_town)
    assert caught.value.what == ("town of credit_risk has 3 values, 2 are tolerated: a model has an input for each")
    named = town.model_copy(update={"allowed": ("Rome", "Oslo", "Bern")})
    assert len(read(folder, credit_risk.model_copy(update={"features": (named,)}))) == 3


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
