"""Datasets of several files, under names of their own, in CSV and Parquet."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_platform.errors import RawDataError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.use_case.spec import (
    Candidate,
    Feature,
    Label,
    QualityGate,
    RawColumn,
    Source,
    Split,
    UseCase,
)

SONGS = UseCase(
    name="songs",
    title="Songs",
    description="Is it loud?",
    owner="nobody@example.com",
    row_key="song",
    entity_key="song",
    sources=(Source(name="loud", label=1, lacks=("beats",)), Source(name="rest", label=0)),
    raw=(
        RawColumn(name="line", arrives_as="", type="int", meaning="the line's number"),
        RawColumn(name="beats", arrives_as="Beats per bar", type="int", nullable=True, meaning="beats in a bar"),
        RawColumn(name="song", arrives_as="ID", type="int", meaning="the song"),
    ),
    features=(Feature(name="odd", type="int", meaning="an odd number", example=1),),
    label=Label(name="is_loud", meaning="it is loud", positive="loud", negative="quiet"),
    split=Split(by="random", holdout_fraction=0.2),
    candidates=(Candidate(family="logistic_regression"),),
    primary_metric="roc_auc",
    gate=QualityGate(),
)
LOUD, REST = '"","ID"\n1,7\n2,8\n', ",Beats per bar,ID\n1,4,9\n"


@pytest.fixture
def datasets(tmp_path: Path) -> Datasets:
    return Datasets(Lake(tmp_path / "lake"), SONGS)


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    return written(tmp_path / "a.csv", LOUD)


@pytest.fixture
def rest(tmp_path: Path) -> Path:
    return written(tmp_path / "b.csv", REST)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_each_source_is_one_version(datasets: Datasets, loud: Path, rest: Path, tmp_path: Path) -> None:
    added = datasets.add(loud, rest)
    assert (added.version, added.rows, added.source) == (1, 3, "a.csv, b.csv")
    assert added.keys == ("raw/songs/version=1/loud.csv", "raw/songs/version=1/rest.csv")
    assert [(file.source, file.rows, file.columns) for file in added.files] == [
        ("loud", 2, ("", "ID")),
        ("rest", 1, ("", "Beats per bar", "ID")),
    ]
    assert [(tmp_path / "lake" / key).read_text() for key in added.keys] == [LOUD, REST]
    assert datasets.get(1) == added
    datasets.verify(added)


def test_the_same_files_are_one_version_and_another_of_one_source_is_the_next(
    datasets: Datasets, loud: Path, rest: Path, tmp_path: Path
) -> None:
    first = datasets.add(loud, rest)
    assert datasets.add(loud, rest) == first
    second = datasets.add(loud, written(tmp_path / "c.csv", f"{REST}2,3,10\n"))
    assert (second.version, second.rows) == (2, 4)
    assert second.sha256 != first.sha256


def test_each_source_needs_a_file_and_its_own(datasets: Datasets, loud: Path, rest: Path) -> None:
    with pytest.raises(RawDataError) as caught:
        datasets.add(loud)
    assert str(caught.value) == (
        "a dataset of songs is made of 2 files (loud, rest), 1 were given. "
        "Remedy: mlops data add songs loud:FILE rest:FILE"
    )
    with pytest.raises(RawDataError) as caught:
        datasets.add(rest, loud)
    assert str(caught.value) == (
        f"{rest} has the wrong columns: 'Beats per bar' is not expected. Remedy: the first line must be ,ID"
    )
    assert datasets.latest() is None


def test_a_change_of_one_file_after_arrival_is_found(
    datasets: Datasets, loud: Path, rest: Path, tmp_path: Path
) -> None:
    added = datasets.add(loud, rest)
    (tmp_path / "lake" / added.keys[1]).write_text(REST.replace("9", "7"))
    with pytest.raises(RawDataError, match=r"raw/songs/version=1/rest\.csv was changed after it arrived"):
        datasets.verify(added)


def test_a_version_of_other_sources_does_not_fit_the_spec(
    datasets: Datasets, loud: Path, rest: Path, tmp_path: Path
) -> None:
    added = datasets.add(loud, rest)
    datasets.check_columns(added)
    swapped = SONGS.model_copy(update={"sources": SONGS.sources[::-1]})
    with pytest.raises(RawDataError) as caught:
        Datasets(Lake(tmp_path / "lake"), swapped).check_columns(added)
    assert caught.value.what == "version 1 of songs has the sources loud, rest, its spec says rest, loud"


def test_parquet_is_told_by_its_content_and_its_columns_by_name(datasets: Datasets, loud: Path, tmp_path: Path) -> None:
    table = pa.table({"ID": [9, 10], "Beats per bar": [4.0, None], "": [1, 2]})
    pq.write_table(table, tmp_path / "b.csv")
    added = datasets.add(loud, tmp_path / "b.csv")
    assert (added.rows, added.keys[1]) == (4, "raw/songs/version=1/rest.parquet")
    assert added.files[1].columns == ("", "Beats per bar", "ID")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"": [1], "ID": [9]},
            "{} has the wrong columns: 'Beats per bar' is missing. Remedy: its columns must be '', 'Beats per bar',",
        ),
        (
            {"": [1], "ID": [9], "Beats per bar": [4], "__index_level_0__": [0]},
            (
                "{} has the wrong columns: '__index_level_0__' is not expected. Remedy: write it with to_parquet(..., "
                "index=False)"
            ),
        ),
        (
            {"": [1], "ID": [9], "Beats per bar": [[4]]},
            "{}: the column 'Beats per bar' is of the type list<element: int",
        ),
        (
            {"": [1], "ID": [9], "Beats per bar": pa.array([0], pa.timestamp("ns"))},
            "{}: the column 'Beats per bar' counts nanoseconds, which Spark does not read",
        ),
        ({"": pa.array([], pa.int32()), "ID": [], "Beats per bar": []}, "{} has no row"),
    ],
)
def test_parquet_that_is_none_of_the_source_is_refused(
    datasets: Datasets, loud: Path, tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    file = tmp_path / "b.parquet"
    pq.write_table(pa.table(columns), file)
    with pytest.raises(RawDataError) as caught:
        datasets.add(loud, file)
    assert str(caught.value).startswith(message.format(file))
    assert datasets.latest() is None


@pytest.mark.parametrize("damage", [slice(0, -9), slice(0, 40)])
def test_damaged_parquet_is_refused(datasets: Datasets, loud: Path, tmp_path: Path, damage: slice) -> None:
    file = tmp_path / "b.parquet"
    pq.write_table(pa.table({"": [1], "ID": [9], "Beats per bar": [4]}), file)
    file.write_bytes(file.read_bytes()[damage])
    with pytest.raises(RawDataError, match="is a damaged or truncated Parquet file"):
        datasets.add(loud, file)
