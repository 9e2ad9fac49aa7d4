import pytest

from mlops_platform.errors import ModelError, PlatformError, UnknownUseCase
from mlops_platform.use_case.find import file_of
from mlops_platform.use_case.spec import UseCase
from training import families
from training.job import TrainingJob, from_hyperparameters

LEAST = {"use_case": "credit_risk", "snapshot": "s1", "run_id": "r1"}


def test_a_job_is_the_use_cases_own_unless_told_otherwise(credit_risk: UseCase) -> None:
    assert from_hyperparameters(LEAST) == TrainingJob(
        use_case=credit_risk,
        snapshot="s1",
        run_id="r1",
        git_sha="unknown",
        transform=None,
        seed=credit_risk.seed,
        candidates=credit_risk.candidates,
    )


def test_hyperparameters_are_strings_and_mean_numbers() -> None:
    job = from_hyperparameters(
        {
            **LEAST,
            "seed": "7",
            "families": "random_forest",
            "random_forest.n_estimators": "20",
            "random_forest.class_weight": "balanced",
            "random_forest.max_depth": "null",
        }
    )
    assert job.seed == 7
    assert [candidate.family for candidate in job.candidates] == ["random_forest"]
    changed = job.candidates[0].parameters
    assert (changed["n_estimators"], changed["class_weight"], changed["max_depth"]) == (20, "balanced", None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"use_case": "credit_risk"},
            "the hyperparameters lack snapshot, run_id. Remedy: add them to hyperparameters.json",
        ),
        (
            {**LEAST, "random_forst.max_depth": "3"},
            (
                "there is no hyperparameter 'random_forst.max_depth'. "
                "Remedy: did you mean 'random_forest.<parameter>'? "
                "known are use_case, snapshot, run_id, git_sha, transform, seed, families, "
                "logistic_regression.<parameter>, random_forest.<parameter>"
            ),
        ),
        (
            {**LEAST, "families": "svm"},
            "credit_risk has no family 'svm'. Remedy: its families are logistic_regression, random_forest",
        ),
        ({**LEAST, "seed": "x"}, "the hyperparameter seed is 'x', no whole number. Remedy: give a whole number"),
    ],
)
def test_what_is_no_job_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        from_hyperparameters(given)
    assert str(caught.value) == message


def test_an_unknown_use_case_is_refused() -> None:
    with pytest.raises(UnknownUseCase):
        from_hyperparameters({**LEAST, "use_case": "credit_rsk"})


def test_a_family_that_nobody_wrote_is_refused(credit_risk: UseCase) -> None:
    candidate = credit_risk.candidates[1]
    for changed, message in (
        (
            candidate.model_copy(update={"family": "random_forrest"}),
            (
                f"{file_of('credit_risk', 'model')} has no family 'random_forrest'. "
                "Remedy: did you mean 'random_forest'? "
                "the families are logistic_regression, random_forest, gradient_boosting"
            ),
        ),
        (
            candidate.model_copy(update={"parameters": {"trees": 3}}),
            (
                "random_forest: RandomForestClassifier.__init__() got an unexpected keyword argument 'trees'. "
                "Remedy: correct the candidate's parameters"
            ),
        ),
    ):
        with pytest.raises(ModelError) as caught:
            families.build(credit_risk, changed, 1)
        assert str(caught.value) == message
    with pytest.raises(PlatformError, match=r"nowhere has no model\.py\. Remedy: write .*/use_cases/nowhere/model\.py"):
        families.build(credit_risk.model_copy(update={"name": "nowhere"}), candidate, 1)
