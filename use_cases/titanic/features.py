"""Titanic: what is known of a passenger."""

import datetime as dt

from pyspark.sql import DataFrame


def compute(raw: DataFrame, run_date: dt.date) -> DataFrame:
    """The features of every passenger, each from its own row alone.

    Grain: one row per passenger. What is learnt of all of them, such as the median age, is the model's.
    """
    return raw.select(
        "passenger_id",
        "age",
        "sib_sp",
        "parch",
        "fare",
        "embarked",
        "sex",
        "pclass",
        "survived",
    )
