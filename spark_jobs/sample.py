"""A sample of a snapshot: all rows of some of its entities, as they are raw and as they were written."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mlops_platform.use_case.spec import UseCase
from spark_jobs.features import Features
from spark_jobs.written_features import WrittenFeatures

MOST_ENTITIES, MOST_ROWS = 2_000, 50_000


class Sample(NamedTuple):
    """Of the same rows: ``raw`` has the columns of ``UseCase.raw_table``, ``written`` those of the features."""

    raw: pa.Table
    written: pa.Table


def take_sample(features: Features, written: WrittenFeatures, use_case: UseCase) -> Sample:
    """Whole entities from all over the files, the same ones each time."""
    entities = written.spread_entities(MOST_ENTITIES, MOST_ROWS)
    of_them = written.rows_of(entities)
    raw = features.good_rows_of(entities.to_pylist()).toArrow()
    # rows that were rejected for what others are have no features, and of equal rows one has
    numbered = pa.table({"key": raw.column(use_case.row_key), "row": range(raw.num_rows)})
    first = numbered.group_by("key").aggregate([("row", "min")])
    judged = first.filter(pc.is_in(first.column("key"), pc.unique(of_them.column(use_case.row_key))))
    return Sample(raw.take(judged.column("row_min")), of_them)
