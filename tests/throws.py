"""Raw data of the toy use case."""

import csv
import datetime as dt
import random
from pathlib import Path

THROWS, COINS, A_DAY = 4000, 37, 12


def write_throws(path: Path) -> None:
    """One row per throw, of coins in turn; the heavier a coin is at a throw, the likelier it falls on heads."""
    draw = random.Random(3)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["throw_id", "coin", "thrown_on", "heads", "weight"])
        for throw in range(THROWS):
            weight = round(draw.uniform(5, 9), 3)
            day = dt.date(2024, 1, 1) + dt.timedelta(days=throw // A_DAY)
            writer.writerow([throw, f"coin-{throw % COINS}", day, int(draw.random() < (weight - 4) / 6), weight])
