"""``mlops data``."""

import json
from pathlib import Path

from tests.cli.conftest import Mlops, Outcome


def test_generated_data_is_a_dataset_once_per_seed(mlops: Mlops) -> None:
    generate = ("data", "generate", "credit_risk", "--rows", "50", "--seed", "7")
    assert mlops(*generate) == Outcome(0, "dataset 1 of credit_risk: 50 rows\n", "")
    assert mlops(*generate) == Outcome(0, "dataset 1 of credit_risk: 50 rows, which was there already\n", "")
    (listed,) = json.loads(mlops("data", "list", "credit_risk", "--json").out)
    assert (listed["version"], listed["rows"], listed["source"]) == (1, 50, "generated-50-rows-seed-7.csv")
    header, row = mlops("data", "list", "credit_risk").out.splitlines()
    assert header.split() == ["version", "rows", "arrived_at", "source", "sha256"]
    assert row.split()[:2] == ["1", "50"]


def test_a_wrong_file_is_refused(mlops: Mlops, tmp_path: Path) -> None:
    wrong = tmp_path / "loans.csv"
    wrong.write_text("loan_id,id\n1,2\n", encoding="utf-8")
    shown = mlops("data", "add", "credit_risk", str(wrong))
    assert shown.code == 1
    assert shown.err.startswith("error: ")
    assert "Remedy: " in shown.err
    assert mlops("data", "list", "credit_risk", "--json").out == "[]\n"
