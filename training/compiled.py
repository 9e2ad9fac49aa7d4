"""The compiled form of a model: ONNX in double precision, equal to scikit-learn to rounding.

skl2onnx translates the pipeline; two of its translations are replaced here, because as they come they are not exact or
do not run:

- ``SimpleImputer``: ONNX Runtime has no ``Imputer`` for doubles, and the missing-value flags have no translation.
- ``RandomForestClassifier``: the operator it becomes answers in single precision, so that a score near the threshold
  could land on the other side of it; ``tree_ensemble`` makes it another one.

A forest with nothing but an imputer before it becomes that one operator: for a single row, further ones around it cost
more than the walk through its trees.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from skl2onnx.operator_converters.common import concatenate_variables
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from mlops_platform.models.manifest import CompiledInput, CompiledModel
from mlops_platform.models.scorer import Scorer
from mlops_platform.use_case.spec import UseCase
from training.dataset import Inputs, as_matrix, is_numeric
from training.tree_ensemble import tree_ensemble

ML_DOMAIN = "ai.onnx.ml"
OPSETS = {"": 18, ML_DOMAIN: 3}
"""The newest that skl2onnx writes."""
TREE_ENSEMBLE_OPSET = 5
"""The opset of ai.onnx.ml that brought ``TreeEnsemble``. What skl2onnx writes for 3 means the same in 5."""
TENSOR_NAME = "features"
SINGLE_ROWS = 200
"""Rows that are also scored one by one, as the service does: the runtime sums a batch by another path."""
EXTREME = 1e30
"""The largest number tried: well inside single precision, beyond which scikit-learn's forests refuse an input."""


@dataclass(frozen=True)
class Parity:
    """How far the compiled model was found from scikit-learn's, over so many rows."""

    rows: int
    labels_different: int
    largest_difference: float


def describe(use_case: UseCase) -> CompiledModel:
    """The inputs of the use case's compiled models."""
    names = use_case.feature_names
    if is_numeric(use_case):
        return CompiledModel(inputs=(CompiledInput(name=TENSOR_NAME, type="double", features=names),))
    return CompiledModel(
        inputs=tuple(
            CompiledInput(
                name=feature.name, type="string" if feature.type == "string" else "double", features=(feature.name,)
            )
            for feature in use_case.features
        )
    )


def compile_pipeline(pipeline: Pipeline, use_case: UseCase) -> bytes:
    """The fitted pipeline as an ONNX model with the inputs and the output of :func:`describe`.

    The same pipeline gives the same bytes.
    """
    imputer = _only_imputer(pipeline)
    if imputer is not None and isinstance(pipeline[-1], RandomForestClassifier):
        model = _one_operator(imputer, pipeline[-1], use_case)
    else:
        model = _translated(pipeline, use_case)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _only_imputer(pipeline: Pipeline) -> SimpleImputer | None:
    """What stands in front of the pipeline's model, if it is an imputer and nothing else."""
    before = [step for _, step in pipeline.steps[:-1]]
    while len(before) == 1 and isinstance(before[0], Pipeline):
        before = [step for _, step in before[0].steps]
    return before[0] if len(before) == 1 and isinstance(before[0], SimpleImputer) else None


def _one_operator(imputer: SimpleImputer, forest: RandomForestClassifier, use_case: UseCase) -> onnx.ModelProto:
    output = describe(use_case).output
    node = helper.make_node("TreeEnsemble", [TENSOR_NAME], [output], domain=ML_DOMAIN, **tree_ensemble(forest, imputer))
    graph = helper.make_graph(
        [node],
        use_case.name,
        [helper.make_tensor_value_info(TENSOR_NAME, TensorProto.DOUBLE, [None, imputer.n_features_in_])],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, 1])],
    )
    opsets = [helper.make_opsetid("", OPSETS[""]), helper.make_opsetid(ML_DOMAIN, TREE_ENSEMBLE_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))


def _translated(pipeline: Pipeline, use_case: UseCase) -> onnx.ModelProto:
    description = describe(use_case)
    types = [
        (tensor.name, (StringTensorType if tensor.type == "string" else DoubleTensorType)([None, len(tensor.features)]))
        for tensor in description.inputs
    ]
    model: onnx.ModelProto = convert_sklearn(
        pipeline,
        name=use_case.name,
        initial_types=types,
        options={id(pipeline): {"zipmap": False}},
        target_opset=OPSETS,
    )
    # the label follows from the threshold: the runtime drops what only led to this output
    model.graph.output.remove(next(output for output in model.graph.output if output.name != description.output))
    for opset in model.opset_import:
        if opset.domain == ML_DOMAIN:
            opset.version = TREE_ENSEMBLE_OPSET
    return model


def compare(expected: np.ndarray, scorer: Scorer, inputs: Inputs, threshold: float) -> Parity:
    """Score these rows, all at once and the first ones singly, against scikit-learn's probabilities of class 1."""
    matrix = as_matrix(inputs)
    found = scorer.score(matrix)
    singles = min(SINGLE_ROWS, len(expected))
    alone = np.array([scorer.score(matrix[row : row + 1])[0] for row in range(singles)])
    both = ((found, expected), (alone, expected[:singles]))
    return Parity(
        rows=len(expected),
        labels_different=max(int(((a >= threshold) != (b >= threshold)).sum()) for a, b in both),
        # the last bits are the machine's, not the model's
        largest_difference=max(round(float(np.abs(a - b).max()), 12) for a, b in both),
    )


def worst(found: Iterable[Parity]) -> Parity:
    """The parity over all rows of several comparisons."""
    parts = list(found)
    return Parity(
        rows=sum(part.rows for part in parts),
        labels_different=sum(part.labels_different for part in parts),
        largest_difference=max(part.largest_difference for part in parts),
    )


def awkward_rows(inputs: Inputs, use_case: UseCase) -> Inputs:
    """Rows of nulls and extremes for each feature, one at a time and all at once, around a real row.

    Numbers: null, 0, the bounds of the spec, the least and greatest value seen, and ±1e30. Strings: null, each allowed
    value, and one never seen.
    """
    matrix = as_matrix(inputs)
    real = matrix[len(matrix) // 2]
    tried: list[list[Any]] = []
    for position, feature in enumerate(use_case.features):
        if feature.type == "string":
            tried.append(["", *feature.allowed, "never seen before"])
        else:
            column = matrix[:, position].astype(float)
            seen = column[~np.isnan(column)]
            bounds = [bound for bound in (feature.minimum, feature.maximum) if bound is not None]
            limits = [seen.min(), seen.max()] if seen.size else []
            tried.append([float("nan"), 0.0, -EXTREME, EXTREME, *limits, *bounds])
    rows = []
    for position, values in enumerate(tried):
        for value in values:
            row = list(real)
            row[position] = value
            rows.append(row)
    rows += [[values[turn % len(values)] for values in tried] for turn in range(max(map(len, tried)))]
    if isinstance(inputs, np.ndarray):
        return np.array(rows, dtype=np.float64)
    columns = list(zip(*rows, strict=True))
    kinds = [object if feature.type == "string" else np.float64 for feature in use_case.features]
    return pd.DataFrame({name: np.array(columns[i], dtype=kinds[i]) for i, name in enumerate(use_case.feature_names)})


def _imputer_shape(operator: Any) -> None:
    imputer = operator.raw_operator
    flags = imputer.indicator_.features_.size if imputer.add_indicator else 0
    operator.outputs[0].type = DoubleTensorType([None, imputer.statistics_.size + flags])


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Nulls replaced by the fitted statistics, then one flag per column that had nulls in training."""
    imputer = operator.raw_operator
    values = concatenate_variables(scope, operator.inputs, container)
    output = operator.outputs[0].full_name
    is_null, filled = _named(scope, "is_null", "filled")
    statistics = _constant(scope, container, "statistics", TensorProto.DOUBLE, [imputer.statistics_])
    container.add_node("IsNaN", [values], [is_null])
    flagged = imputer.indicator_.features_ if imputer.add_indicator else np.array([], dtype=np.int64)
    if not flagged.size:
        container.add_node("Where", [is_null, statistics, values], [output])
        return
    chosen, flags = _named(scope, "chosen", "flags")
    positions = _constant(scope, container, "flagged", TensorProto.INT64, flagged.astype(np.int64))
    container.add_node("Where", [is_null, statistics, values], [filled])
    container.add_node("Gather", [is_null, positions], [chosen], axis=1)
    container.add_node("Cast", [chosen], [flags], to=TensorProto.DOUBLE)
    container.add_node("Concat", [filled, flags], [output], axis=1)


def _forest_shape(operator: Any) -> None:
    operator.outputs[0].type = Int64TensorType([None])
    operator.outputs[1].type = DoubleTensorType([None, 1])


def _convert_forest(scope: Any, operator: Any, container: Any) -> None:
    values = concatenate_variables(scope, operator.inputs, container)
    label, probabilities = (output.full_name for output in operator.outputs)
    attributes = tree_ensemble(operator.raw_operator)
    container.add_node("TreeEnsemble", [values], [probabilities], op_domain=ML_DOMAIN, op_version=3, **attributes)
    container.add_node("ArgMax", [probabilities], [label], axis=1, keepdims=0)  # has to be there; is dropped


def _named(scope: Any, *names: str) -> list[str]:
    return [scope.get_unique_variable_name(name) for name in names]


def _constant(scope: Any, container: Any, name: str, kind: int, values: Any) -> str:
    array = np.asarray(values)
    unique = str(scope.get_unique_variable_name(name))
    container.add_initializer(unique, kind, list(array.shape), array.ravel().tolist())
    return unique


update_registered_converter(SimpleImputer, "MlopsImputer", _imputer_shape, _convert_imputer)
update_registered_converter(
    RandomForestClassifier,
    "MlopsForest",
    _forest_shape,
    _convert_forest,
    options={"zipmap": [True, False, "columns"]},
)
