"""The real passengers and songs as training has them, without Spark: their transforms take the columns as they are."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import UseCase
from training.dataset import Dataset


def passengers(folder: Path) -> Dataset:
    use_case = get_use_case("titanic")
    names = {column.arriving_name: column.name for column in use_case.raw}
    rows = pd.read_csv(folder / "titanic" / "train.csv").rename(columns=names)
    inputs = pd.DataFrame(
        {
            feature.name: rows[feature.name].fillna("").astype(object)
            if feature.type == "string"
            else rows[feature.name].astype(np.float64)
            for feature in use_case.features
        }
    )
    return _dataset(use_case, inputs, rows["survived"])


def songs(folder: Path) -> Dataset:
    use_case = get_use_case("song_genre")
    files = ("data_reggaeton.csv", "data_todotipo.csv")
    of_sources = [pd.read_csv(folder / "song_genre" / file) for file in files]
    labels = [
        pd.Series(source.label, index=rows.index) for source, rows in zip(use_case.sources, of_sources, strict=True)
    ]
    rows = pd.concat(of_sources)
    return _dataset(use_case, rows[list(use_case.feature_names)].to_numpy(np.float64), pd.concat(labels))


def _dataset(use_case: UseCase, inputs: np.ndarray | pd.DataFrame, label: "pd.Series[int]") -> Dataset:
    frame = pd.DataFrame(inputs)
    return Dataset(
        inputs=inputs,
        label=label.to_numpy(np.int64),
        classes=("0", "1"),
        entity=np.arange(len(frame)),
        event_day=None,
        alike=frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup().to_numpy(),
    )
