"""Short paths that contradict themselves, the features or the service are refused when the spec is built."""

import pytest
from pydantic import ValidationError

from mlops_platform.use_case.short_paths import ByIdPath, HealthPath, PathColumn, RowsPath, ShortPath
from mlops_platform.use_case.spec import UseCase
from tests.mlops_platform.use_case.test_spec import remade

GIVEN = tuple(
    PathColumn(name=name, feature=name)
    for name in ("age", "nb_previous_loans", "years_on_the_job", "avg_amount_loans_previous")
)


def rows(*columns: PathColumn) -> RowsPath:
    return RowsPath(path="/score", columns=columns)


def car(name: str, value: int | str) -> PathColumn:
    return PathColumn(name=name, feature="flag_own_car", value=value)


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([rows(*GIVEN[1:])], "/score: no column gives age, which cannot be null"),
        ([rows(*GIVEN, PathColumn(name="pets", feature="pets"))], "the column pets gives pets, which is no feature"),
        ([rows(*GIVEN, PathColumn(name="Age", feature="age"))], "/score: age: given twice by its columns"),
        ([rows(*GIVEN, car("yes", 1), PathColumn(name="car", feature="flag_own_car"))], "flag_own_car: given twice"),
        ([rows(*GIVEN, car("yes", 1), car("no", 1))], "several columns stand for flag_own_car = 1"),
        ([rows(*GIVEN, car("yes", "Y"))], "the column yes: 'Y' is no value of flag_own_car"),
        ([rows(*GIVEN, car("two", 2))], "the column two: flag_own_car is never 2"),
        ([rows(*GIVEN), HealthPath(path="/score", answer={})], "short path declared twice: /score"),
    ],
)
def test_paths_that_do_not_fit_the_use_case_are_refused(
    credit_risk: UseCase, paths: list[ShortPath], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        remade(credit_risk, short_paths=tuple(paths))


def test_a_feature_that_may_be_null_needs_no_column(credit_risk: UseCase) -> None:
    assert remade(credit_risk, short_paths=(rows(*GIVEN[:2], PathColumn(name="any")),)).short_paths[0].path == "/score"


def test_a_path_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="the short path /metrics is one of the service's own paths"):
        HealthPath(path="/metrics", answer={})
    with pytest.raises(ValidationError, match="should match pattern"):
        HealthPath(path="/a/b", answer={})
    with pytest.raises(ValidationError, match="/score: column declared twice: a"):
        rows(PathColumn(name="a"), PathColumn(name="a"))
    with pytest.raises(ValidationError, match="the column a stands for the value 1 of no feature"):
        PathColumn(name="a", value=1)
    with pytest.raises(ValidationError, match="the parameter test means something else"):
        ByIdPath(path="/features", answers="features", parameter="test")
