"""``mlops preview`` and ``mlops check``."""

import json
from pathlib import Path

from tests.cli.conftest import Mlops, Outcome
from use_cases.credit_risk.synthetic import write_csv


def test_the_features_of_an_id_are_shown_with_nothing_running(mlops: Mlops) -> None:
    shown = mlops("preview", "credit_risk", "--id", "5008804")

    header, *rows = shown.out.splitlines()
    assert header.split()[:6] == ["loan_id", "id", "loan_date", "age", "years_on_the_job", "nb_previous_loans"]
    assert [row.split()[5] for row in rows] == [str(number) for number in range(len(rows))]
    assert {row.split()[1] for row in rows} == {"5008804"}
    assert shown.code == 0


def test_a_file_gives_what_its_rows_give_and_one_of_another_kind_is_refused(mlops: Mlops, tmp_path: Path) -> None:
    file = tmp_path / "loans.csv"
    write_csv(file, 30, 7)
    found = json.loads(mlops("preview", "credit_risk", "--file", str(file), "--json").out)
    assert len(found) == 30
    assert mlops("preview", "credit_risk", "--file", str(file), "--id", "7").err.startswith(
        "error: no raw row has the id 7. Remedy: ask for one that is there, such as "
    )
    file.write_text("loan_id,id\n1,2\n", encoding="utf-8")
    assert mlops("preview", "credit_risk", "--file", str(file)).err.startswith(
        f"error: {file} is no CSV of credit_risk"
    )


def test_the_transform_of_credit_risk_is_sound(mlops: Mlops) -> None:
    assert mlops("check", "credit_risk", "--rows", "100") == Outcome(
        0, "credit_risk: nothing found on 100 rows and awkward ones made of them\n", ""
    )
