"""The compiled form of a model: ONNX in double precision, equal to scikit-learn to rounding.

skl2onnx translates the pipeline; some of its translations are replaced here, because as they come they are not exact or
do not run:

- ``SimpleImputer``: ONNX Runtime has no ``Imputer`` for doubles, and the missing-value flags have no translation.
- Forests and boosted trees: the operators they become answer in single precision, so that a score near the threshold
  could land on the other side of it; ``tree_ensemble`` makes them another one.

Trees with nothing but an imputer before them become that one operator (and boosting's link): for a single row, further
ones around it cost more than the walk through the trees.

Whether a compiled form is exact is measured on each model. One that is not is no use: the model is served by its
scikit-learn pipeline then.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from skl2onnx.operator_converters.common import concatenate_variables
from sklearn.base import BaseEstimator, is_classifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from mlops_platform.models.manifest import CompiledInput, CompiledModel, CompiledOutput
from mlops_platform.models.scorer import CompiledScorer, Scorer
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.task import Task
from training.dataset import Inputs, as_matrix, is_numeric
from training.metrics import Scores
from training.tree_ensemble import FORESTS, TREE_MODELS, outputs_of, tree_ensemble

log = logging.getLogger(__name__)

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


LARGEST_DIFFERENCE = 1e-9
"""How far a compiled model may be from scikit-learn's to count as exact: single precision is further."""

_OUTPUTS: dict[Task, CompiledOutput] = {
    "binary": "probabilities",
    "multiclass": "class_probabilities",
    "regression": "numbers",
}


@dataclass(frozen=True)
class Parity:
    """How far the compiled model was found from scikit-learn's, over so many rows.

    ``largest_difference`` is that of probabilities, or of numbers in proportion to them where they are beyond 1.
    """

    rows: int
    labels_different: int
    largest_difference: float


@dataclass(frozen=True)
class Compilation:
    """The compiled form and how exact it was found, or why there is none."""

    content: bytes | None
    parity: Parity | None
    not_compiled: str | None


def describe(use_case: UseCase) -> CompiledModel:
    """The inputs and the output of the use case's compiled models."""
    names, output = use_case.feature_names, _OUTPUTS[use_case.task]
    if is_numeric(use_case):
        return CompiledModel(inputs=(CompiledInput(name=TENSOR_NAME, type="double", features=names),), output=output)
    return CompiledModel(
        inputs=tuple(
            CompiledInput(
                name=feature.name, type="string" if feature.type == "string" else "double", features=(feature.name,)
            )
            for feature in use_case.features
        ),
        output=output,
    )


def compile_if_exact(
    pipeline: Pipeline, scores: Callable[[Inputs], Scores], use_case: UseCase, inputs: Inputs
) -> Compilation:
    """The compiled form of a fitted pipeline, if there is one that is exact on these rows and on awkward ones.

    Args:
        scores: what scikit-learn's pipeline says of rows.
    """
    expected = [(scores(rows), rows) for rows in (inputs, awkward_rows(inputs, use_case))]
    try:
        content = compile_pipeline(pipeline, use_case)
        scorer = CompiledScorer(content, describe(use_case))
        parity = worst(compare(said, scorer, rows) for said, rows in expected)
    except Exception as error:  # skl2onnx and ONNX Runtime fail in many ways, and without a common base
        log.info("no compiled form", exc_info=True)
        said = " ".join(str(error).split())[:200]
        return Compilation(None, None, f"it cannot be translated ({type(error).__name__}: {said})")
    reason = _inexact(parity)
    return Compilation(content if reason is None else None, parity if reason is None else None, reason)


def _inexact(parity: Parity) -> str | None:
    if parity.labels_different:
        return f"its translation is not exact: {parity.labels_different} of {parity.rows} labels differ"
    if not parity.largest_difference <= LARGEST_DIFFERENCE:
        return f"its translation is not exact: scores differ by up to {parity.largest_difference:.1e}"
    return None


def compile_pipeline(pipeline: Pipeline, use_case: UseCase) -> bytes:
    """The fitted pipeline as an ONNX model with the inputs and the output of :func:`describe`.

    The same pipeline gives the same bytes.
    """
    imputer = _only_imputer(pipeline)
    if imputer is not None and isinstance(pipeline[-1], TREE_MODELS):
        model = _only_trees(imputer, pipeline[-1], use_case)
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


def _only_trees(imputer: SimpleImputer, trees: BaseEstimator, use_case: UseCase) -> onnx.ModelProto:
    output, link = describe(use_case).output, _link(trees)
    sums = output if link is None else "sums"
    nodes = [
        helper.make_node("TreeEnsemble", [TENSOR_NAME], [sums], domain=ML_DOMAIN, **tree_ensemble(trees, imputer)),
        *([] if link is None else [helper.make_node(link, [sums], [output])]),
    ]
    graph = helper.make_graph(
        nodes,
        use_case.name,
        [helper.make_tensor_value_info(TENSOR_NAME, TensorProto.DOUBLE, [None, imputer.n_features_in_])],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, outputs_of(trees)])],
    )
    opsets = [helper.make_opsetid("", OPSETS[""]), helper.make_opsetid(ML_DOMAIN, TREE_ENSEMBLE_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))


def _link(trees: BaseEstimator) -> str | None:
    """The operator from the trees' sums to probabilities; None where the sums are the answer."""
    if isinstance(trees, FORESTS) or not is_classifier(trees):
        return None
    return "Sigmoid" if outputs_of(trees) == 1 else "Softmax"


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
        options={id(pipeline): {"zipmap": False}} if is_classifier(pipeline) else None,
        target_opset=OPSETS,
    )
    # the label follows from the scores: the runtime drops what only led to this output
    *labels, scores = model.graph.output
    for label in labels:
        model.graph.output.remove(label)
    _rename_output(model.graph, scores.name, description.output)
    for opset in model.opset_import:
        if opset.domain == ML_DOMAIN:
            opset.version = TREE_ENSEMBLE_OPSET
    return model


def _rename_output(graph: onnx.GraphProto, name: str, wanted: str) -> None:
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [wanted if tensor == name else tensor for tensor in tensors]
    graph.output[0].name = wanted


def compare(expected: Scores, scorer: Scorer, inputs: Inputs) -> Parity:
    """Score these rows, all at once and the first ones singly, against what scikit-learn's pipeline says of them."""
    matrix = as_matrix(inputs)
    singles = min(SINGLE_ROWS, len(matrix))
    alone = [scorer.score(matrix[row : row + 1]) for row in range(singles)]
    wanted = (expected, expected.rows(np.arange(singles)))
    found = [replace(expected, score=score) for score in (scorer.score(matrix), np.concatenate(alone))]
    return Parity(
        rows=len(matrix),
        labels_different=max(_labels_different(a, b) for a, b in zip(found, wanted, strict=True)),
        # the last bits are the machine's, not the model's
        largest_difference=max(round(_difference(a, b), 12) for a, b in zip(found, wanted, strict=True)),
    )


def _labels_different(found: Scores, wanted: Scores) -> int:
    return 0 if found.task == "regression" else int((found.labels != wanted.labels).sum())


def _difference(found: Scores, wanted: Scores) -> float:
    if found.score.shape != wanted.score.shape:
        raise ValueError(f"the compiled form answers {found.score.shape}, scikit-learn {wanted.score.shape}")
    scale = np.maximum(np.abs(wanted.score), 1.0) if found.task == "regression" else 1.0
    return float((np.abs(found.score - wanted.score) / scale).max())


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

    Numbers: 0, the bounds of the spec, the least and greatest value seen, and ±1e30. Strings: each allowed value, and
    one never seen. A null where the spec has room for one.
    """
    matrix = as_matrix(inputs)
    real = matrix[len(matrix) // 2]
    tried: list[list[Any]] = []
    for position, feature in enumerate(use_case.features):
        if feature.type == "string":
            tried.append([*([""] if feature.nullable else []), *feature.allowed, "never seen before"])
        else:
            column = matrix[:, position].astype(float)
            seen = column[~np.isnan(column)]
            bounds = [bound for bound in (feature.minimum, feature.maximum) if bound is not None]
            limits = [seen.min(), seen.max()] if seen.size else []
            tried.append([*([float("nan")] if feature.nullable else []), 0.0, -EXTREME, EXTREME, *limits, *bounds])
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


def _trees_shape(operator: Any) -> None:
    model = operator.raw_operator
    if is_classifier(model):
        operator.outputs[0].type = Int64TensorType([None])
    operator.outputs[-1].type = DoubleTensorType([None, outputs_of(model)])


def _convert_trees(scope: Any, operator: Any, container: Any) -> None:
    model, link = operator.raw_operator, _link(operator.raw_operator)
    values = concatenate_variables(scope, operator.inputs, container)
    answer = operator.outputs[-1].full_name
    sums = answer if link is None else _named(scope, "sums")[0]
    container.add_node("TreeEnsemble", [values], [sums], op_domain=ML_DOMAIN, op_version=3, **tree_ensemble(model))
    if link is not None:
        container.add_node(link, [sums], [answer])
    if is_classifier(model):  # has to be there; is dropped
        container.add_node("ArgMax", [answer], [operator.outputs[0].full_name], axis=1, keepdims=0)


def _named(scope: Any, *names: str) -> list[str]:
    return [scope.get_unique_variable_name(name) for name in names]


def _constant(scope: Any, container: Any, name: str, kind: int, values: Any) -> str:
    array = np.asarray(values)
    unique = str(scope.get_unique_variable_name(name))
    container.add_initializer(unique, kind, list(array.shape), array.ravel().tolist())
    return unique


update_registered_converter(SimpleImputer, "MlopsImputer", _imputer_shape, _convert_imputer)
for _model in TREE_MODELS:
    _options = {"zipmap": [True, False, "columns"]} if _model.__name__.endswith("Classifier") else None
    update_registered_converter(_model, f"Mlops{_model.__name__}", _trees_shape, _convert_trees, options=_options)
