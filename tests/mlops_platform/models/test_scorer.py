"""The scorer of compiled models, over small graphs whose answers can be told by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mlops_platform.errors import ModelError
from mlops_platform.models.manifest import CompiledInput, CompiledModel
from mlops_platform.models.scorer import CompiledScorer, Row
from mlops_platform.use_case.spec import UseCase

NAMES = ("age", "years")
ONE_TENSOR = CompiledModel(inputs=(CompiledInput(name="features", type="double", features=NAMES),))
TENSOR_EACH = CompiledModel(
    inputs=(
        CompiledInput(name="town", type="string", features=("town",)),
        CompiledInput(name="age", type="double", features=("age",)),
    )
)


def model(nodes: list[onnx.NodeProto], *inputs: onnx.ValueInfoProto) -> bytes:
    output = helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, [None, 1])
    graph = helper.make_graph(nodes, "small", list(inputs), [output])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))
    return bytes(made.SerializeToString())


def of_one_tensor() -> bytes:
    """The sum of two numbers; NaN where one is null."""
    axes = helper.make_node("Constant", [], ["axes"], value=helper.make_tensor("axes", TensorProto.INT64, [1], [1]))
    node = helper.make_node("ReduceSum", ["features", "axes"], ["probabilities"], keepdims=1)
    return model([axes, node], helper.make_tensor_value_info("features", TensorProto.DOUBLE, [None, 2]))


def of_a_tensor_each() -> bytes:
    """0.5 for Rome, 0.25 for no town, 0 elsewhere, plus the age."""
    encode = helper.make_node(
        "LabelEncoder",
        ["town"],
        ["code"],
        domain="ai.onnx.ml",
        keys_strings=["Rome", ""],
        values_floats=[0.5, 0.25],
        default_float=0.0,
    )
    cast = helper.make_node("Cast", ["code"], ["share"], to=TensorProto.DOUBLE)
    add = helper.make_node("Add", ["share", "age"], ["probabilities"])
    return model(
        [encode, cast, add],
        helper.make_tensor_value_info("town", TensorProto.STRING, [None, 1]),
        helper.make_tensor_value_info("age", TensorProto.DOUBLE, [None, 1]),
    )


def test_rows_by_name_and_a_matrix_get_the_same_scores() -> None:
    scorer = CompiledScorer(of_one_tensor(), ONE_TENSOR)
    assert scorer.score_rows([{"years": 0.25, "age": 1}, {"age": 0.5, "years": 3.0}]) == [1.25, 3.5]
    np.testing.assert_array_equal(scorer.score(np.array([[1.0, 0.25], [0.5, 3.0]])), [1.25, 3.5])


def test_strings_are_tensors_of_their_own_and_a_null_one_is_empty() -> None:
    scorer = CompiledScorer(of_a_tensor_each(), TENSOR_EACH)
    rows: list[Row] = [{"town": "Rome", "age": 0}, {"town": None, "age": 0.5}, {"town": "Oslo", "age": 0.125}]
    assert scorer.score_rows(rows) == [0.5, 0.75, 0.125]
    matrix = np.array([["Rome", 0.0], ["", 0.5], ["Oslo", 0.125]], dtype=object)
    np.testing.assert_array_equal(scorer.score(matrix), [0.5, 0.75, 0.125])


def test_a_null_number_is_nan() -> None:
    scorer = CompiledScorer(of_one_tensor(), ONE_TENSOR)
    assert np.isnan(scorer.score_rows([{"age": 0.5, "years": None}])).all()


def test_what_does_not_load_or_answer_is_refused(credit_risk: UseCase) -> None:
    with pytest.raises(ModelError, match=r"^model\.onnx does not load \("):
        CompiledScorer(b"half a mod", ONE_TENSOR)
    first, second = credit_risk.features[:2]
    two = credit_risk.model_copy(
        update={
            "features": (
                first.model_copy(update={"name": "age", "example": 0.5}),
                second.model_copy(update={"name": "years", "example": 0.25}),
            )
        }
    )
    scorer = CompiledScorer(of_one_tensor(), ONE_TENSOR)
    with pytest.raises(ModelError, match=r"^model\.onnx answers \[0\.75, nan\], which are no probabilities"):
        scorer.check_answers(two)
    with pytest.raises(ModelError, match=r"^model\.onnx does not answer a row of credit_risk \(KeyError\)"):
        scorer.check_answers(credit_risk)
