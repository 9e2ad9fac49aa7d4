"""Tensors of the Open Inference Protocol as JSON: what a request looks like, and the checked values of one input."""

import math
import sys
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from serving.problems import invalid

# fmt: off
Datatype = Literal[
    "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64", "BYTES"
]
# fmt: on
Value = int | float | str | bool | None

_INTEGERS = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
_LARGEST_FLOATS = {"FP16": 65504.0, "FP32": 3.4028234663852886e38, "FP64": sys.float_info.max}


class Tensor(BaseModel):
    """One column of rows: of shape ``[n]`` or ``[n, 1]``, its data flat or nested as the shape is."""

    name: str
    shape: list[Annotated[int, Field(strict=True)]] = Field(min_length=1, max_length=2)
    datatype: Datatype
    parameters: dict[str, Any] | None = None
    data: list[Value | list[Value]]

    @property
    def of_numbers(self) -> bool:
        return self.datatype in _INTEGERS or self.datatype in _LARGEST_FLOATS

    def values(self) -> list[Value]:
        """One value per row. A NaN is a null, which a tensor of numpy has no other way to say.

        Raises:
            Problem: 422, the data is not of the shape or not of the datatype.
        """
        rows = [value if isinstance(value, list) else [value] for value in self.data]
        nested = {isinstance(value, list) for value in self.data}
        as_shaped = nested == {False} or (nested == {True} and len(self.shape) > 1)
        if not as_shaped or any(len(row) != 1 for row in rows) or self.shape not in ([len(rows)], [len(rows), 1]):
            raise invalid(f"inputs.{self.name}: expected shape [n] or [n, 1] and as many values")
        return [self._checked(value, at) for at, (value,) in enumerate(rows)]

    def _checked(self, value: Value, at: int) -> Value:
        if value is None or (isinstance(value, float) and math.isnan(value) and self.datatype in _LARGEST_FLOATS):
            return None
        if not _is_of(self.datatype, value):
            raise invalid(f"inputs.{self.name}.{at}: expected a value of {self.datatype}")
        return value


class RequestedOutput(BaseModel):
    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(BaseModel):
    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[RequestedOutput] | None = None


def _is_of(datatype: Datatype, value: float | str | bool) -> bool:
    if isinstance(value, bool):
        return datatype == "BOOL"
    if isinstance(value, str):
        return datatype == "BYTES"
    if datatype in _INTEGERS:
        lowest, highest = _INTEGERS[datatype]
        return isinstance(value, int) and lowest <= value <= highest
    return datatype in _LARGEST_FLOATS and abs(value) <= _LARGEST_FLOATS[datatype]
