"""One named snapshot as the arrays that scikit-learn takes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from mlops_platform.errors import SnapshotError
from mlops_platform.use_case.spec import UseCase

Inputs = np.ndarray | pd.DataFrame
"""The features in the spec's order: ``ndarray of shape (n, n_features)`` of float64 where all are numbers, else a
DataFrame with float64 and string columns. A null number is NaN, a null string is the empty string."""


@dataclass(frozen=True)
class Dataset:
    """Rows of a snapshot that have a label, ordered by row key. Grain: one raw row; arrays have one value per row.

    A label is a number (float64) or, where there are ``classes``, the position of one of them (int64). Keys and event
    days are there to split by; they are no part of ``inputs``. ``unlabelled`` is how many rows of the snapshot were
    left out because nothing says their label. ``alike`` has a number for each row, the same one for rows of the same
    features; None where rows are not drawn at random, and nobody asks.
    """

    inputs: Inputs
    label: np.ndarray
    classes: tuple[str, ...]
    entity: np.ndarray
    event_day: np.ndarray | None
    unlabelled: int = 0
    alike: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, positions: np.ndarray) -> "Dataset":
        """The rows at these positions."""
        return replace(
            self,
            inputs=select(self.inputs, positions),
            label=self.label[positions],
            entity=self.entity[positions],
            event_day=None if self.event_day is None else self.event_day[positions],
            alike=None if self.alike is None else self.alike[positions],
        )


def select(inputs: Inputs, positions: Any) -> Inputs:
    """The inputs at these positions."""
    chosen: Inputs = inputs.iloc[positions] if isinstance(inputs, pd.DataFrame) else inputs[positions]
    return chosen


def as_matrix(inputs: Inputs) -> np.ndarray:
    """The inputs as the compiled model's scorer takes them: float64, or object where there are strings."""
    return inputs if isinstance(inputs, np.ndarray) else inputs.to_numpy(dtype=object)


def is_numeric(use_case: UseCase) -> bool:
    """Whether all features are numbers, so that one matrix holds them."""
    return all(feature.type != "string" for feature in use_case.features)


def read(folder: Path, use_case: UseCase) -> Dataset:
    """The rows with a label of the snapshot whose parquet lies in this folder.

    They are put in the order of their row key, so that it does not matter how the job happened to cut its files.

    Raises:
        SnapshotError: there is no parquet, a column is missing, no row has a label, a label is none of the task's, or a
            string has more values than a model may have inputs for.
    """
    keys = [use_case.row_key, use_case.entity_key, *([use_case.event_time] if use_case.event_time else [])]
    wanted = list(dict.fromkeys([*keys, *use_case.feature_names, use_case.label.name]))
    remedy = f"publish a new snapshot: mlops run {use_case.name} features"
    try:
        # without partitioning: the folder's own name (snapshot=…) is no column
        files = ds.dataset(folder, format="parquet")
        missing = [name for name in wanted if name not in files.schema.names]
        table = files.to_table(columns=[name for name in wanted if name not in missing])
    except (OSError, pa.ArrowInvalid) as error:
        raise SnapshotError(f"{folder} cannot be read as parquet: {error}", remedy=remedy) from None
    if missing:
        raise SnapshotError(f"the snapshot in {folder} lacks {', '.join(missing)}", remedy=remedy)
    if table.num_rows == 0:
        raise SnapshotError(f"the snapshot in {folder} has no rows", remedy=remedy)
    labelled = table.filter(table.column(use_case.label.name).is_valid())
    unlabelled = table.num_rows - labelled.num_rows
    if labelled.num_rows == 0:
        raise SnapshotError(
            f"none of the {unlabelled} rows of the snapshot in {folder} has a label", remedy="add rows that have one"
        )
    table = labelled.sort_by(use_case.row_key)
    _check_values(table, use_case)
    classes = (
        use_case.label.classes if use_case.task == "multiclass" else ("0", "1") if use_case.task == "binary" else ()
    )
    label = _label(table, use_case)
    if not np.isin(label, np.arange(len(classes))).all() if classes else not np.isfinite(label).all():
        expected = " and ".join((", ".join(classes[:-1]), classes[-1])) if classes else "finite numbers"
        raise SnapshotError(f"{use_case.label.name} in {folder} has values other than {expected}", remedy=remedy)
    inputs = _inputs(table, use_case)
    return Dataset(
        inputs=inputs,
        label=label.astype(np.int64) if classes else label,
        classes=classes,
        entity=table.column(use_case.entity_key).to_numpy(),
        event_day=_days(table, use_case.event_time) if use_case.event_time else None,
        unlabelled=unlabelled,
        alike=_alike(inputs) if use_case.split.by == "random" else None,
    )


def _alike(inputs: Inputs) -> np.ndarray:
    """Rows of the same features have the same number; nulls are alike."""
    rows = pd.DataFrame(inputs)
    numbers: np.ndarray = rows.groupby(list(rows.columns), dropna=False, sort=False).ngroup().to_numpy()
    return numbers


def _check_values(table: pa.Table, use_case: UseCase) -> None:
    for feature in use_case.features:
        if feature.type == "string" and not feature.allowed:
            values = pc.count_distinct(table.column(feature.name)).as_py()
            if values > feature.most_values:
                raise SnapshotError(
                    f"{feature.name} of {use_case.name} has {values} values, {feature.most_values} are tolerated: a "
                    "model has an input for each",
                    remedy="map them to fewer in features.py, name those that count in `allowed`, or raise most_values",
                )


def _label(table: pa.Table, use_case: UseCase) -> np.ndarray:
    """As numbers; a class as its position, or -1 for one that the spec does not have."""
    if use_case.task != "multiclass":
        return _numbers(table, use_case.label.name)
    position = {name: at for at, name in enumerate(use_case.label.classes)}
    return np.array([position.get(name, -1) for name in table.column(use_case.label.name).to_pylist()])


def _inputs(table: pa.Table, use_case: UseCase) -> Inputs:
    if is_numeric(use_case):
        return np.column_stack([_numbers(table, name) for name in use_case.feature_names])
    columns = {
        feature.name: (
            table.column(feature.name).fill_null("").to_numpy().astype(object)
            if feature.type == "string"
            else _numbers(table, feature.name)
        )
        for feature in use_case.features
    }
    return pd.DataFrame(columns, columns=list(use_case.feature_names))


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = table.column(name).cast(pa.float64()).fill_null(float("nan")).to_numpy()
    return values


def _days(table: pa.Table, name: str) -> np.ndarray:
    days: np.ndarray = table.column(name).cast(pa.date32()).to_numpy().astype("datetime64[D]")
    return days
