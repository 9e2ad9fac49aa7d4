"""Made-up songs with the character of the real files: 70 of reggaeton and 2,230 of all the rest.

Only the uniform numbers of PCG64 are drawn, whose sequence numpy keeps from version to version.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlops_platform.errors import PlatformError
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.use_case.spec import Source
from use_cases.song_genre.spec import USE_CASE

Floats = npt.NDArray[np.float64]

FULL_ROWS = 2_300
FEWEST_ROWS = 10
REGGAETON_SHARE = 70 / FULL_ROWS
NOT_MEASURED_SHARE = 8 / 2_230  # of the rest, as is the next one
REPEATED_SHARE = 77 / 2_230
"""Songs that are listed once more under other keys."""

SHARES_UP_TO = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
"""The shares of songs of which the values below are the greatest."""
SPREADS: dict[str, dict[str, tuple[float, ...]]] = {
    "reggaeton": {
        "popularity": (27, 33, 52, 59, 63, 70, 75),
        "danceability": (0.503, 0.634, 0.743, 0.792, 0.827, 0.869, 0.944),
        "energy": (0.533, 0.61, 0.7, 0.79, 0.863, 0.918, 0.946),
        "key": (0, 0, 1, 6.5, 9, 11, 11.9),
        "loudness": (-13.3, -11.8, -7.13, -6.03, -4.96, -3.74, -0.262),
        "mode": (0, 0, 0, 1, 1, 1, 1),
        "speechiness": (0.032, 0.0407, 0.0644, 0.0906, 0.161, 0.267, 0.308),
        "acousticness": (0.00165, 0.00778, 0.056, 0.113, 0.243, 0.409, 0.563),
        "instrumentalness": (0, 0, 0, 1.12e-06, 1.86e-05, 0.0203, 0.243),
        "liveness": (0.0354, 0.0576, 0.0945, 0.141, 0.263, 0.384, 0.776),
        "valence": (0.354, 0.432, 0.582, 0.722, 0.83, 0.899, 0.966),
        "tempo": (84, 88.9, 94, 95, 102, 182, 214),
        "duration": (152_000, 166_000, 196_000, 220_000, 251_000, 304_000, 1_500_000),
    },
    "todotipo": {
        "popularity": (0, 20, 42, 56, 64, 75, 98),
        "danceability": (0.0627, 0.279, 0.456, 0.579, 0.691, 0.814, 0.942),
        "energy": (0.00181, 0.0425, 0.406, 0.671, 0.847, 0.96, 0.998),
        "key": (0, 0, 2, 5, 8, 11, 11.9),
        "loudness": (-42.1, -23.5, -11.3, -8.02, -5.7, -3.38, -0.282),
        "mode": (0, 0, 0, 1, 1, 1, 1),
        "speechiness": (0.0231, 0.0282, 0.0355, 0.0457, 0.0699, 0.183, 0.668),
        "acousticness": (1.52e-06, 0.000285, 0.0213, 0.189, 0.667, 0.991, 0.996),
        "instrumentalness": (0, 0, 4.68e-06, 0.00166, 0.329, 0.934, 0.985),
        "liveness": (0.018, 0.0559, 0.0896, 0.118, 0.218, 0.474, 0.978),
        "valence": (0.0279, 0.079, 0.298, 0.538, 0.767, 0.942, 0.982),
        "tempo": (33.6, 76.7, 97.4, 118, 134, 174, 212),
        "duration": (46_700, 119_000, 187_000, 225_000, 272_000, 367_000, 769_000),
        "time_signature": (1, 3, 4, 4, 4, 4, 5),
    },
}
WITH_THE_BAND = {"energy": 0.6, "loudness": 0.5, "acousticness": -0.5, "instrumentalness": -0.3}
"""How much of a value follows from how loudly a song is played, more or less of it."""

_SCHEMA = pa.schema([(column.name, ARROW_TYPES[column.type]) for column in USE_CASE.raw_table])


def generate(rows: int, seed: int) -> pa.Table:
    """Songs of both sources, reggaeton first, with the columns of the spec's raw table in their order.

    Grain: one song. Some are listed twice under other keys, some were not measured.

    Raises:
        PlatformError: fewer than 10 rows.
    """
    if rows < FEWEST_ROWS:
        raise PlatformError(
            f"{rows} rows of song_genre were asked for, at least {FEWEST_ROWS} are needed",
            remedy=f"ask for {FEWEST_ROWS} rows or more; {FULL_ROWS} is the full size",
        )
    random = np.random.Generator(np.random.PCG64(seed))
    first = max(2, round(rows * REGGAETON_SHARE))
    reggaeton, todotipo = (
        _songs(random, source, count) for source, count in zip(USE_CASE.sources, (first, rows - first), strict=True)
    )
    _repeat_and_forget(random, todotipo)
    songs = [*reggaeton, *todotipo]
    for number, song in enumerate(songs, start=1):
        song["id_new"] = number
    return pa.Table.from_pylist(songs, schema=_SCHEMA)


def write_csv(reggaeton: Path, todotipo: Path, rows: int, seed: int) -> None:
    """Write :func:`generate`'s rows as the sources write them: quoted names, the first one empty, NA for null."""
    table = generate(rows, seed).to_pylist()
    for source, path in zip(USE_CASE.sources, (reggaeton, todotipo), strict=True):
        columns = USE_CASE.columns_of(source)
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(f'"{name}"' for name in USE_CASE.arriving_columns(source)) + "\n")
            writer = csv.writer(file, lineterminator="\n")
            for song in table:
                if song[USE_CASE.label.name] == source.label:
                    writer.writerow("NA" if song[column.name] is None else song[column.name] for column in columns)


def _songs(random: np.random.Generator, source: Source, count: int) -> list[dict[str, Any]]:
    band = random.random(count)
    columns: dict[str, list[Any]] = {}
    for name, spread in SPREADS[source.name].items():
        part = WITH_THE_BAND.get(name, 0.0)
        mixed = abs(part) * (band if part >= 0 else 1 - band) + (1 - abs(part)) * random.random(count)
        # by its rank, a mixture of two draws is spread evenly again
        values = np.interp((np.argsort(np.argsort(mixed)) + 0.5) / count, SHARES_UP_TO, spread)
        columns[name] = [_of_type(name, value) for value in values]
    return [
        {"row_number": row + 1, **{name: values[row] for name, values in columns.items()}, "reggaeton": source.label}
        for row in range(count)
    ]


def _of_type(name: str, value: float) -> int | float:
    return int(value) if USE_CASE.raw_column(name).type == "int" else float(f"{value:.3g}")


def _repeat_and_forget(random: np.random.Generator, songs: list[dict[str, Any]]) -> None:
    """List some of the songs again in the place of others, and forget what was measured of a few."""
    order = [int(place) for place in np.argsort(random.random(len(songs)))]
    repeated, forgotten = round(len(songs) * REPEATED_SHARE), max(1, round(len(songs) * NOT_MEASURED_SHARE))
    places, others = order[:repeated], order[repeated:]
    for place, other in zip(places, others, strict=False):
        songs[place] |= {name: value for name, value in songs[other].items() if name != "row_number"}
    for place in others[-forgotten:]:
        songs[place] |= dict.fromkeys(SPREADS["todotipo"], None) | {"popularity": 0}
