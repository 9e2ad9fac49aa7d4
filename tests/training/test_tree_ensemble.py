"""Forests as ``TreeEnsemble``: what scikit-learn does before a split, moved into the split."""

import numpy as np
import onnx
import pytest
from sklearn.pipeline import Pipeline

from mlops_platform.models.scorer import CompiledScorer
from mlops_platform.use_case.spec import UseCase
from training.compiled import compile_pipeline, describe
from training.estimators import tabular_builders
from training.tree_ensemble import before_rounding


def test_a_limit_before_rounding_divides_numbers_as_rounding_and_the_limit_do() -> None:
    draw = np.random.default_rng(1)
    # every magnitude and sign, numbers that single precision has and such that it has not, and halfway between two
    limits = draw.normal(size=2000) * 10.0 ** draw.integers(-30, 30, 2000)
    single = limits.astype(np.float32)
    halfway = (single.astype(np.float64) + np.nextafter(single, np.float32(np.inf))) / 2
    limits = np.concatenate([limits, single, halfway, [0.0, -0.0, 0.5, 1.0, 1e-45, -1e-45]])
    found = before_rounding(limits)
    for number in (found, np.nextafter(found, np.inf), np.nextafter(found, -np.inf), limits):
        np.testing.assert_array_equal(number <= found, number.astype(np.float32) <= limits)
    assert (np.nextafter(found, np.inf).astype(np.float32) > limits).all()


@pytest.mark.parametrize("nulls_seen", [True, False], ids=["flags", "no flags"])
def test_nulls_go_where_the_imputer_would_send_them(credit_risk: UseCase, *, nulls_seen: bool) -> None:
    draw = np.random.default_rng(2)
    inputs = draw.normal(size=(2000, 5))
    label = ((inputs[:, 0] > 0) ^ (draw.random(2000) < 0.1)).astype(int)
    null = draw.random(inputs.shape) < 0.3
    null[:, 0] |= label == 0  # so that forests split by the flag too
    if nulls_seen:
        inputs[null] = np.nan
    pipeline: Pipeline = tabular_builders(credit_risk)["random_forest"]({"n_estimators": 20}, 1).fit(inputs, label)
    model = compile_pipeline(pipeline, credit_risk)
    assert [node.op_type for node in onnx.load_from_string(model).graph.node] == ["TreeEnsemble"]
    flags = {int(feature) for tree in pipeline["model"].estimators_ for feature in tree.tree_.feature if feature >= 5}
    assert bool(flags) == nulls_seen
    asked = np.where(null, np.nan, draw.normal(size=(2000, 5)))
    scorer = CompiledScorer(model, describe(credit_risk))
    np.testing.assert_allclose(scorer.score(asked), pipeline.predict_proba(asked)[:, 1], rtol=0, atol=1e-15)
