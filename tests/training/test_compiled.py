"""The compiled model against scikit-learn, where single precision would go wrong."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from mlops_platform.errors import ModelError
from mlops_platform.models.manifest import CompiledInput, CompiledModel
from mlops_platform.models.scorer import CompiledScorer
from mlops_platform.use_case.spec import Feature, Label, UseCase
from training.compiled import Compilation, Parity, awkward_rows, compare, compile_if_exact, compile_pipeline, describe
from training.estimators import tabular_builders
from training.fit import Fitted
from training.metrics import Scores

TOWN = Feature(name="town", type="string", nullable=True, meaning="where", example="Rome", allowed=("Rome", "Oslo"))


@pytest.fixture
def several(credit_risk: UseCase) -> UseCase:
    """Credit risk's features, of which something else is told."""
    label = Label(name="status", meaning="how it ended", classes=("late", "never", "on time"))
    return credit_risk.model_copy(update={"task": "multiclass", "label": label})


@pytest.fixture
def numbers(credit_risk: UseCase) -> UseCase:
    label = Label(name="status", meaning="days late")
    return credit_risk.model_copy(update={"task": "regression", "label": label})


def inputs_of(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    matrix = np.column_stack(
        [
            draw.integers(20, 70, rows),
            draw.integers(0, 40, rows),
            draw.integers(0, 30, rows),
            draw.gamma(4, 32, rows),
            draw.integers(0, 2, rows),
        ]
    ).astype(np.float64)
    label = (matrix[:, 3] / 128 + draw.normal(0, 1, rows) > 2).astype(np.int64)
    matrix[:, 1:][draw.random((rows, 4)) < 0.1] = np.nan
    return matrix, label


def scores(pipeline: Pipeline, inputs: np.ndarray | pd.DataFrame, threshold: float = 0.5) -> Scores:
    return Fitted(pipeline, "binary", threshold).scores(inputs)


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("logistic_regression", {"C": 1.0}),
        ("random_forest", {"n_estimators": 30, "max_depth": 8}),
        ("random_forest", {"n_estimators": 10}),
        ("random_forest", {"n_estimators": 5, "min_samples_leaf": 2000}),  # every tree is a single leaf
    ],
)
def test_equal_to_scikit_learn_on_all_rows(credit_risk: UseCase, family: str, parameters: dict[str, float]) -> None:
    inputs, label = inputs_of(3000)
    pipeline = tabular_builders(credit_risk)[family](parameters, 1).fit(inputs, label)
    scorer = CompiledScorer(compile_pipeline(pipeline, credit_risk), describe(credit_risk))
    awkward = awkward_rows(inputs, credit_risk)
    for rows in (inputs, awkward):
        # a threshold that is itself a score: the sum's last bit must not decide
        median = float(np.round(np.median(scores(pipeline, rows).score), 12))
        found = compare(scores(pipeline, rows, median), scorer, rows)
        assert found == Parity(rows=len(rows), labels_different=0, largest_difference=0.0)
    assert np.isnan(awkward[:, [1, 3, 4]]).all(axis=1).any()


def test_numbers_beside_a_split_of_a_tree_go_the_same_way(credit_risk: UseCase) -> None:
    inputs, label = inputs_of(2000)
    pipeline = tabular_builders(credit_risk)["random_forest"]({"n_estimators": 10}, 1).fit(inputs, label)
    splits = np.unique(
        np.concatenate([tree.tree_.threshold[tree.tree_.feature == 3] for tree in pipeline["model"].estimators_])
    )
    # scikit-learn rounds an input to single precision: what lies within half a step of a split is put on one side
    near = np.concatenate([splits, np.nextafter(splits, np.inf), np.nextafter(splits, -np.inf)])
    near = np.concatenate([near, near * (1 + 2.0**-25), near * (1 - 2.0**-25), near.astype(np.float32)])
    rows = np.tile(inputs[0], (len(near), 1))
    rows[:, 3] = near
    scorer = CompiledScorer(compile_pipeline(pipeline, credit_risk), describe(credit_risk))
    np.testing.assert_allclose(scorer.score(rows), scores(pipeline, rows).score, rtol=0, atol=1e-15)


def test_strings_are_inputs_of_their_own(credit_risk: UseCase) -> None:
    use_case = credit_risk.model_copy(update={"features": (TOWN, *credit_risk.features[:2])})
    matrix, label = inputs_of(2000)
    towns = np.random.default_rng(1).choice(["Rome", "Oslo", ""], 2000).astype(object)
    inputs = pd.DataFrame({"town": towns, "age": matrix[:, 0], "years_on_the_job": matrix[:, 1]})
    assert describe(use_case) == CompiledModel(
        inputs=(
            CompiledInput(name="town", type="string", features=("town",)),
            CompiledInput(name="age", type="double", features=("age",)),
            CompiledInput(name="years_on_the_job", type="double", features=("years_on_the_job",)),
        )
    )
    for family, parameters in (("logistic_regression", {}), ("random_forest", {"n_estimators": 10})):
        pipeline = tabular_builders(use_case)[family](parameters, 1).fit(inputs, label)
        scorer = CompiledScorer(compile_pipeline(pipeline, use_case), describe(use_case))
        for rows in (inputs, awkward_rows(inputs, use_case)):
            assert compare(scores(pipeline, rows), scorer, rows) == Parity(len(rows), 0, 0.0)


def test_awkward_rows_try_nulls_bounds_and_the_unseen(credit_risk: UseCase) -> None:
    use_case = credit_risk.model_copy(update={"features": (TOWN, credit_risk.features[0])})
    inputs = pd.DataFrame({"town": np.array(["Rome", "Oslo"], dtype=object), "age": [30.0, 40.0]})
    rows = awkward_rows(inputs, use_case)
    assert isinstance(rows, pd.DataFrame)
    assert rows.town.tolist()[:4] == ["", "Rome", "Oslo", "never seen before"]
    # an age is never null, so none is tried
    assert rows.age.iloc[4:11].tolist() == [0, -1e30, 1e30, 30, 40, 0, 130]
    assert (rows.town.iloc[11], rows.age.iloc[11]) == ("", 0)


def test_the_model_is_one_tensor_in_and_probabilities_out_and_the_same_bytes_again(credit_risk: UseCase) -> None:
    inputs, label = inputs_of(500)
    pipeline = tabular_builders(credit_risk)["random_forest"]({"n_estimators": 3}, 1).fit(inputs, label)
    model = compile_pipeline(pipeline, credit_risk)
    assert model == compile_pipeline(pipeline, credit_risk)
    onnx.checker.check_model(onnx.load_from_string(model))
    session = onnxruntime.InferenceSession(model)
    assert [(tensor.name, tensor.type, tensor.shape[1]) for tensor in session.get_inputs()] == [
        ("features", "tensor(double)", 5)
    ]
    assert [(tensor.name, tensor.type) for tensor in session.get_outputs()] == [("probabilities", "tensor(double)")]


def test_a_difference_is_found(credit_risk: UseCase) -> None:
    inputs, label = inputs_of(500)
    pipeline = tabular_builders(credit_risk)["logistic_regression"]({}, 1).fit(inputs, label)
    scorer = CompiledScorer(compile_pipeline(pipeline, credit_risk), describe(credit_risk))
    wrong = scores(pipeline, inputs).score
    wrong[7] += 0.25
    found = compare(Scores("binary", wrong, wrong[7] - 0.125), scorer, inputs)
    assert (found.labels_different, found.largest_difference) == (1, 0.25)


def _behind_an_imputer(model: Any) -> Pipeline:
    return Pipeline([("inputs", SimpleImputer(strategy="median", add_indicator=True)), ("model", model)])


CLASSIFIERS = [
    _behind_an_imputer(GradientBoostingClassifier(n_estimators=10)),
    _behind_an_imputer(GradientBoostingClassifier(n_estimators=5, init="zero")),
    make_pipeline(SimpleImputer(), StandardScaler(), GradientBoostingClassifier(n_estimators=10)),
    _behind_an_imputer(HistGradientBoostingClassifier(max_iter=10)),
    make_pipeline(HistGradientBoostingClassifier(max_iter=10)),  # takes nulls itself
    _behind_an_imputer(ExtraTreesClassifier(10, random_state=1)),
    make_pipeline(RandomForestClassifier(10, random_state=1)),  # takes nulls itself
    make_pipeline(SimpleImputer(), StandardScaler(), CalibratedClassifierCV(LinearSVC())),
]
REGRESSORS = [
    _behind_an_imputer(GradientBoostingRegressor(n_estimators=10)),
    _behind_an_imputer(GradientBoostingRegressor(n_estimators=10, loss="huber")),
    _behind_an_imputer(HistGradientBoostingRegressor(max_iter=10)),
    make_pipeline(HistGradientBoostingRegressor(max_iter=10)),
    make_pipeline(RandomForestRegressor(10, random_state=1)),
    make_pipeline(SimpleImputer(), StandardScaler(), Ridge()),
]


def told(model: Any) -> str:
    return "-".join(type(step).__name__ for _, step in model.steps)


def compiled(use_case: UseCase, pipeline: Pipeline, label: np.ndarray, threshold: float | None) -> Compilation:
    inputs, _ = inputs_of(300)
    with threadpool_limits(1):  # so few rows are quicker by one thread
        fitted = Fitted(clone(pipeline).fit(inputs, label), use_case.task, threshold)
        return compile_if_exact(fitted.pipeline, fitted.scores, use_case, inputs)


@pytest.mark.parametrize("pipeline", CLASSIFIERS, ids=told)
@pytest.mark.parametrize("classes", ["0 and 1", "two", "three"])
def test_every_model_of_trees_is_exact_whatever_it_predicts(
    credit_risk: UseCase, several: UseCase, pipeline: Pipeline, classes: str
) -> None:
    inputs, label = inputs_of(300)
    if classes == "three":
        label = label + (inputs[:, 0] > 50)
    use_case = credit_risk if classes == "0 and 1" else several
    found = compiled(use_case, pipeline, label, 0.5 if classes == "0 and 1" else None)
    assert (found.not_compiled, found.parity and found.parity.largest_difference) == (None, 0.0)


@pytest.mark.parametrize("pipeline", REGRESSORS, ids=told)
def test_numbers_are_exact_in_proportion_to_them(numbers: UseCase, pipeline: Pipeline) -> None:
    inputs, label = inputs_of(300)
    found = compiled(numbers, pipeline, 1e6 * label + inputs[:, 0], None)
    assert (found.not_compiled, found.parity and found.parity.largest_difference) == (None, 0.0)


def test_what_is_not_exact_or_cannot_be_translated_is_not_compiled_and_says_why(
    several: UseCase, numbers: UseCase
) -> None:
    inputs, label = inputs_of(300)
    inexact = make_pipeline(SimpleImputer(), CalibratedClassifierCV(SVC(), method="isotonic"))
    found = compiled(several, inexact, label + (inputs[:, 0] > 50), None)
    assert (found.content, found.parity) == (None, None)
    assert str(found.not_compiled).startswith("its translation is not exact: ")
    poisson = _behind_an_imputer(HistGradientBoostingRegressor(loss="poisson", max_iter=5))
    found = compiled(numbers, poisson, inputs[:, 0], None)
    assert found == Compilation(
        None, None, "it cannot be translated (NotImplementedError: the link of the loss poisson)"
    )


def test_a_pipeline_that_takes_no_null_where_the_spec_has_room_for_one_is_refused(credit_risk: UseCase) -> None:
    inputs, label = inputs_of(300)
    inputs = np.nan_to_num(inputs)
    fitted = Fitted(make_pipeline(LogisticRegression()).fit(inputs, label), "binary", 0.5)
    with pytest.raises(ModelError, match="does not take a row that the spec allows: Input X contains"):
        compile_if_exact(fitted.pipeline, fitted.scores, credit_risk, inputs)
