"""Made-up songs have the schema and the character of the real ones, and the real ones are taken as they are."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.use_case.find import get_use_case
from use_cases.song_genre.synthetic import FULL_ROWS, generate, write_csv

USE_CASE = get_use_case("song_genre")


@pytest.fixture(scope="module")
def songs() -> pa.Table:
    return generate(FULL_ROWS, seed=1)


def median(table: pa.Table, name: str, *, reggaeton: int) -> float:
    chosen = table.filter(pc.equal(table.column("reggaeton"), reggaeton))
    return float(pc.quantile(chosen.column(name), 0.5)[0].as_py())


def test_the_schema_is_that_of_the_spec(songs: pa.Table) -> None:
    assert songs.schema == pa.schema([(column.name, ARROW_TYPES[column.type]) for column in USE_CASE.raw_table])
    assert songs.column("id_new").to_pylist() == list(range(1, 2301))
    assert songs.column("row_number").to_pylist() == [*range(1, 71), *range(1, 2231)]


def test_reggaeton_sounds_as_it_does(songs: pa.Table) -> None:
    assert pc.sum(songs.column("reggaeton")).as_py() == 70
    for name, reggaeton, rest in (("danceability", 0.792, 0.579), ("valence", 0.722, 0.538), ("tempo", 95, 118)):
        assert median(songs, name, reggaeton=1) == pytest.approx(reggaeton, rel=0.05)
        assert median(songs, name, reggaeton=0) == pytest.approx(rest, rel=0.05)


def test_some_songs_were_not_measured_and_some_are_listed_twice(songs: pa.Table) -> None:
    rows = songs.drop_columns(["row_number", "id_new"]).to_pylist()
    assert sum(row["energy"] is None for row in rows) == 8
    assert len(rows) - len({tuple(row.items()) for row in rows}) == pytest.approx(83, abs=3)
    assert all(row["time_signature"] is None for row in rows if row["reggaeton"])


def test_the_same_seed_gives_the_same_bytes_and_a_dataset(tmp_path: Path) -> None:
    written = {}
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        files = (tmp_path / f"{name}-reggaeton.csv", tmp_path / f"{name}-todotipo.csv")
        write_csv(*files, rows=300, seed=seed)
        written[name] = [file.read_bytes() for file in files]
    assert written["a"] == written["b"] != written["c"]
    assert Datasets(Lake(tmp_path / "lake"), USE_CASE).add(*files).rows == 300
    with pytest.raises(PlatformError, match="9 rows of song_genre were asked for, at least 10 are needed"):
        generate(9, seed=1)


def test_the_real_songs_are_a_dataset(tmp_path: Path, real_data: Path) -> None:
    files = [real_data / "song_genre" / name for name in ("data_reggaeton.csv", "data_todotipo.csv")]
    added = Datasets(Lake(tmp_path / "lake"), USE_CASE).add(*files)
    assert [file.rows for file in added.files] == [70, 2230]
