"""The API's request and response models, derived from a use case's spec; examples are the spec's own."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, create_model
from pydantic.config import JsonDict

from mlops_platform.use_case.ids import (
    LONGEST_ID_BYTES,
    id_pattern,
    ids_are_whole_numbers,
)
from mlops_platform.use_case.spec import Feature, UseCase
from mlops_platform.use_case.task import Task
from serving.api.segments import segment_text
from serving.served import Variant

_INT_MAXIMUM = 2**31 - 1
_LARGEST_NUMBER = 2**53 - 1
"""Of the ids that come as numbers: a larger one may have been rounded to another's on its way. As text it is sure."""
_STRICT = ConfigDict(extra="forbid")
_VARIANT: Any = (Variant, Field(description="which model answered: `named` is one that the caller asked for"))
_VARIANT_OR_NULL: Any = (_VARIANT[0] | None, _VARIANT[1])
_EXPLAINED: dict[Task, str] = {
    "binary": "probability minus base_probability",
    "multiclass": "the predicted class's probability minus base_probability, which is its mean",
    "regression": "prediction minus base_prediction",
}
_REASONS: dict[Task, str] = {
    "binary": "what speaks most for 1, by weight",
    "multiclass": "what speaks most for the predicted class, by weight",
    "regression": "what moves the prediction most, by weight",
}


@dataclass(frozen=True)
class Schemas:
    """Everything typed that the routes of one use case take and give."""

    use_case: UseCase
    batch_limit: int

    @property
    def title(self) -> str:
        """The use case's name as a schema's begins."""
        return "".join(part.capitalize() for part in self.use_case.name.split("_"))

    @cached_property
    def entity_id(self) -> Any:
        """The type of an id as text."""
        field = Field(pattern=id_pattern(self.use_case), max_length=LONGEST_ID_BYTES, description=self._id_description)
        return Annotated[str, field]

    @cached_property
    def entity_id_in_path(self) -> Any:
        """The type of an id that is a segment of a path."""
        # a constraint is documented where it stands before the validator
        return Annotated[self.entity_id, BeforeValidator(segment_text)]

    @cached_property
    def entity_id_in_body(self) -> Any:
        """The type of an id in JSON, where a whole number may come as a number, too: it stands for its decimal text."""
        if not ids_are_whole_numbers(self.use_case):
            return self.entity_id
        number = {"type": "integer", "minimum": -_LARGEST_NUMBER, "maximum": _LARGEST_NUMBER}
        documented = {
            "anyOf": [{"type": "string", "pattern": id_pattern(self.use_case)}, number],
            "description": self._id_description,
        }
        return Annotated[self.entity_id, BeforeValidator(_as_text), WithJsonSchema(documented)]

    @property
    def _id_description(self) -> str:
        return f"{self.use_case.entity_key}: {self.use_case.raw_column(self.use_case.entity_key).meaning}"

    @cached_property
    def features(self) -> type[BaseModel]:
        """One row of features, as the service answers it."""
        return self._row("Features", ranges=False)

    @cached_property
    def feature_input(self) -> type[BaseModel]:
        """One row of features, as a caller gives it: every name there, none unknown, each in its range."""
        return self._row("FeatureInput", ranges=True)

    @property
    def predicted(self) -> Any:
        """The type of a prediction."""
        if self.use_case.task == "multiclass":
            return Literal[self.use_case.label.classes]
        return Literal[0, 1] if self.use_case.task == "binary" else float

    @cached_property
    def prediction(self) -> type[BaseModel]:
        return create_model(
            f"{self.title}Prediction",
            __config__=ConfigDict(json_schema_extra={"examples": [self._prediction_example]}),
            id=(str, Field(description="the id that was asked for")),
            **self._outcome(),
            feature_date=(str | None, Field(description="the day of the event that the features describe")),
            stale=(bool, Field(description="the snapshot is older than the use case's limit")),
            variant=_VARIANT,
            model_version=(str, Field(description="version in the model registry")),
            snapshot=(str, Field(description="the snapshot of features")),
            request_id=(str, Field(description="names this answer in the prediction log")),
        )

    @cached_property
    def _prediction_example(self) -> dict[str, Any]:
        return {
            "id": "5137035",
            **self._outcome_example,
            "feature_date": "2020-11-02",
            "stale": False,
            "variant": "champion",
            "model_version": "3",
            "snapshot": "scheduled__2026-01-02-1a2b3c4d",
            "request_id": "6ab0c1d2e3f40000001",
        }

    @property
    def _outcome_example(self) -> dict[str, Any]:
        task, classes = self.use_case.task, self.use_case.label.classes
        if task == "binary":
            return {"prediction": 0, "probability": 0.0135}
        if task == "regression":
            return {"prediction": 151.3}
        rest = 0.3 / (len(classes) - 1)
        return {
            "prediction": classes[0],
            "probabilities": {name: 0.7 if name == classes[0] else rest for name in classes},
        }

    @cached_property
    def row_predictions(self) -> type[BaseModel]:
        """The answer to a list of ids or rows, in the order asked for."""
        member = create_model(
            f"{self.title}BatchMember",
            id=(str | None, Field(description="the id asked for; null for a row of features")),
            **self._outcome(nullable=True),
            feature_date=(str | None, Field(description="the day of the event that the features describe")),
            variant=_VARIANT_OR_NULL,
            model_version=(str | None, Field(description="version in the model registry")),
        )
        return create_model(
            f"{self.title}Predictions",
            predictions=(list[member], Field(description="in the order asked for; null members for an unknown id")),
            stale=(bool, Field(description="the snapshot is older than the use case's limit")),
            snapshot=(str, Field(description="the snapshot of features")),
            request_id=(str, Field(description="names this answer in the prediction log")),
        )

    @cached_property
    def explanation(self) -> type[BaseModel]:
        """The answer of an explanation."""
        regression = self.use_case.task == "regression"
        what = "prediction" if regression else "probability"
        base: Any = (float, Field(description=f"mean {what} of a sample of the snapshot"))
        return create_model(
            f"{self.title}Explanation",
            id=(str, ...),
            **self._outcome(),
            **{f"base_{what}": base},
            contributions=(list[Contribution], Field(description=f"add up to {_EXPLAINED[self.use_case.task]}")),
            reasons=(list[Reason], Field(description=_REASONS[self.use_case.task])),
            feature_date=(str | None, ...),
            variant=_VARIANT,
            model_version=(str, ...),
            snapshot=(str, ...),
            request_id=(str, ...),
        )

    @cached_property
    def predict_request(self) -> Any:
        """The body of a prediction: an id, a list of ids, or rows of features."""
        by_id = create_model(f"{self.title}ById", __config__=_STRICT, id=(self.entity_id_in_body, ...))
        by_ids = create_model(
            f"{self.title}ByIds", __config__=_STRICT, ids=(self._several(self.entity_id_in_body), ...)
        )
        by_rows: Any = self.rows_request
        return Annotated[
            Annotated[by_id, Tag("id")] | Annotated[by_ids, Tag("ids")] | Annotated[by_rows, Tag("rows")],
            Discriminator(
                _which_body,
                custom_error_type="which_body",
                custom_error_message="expected one of the members id, ids or rows",
            ),
        ]

    @cached_property
    def rows_request(self) -> type[BaseModel]:
        return create_model(f"{self.title}ByRows", __config__=_STRICT, rows=(self._several(self.feature_input), ...))

    @cached_property
    def features_request(self) -> type[BaseModel]:
        return create_model(
            f"{self.title}FeaturesRequest", __config__=_STRICT, ids=(self._several(self.entity_id_in_body), ...)
        )

    @cached_property
    def features_answer(self) -> type[BaseModel]:
        features: Any = self.features
        member = create_model(
            f"{self.title}FeatureRow",
            id=(str, ...),
            feature_date=(str | None, ...),
            features=(features | None, Field(description="null for an unknown id")),
        )
        return create_model(
            f"{self.title}FeatureRows",
            rows=(list[member], Field(description="in the order asked for")),
            stale=(bool, ...),
            snapshot=(str, ...),
            request_id=(str, ...),
        )

    def _outcome(self, *, nullable: bool = False) -> dict[str, Any]:
        """The fields of what was predicted (``mlops_platform.models.outcome``)."""
        label = self.use_case.label
        fields: dict[str, tuple[Any, str]] = {}
        if self.use_case.task == "binary":
            fields["prediction"] = (self.predicted, f"1: {label.positive}; 0: {label.negative}")
            fields["probability"] = (float, f"of 1: {label.positive}")
        elif self.use_case.task == "multiclass":
            fields["prediction"] = (self.predicted, f"the most probable: {label.meaning}")
            fields["probabilities"] = (dict[str, float], f"by class: {', '.join(label.classes)}")
        else:
            fields["prediction"] = (self.predicted, label.meaning)
        return {
            name: (kind | None if nullable else kind, Field(description=description))
            for name, (kind, description) in fields.items()
        }

    def _several(self, kind: Any) -> Any:
        return Annotated[list[kind], Field(min_length=1, max_length=self.batch_limit)]

    def _row(self, suffix: str, *, ranges: bool) -> type[BaseModel]:
        fields = {feature.name: (feature_type(feature, ranges=ranges), ...) for feature in self.use_case.features}
        example: JsonDict = {feature.name: feature.example for feature in self.use_case.features}
        config = ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})
        return create_model(f"{self.title}{suffix}", __config__=config, **fields)  # type: ignore[call-overload, no-any-return]


class Contribution(BaseModel):
    """One feature's share of a prediction."""

    feature: str
    value: float | int | str | None
    contribution: float


class Reason(BaseModel):
    """One reason for a prediction."""

    code: str
    text: str


class ModelCard(BaseModel):
    """The model that answers now.

    ``fingerprint`` is of the formulas of the features that it was trained on; None: of before there was one.
    """

    use_case: str
    variant: Literal["champion", "challenger"]
    model_version: str
    family: str
    registered_at: str
    trained_on_snapshot: str
    fingerprint: str | None
    git_sha: str
    manifest_sha256: str
    task: Task
    classes: list[str]
    threshold: float | None = Field(description="of a binary task: the probability from which on a row is a 1")
    compiled: bool = Field(description="run in compiled form; otherwise by scikit-learn, which is slower")
    not_compiled: str | None = Field(description="why there is no compiled form")
    features: list[dict[str, Any]]
    metrics: dict[str, Any]
    snapshot: str | None


def feature_type(feature: Feature, *, ranges: bool) -> Any:
    """The type of one feature's value; with ``ranges`` as a caller gives it."""
    kind: Any
    if feature.type == "string":
        kind = Literal[feature.allowed] if ranges and feature.allowed else str
        bounds: dict[str, Any] = {} if feature.allowed else {"max_length": 10_000}
    else:
        kind = int if feature.type == "int" else float
        lowest = feature.minimum if feature.minimum is not None else (-_INT_MAXIMUM - 1 if kind is int else None)
        highest = feature.maximum if feature.maximum is not None else (_INT_MAXIMUM if kind is int else None)
        bounds = {
            "strict": True,
            **({} if lowest is None else {"ge": lowest}),
            **({} if highest is None else {"le": highest}),
            **({} if kind is int else {"allow_inf_nan": False}),
        }
    constrained = Annotated[kind, Field(**bounds)] if ranges and bounds else kind
    if kind is int:
        constrained = Annotated[constrained, BeforeValidator(as_whole_number)]
    taken = constrained | None if feature.nullable else constrained
    return Annotated[taken, Field(description=feature.meaning, examples=[feature.example])]


def _as_text(value: Any) -> Any:
    number = as_whole_number(value)
    whole = isinstance(number, int) and not isinstance(number, bool)
    return str(number) if whole and abs(number) <= _LARGEST_NUMBER else value


def as_whole_number(value: Any) -> Any:
    """JSON does not tell 31.0 from 31, and pandas writes a column of whole numbers with a gap that way."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _which_body(value: Any) -> str | None:
    named = [name for name in ("id", "ids", "rows") if isinstance(value, dict) and name in value]
    return named[0] if named else None
