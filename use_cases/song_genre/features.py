"""Song genre: what was measured of a song."""

import datetime as dt

from pyspark.sql import DataFrame


def compute(raw: DataFrame, run_date: dt.date) -> DataFrame:
    """The features of every song, each from its own row alone.

    Grain: one row per song. What was measured is taken as it is. The beats in a bar are left out: one source alone has
    them, so they would tell the sources apart.
    """
    return raw.select(
        "id_new",
        "popularity",
        "danceability",
        "energy",
        "key",
        "loudness",
        "mode",
        "speechiness",
        "acousticness",
        "instrumentalness",
        "liveness",
        "valence",
        "tempo",
        "duration",
        "reggaeton",
    )
