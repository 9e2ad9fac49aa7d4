"""Made-up passengers with the character of the real file: 891 of them, of whom 342 survived.

Only the uniform numbers of PCG64 are drawn, whose sequence numpy keeps from version to version.
"""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlops_platform.lake.types import ARROW_TYPES
from use_cases.titanic.spec import PORTS, SEXES, USE_CASE

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FULL_ROWS = 891
CLASSES = (1, 2, 3)

SHARES_UP_TO = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
"""The shares of passengers of whom the ages and fares below are the greatest."""
AGES = ((0.9, 17, 27, 37, 49, 62, 80), (0.7, 3, 23, 29, 36, 54, 70), (0.4, 3.7, 18, 24, 32, 45, 74))
FARES = (
    (5, 26, 31, 60, 93.5, 232.5, 512.3),
    (10.5, 10.5, 13, 14.3, 26, 41.2, 73.5),
    (4, 7.1, 7.8, 8.1, 15.5, 39.7, 70),
)
"""By class, as are all that follow."""
CLASS_SHARES = (0.242, 0.207, 0.551)
FEMALE_SHARES = (0.435, 0.413, 0.293)
AGE_MISSING_SHARES = (0.139, 0.06, 0.277)
CABIN_SHARES = (0.815, 0.087, 0.024)
PORT_SHARES = ((0.39, 0.01, 0.6), (0.09, 0.02, 0.89), (0.13, 0.15, 0.72))
SURVIVAL_OF_WOMEN, SURVIVAL_OF_MEN = (0.968, 0.921, 0.5), (0.369, 0.157, 0.13)
SURVIVAL_OF_BOYS = (1.0, 1.0, 0.37)
CHILD_BELOW = 12
FREE_FARE_SHARE = 0.026  # of the men
PORT_MISSING_SHARE = 0.0022

SIB_SP_SHARES = (0.682, 0.235, 0.031, 0.018, 0.02, 0.014)
PARCH_SHARES = (0.761, 0.132, 0.09, 0.006, 0.005, 0.006)

SURNAMES = ("Abbott", "Baker", "Carlsson", "Dean", "Elias", "Fox", "Goodwin", "Hansen", "Ivers", "Johnson", "O'Brien")
WOMEN, MEN = ("Anna", "Bridget", "Edith", "Mary", "Rosa"), ("Carl", "George", "James", "Patrick", "William")

_SCHEMA = pa.schema([(column.name, ARROW_TYPES[column.type]) for column in USE_CASE.raw])


def generate(rows: int, seed: int) -> pa.Table:
    """Passengers in the order of their ids, with the spec's columns in their order. Grain: one passenger."""
    random = np.random.Generator(np.random.PCG64(seed))
    place = _chosen(random, np.tile(CLASS_SHARES, (rows, 1)))
    female = random.random(rows) < np.array(FEMALE_SHARES)[place]
    years = _spread(random, AGES, place)
    age = np.where(years < 1, np.round(years, 1), np.floor(years))
    fare = np.where(~female & (random.random(rows) < FREE_FARE_SHARE), 0.0, np.round(_spread(random, FARES, place), 1))
    boy = ~female & (age < CHILD_BELOW)
    chance = np.select([female, boy], [_of(SURVIVAL_OF_WOMEN, place), _of(SURVIVAL_OF_BOYS, place)], 0.0)
    chance = np.where(female | boy, chance, _of(SURVIVAL_OF_MEN, place))
    columns = {
        "passenger_id": pa.array(np.arange(1, rows + 1)),
        "survived": pa.array((random.random(rows) < chance).astype(np.int64)),
        "pclass": pa.array(np.array(CLASSES)[place]),
        "name": pa.array(_names(random, female, age)),
        "sex": pa.array(np.where(female, *SEXES)),
        "age": pa.array(age, mask=random.random(rows) < _of(AGE_MISSING_SHARES, place)),
        "sib_sp": pa.array(_chosen(random, np.tile(SIB_SP_SHARES, (rows, 1)))),
        "parch": pa.array(_chosen(random, np.tile(PARCH_SHARES, (rows, 1)))),
        "ticket": pa.array([f"{number:06d}" for number in (random.random(rows) * 400_000).astype(int)]),
        "fare": pa.array(fare),
        "cabin": _cabins(random, random.random(rows) < _of(CABIN_SHARES, place)),
        "embarked": pa.array(
            np.array(PORTS)[_chosen(random, np.array(PORT_SHARES)[place])],
            mask=random.random(rows) < PORT_MISSING_SHARE,
        ),
    }
    return pa.table(columns).cast(_SCHEMA)


def write_csv(path: Path, rows: int, seed: int) -> None:
    """Write :func:`generate`'s rows under the names and in the notation of the source: 22 of 22.0, empty for null."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.arriving_name for column in USE_CASE.raw)
        for row in generate(rows, seed).to_pylist():
            writer.writerow(f"{value:g}" if isinstance(value, float) else value for value in row.values())


def _spread(random: np.random.Generator, points: tuple[tuple[float, ...], ...], place: Integers) -> Floats:
    """A value for each passenger, drawn from the spread of the class."""
    drawn = random.random(len(place))
    values: Floats = np.choose(place, [np.interp(drawn, SHARES_UP_TO, of_class) for of_class in points])
    return values


def _chosen(random: np.random.Generator, shares: Floats) -> Integers:
    """For each row the position of one of its shares, which count by their size."""
    bounds = np.cumsum(shares, axis=1)
    result: Integers = (random.random((len(shares), 1)) * bounds[:, -1:] >= bounds).sum(axis=1)
    return result


def _of(by_class: tuple[float, ...], place: Integers) -> Floats:
    values: Floats = np.array(by_class)[place]
    return values


def _names(random: np.random.Generator, female: npt.NDArray[np.bool_], age: Floats) -> list[str]:
    surnames = (random.random(len(age)) * len(SURNAMES)).astype(int)
    given = (random.random(len(age)) * len(WOMEN)).astype(int)
    names = []
    for row, is_female in enumerate(female):
        title = ("Miss" if age[row] < 25 else "Mrs") if is_female else "Master" if age[row] < CHILD_BELOW else "Mr"
        names.append(f"{SURNAMES[surnames[row]]}, {title}. {(WOMEN if is_female else MEN)[given[row]]}")
    return names


def _cabins(random: np.random.Generator, known: npt.NDArray[np.bool_]) -> pa.Array:
    numbers = (random.random(len(known)) * 120 + 1).astype(int)
    decks = (random.random(len(known)) * 5).astype(int)
    return pa.array([f"{'ABCDE'[deck]}{number}" for deck, number in zip(decks, numbers, strict=True)], mask=~known)
