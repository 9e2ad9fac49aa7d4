import re

import pytest
from pydantic import ValidationError

from mlops_platform.errors import UnknownUseCase
from mlops_platform.use_case.find import all_use_cases, get_use_case
from mlops_platform.use_case.spec import Feature, Label, QualityGate, RawColumn, Rule, Source, Split, UseCase


def remade(spec: UseCase, **changes: object) -> UseCase:
    """The spec with some fields changed, validated anew."""
    return UseCase(**{**{name: getattr(spec, name) for name in UseCase.model_fields}, **changes})


NO_COLUMN = Label(name="genre", meaning="of this genre", positive="it is", negative="it is not")


def retyped(spec: UseCase, name: str, **changes: object) -> tuple[RawColumn, ...]:
    """The raw columns, one of them changed."""
    return tuple(column.model_copy(update=changes) if column.name == name else column for column in spec.raw)


def test_credit_risk_has_the_columns_of_the_source_in_their_order(credit_risk: UseCase) -> None:
    assert credit_risk.raw_columns == (
        "loan_id", "id", "code_gender", "flag_own_car", "flag_own_realty", "cnt_children", "amt_income_total",
        "name_income_type", "name_education_type", "name_family_status", "name_housing_type", "days_birth",
        "days_employed", "flag_mobil", "flag_work_phone", "flag_phone", "flag_email", "occupation_type",
        "cnt_fam_members", "status", "birthday", "job_start_date", "loan_date", "loan_amount",
    )  # fmt: skip


def test_the_feature_table_is_keys_then_features_then_label(credit_risk: UseCase) -> None:
    assert credit_risk.feature_table == (
        ("loan_id", "long"),
        ("id", "long"),
        ("loan_date", "date"),
        ("age", "int"),
        ("years_on_the_job", "int"),
        ("nb_previous_loans", "int"),
        ("avg_amount_loans_previous", "double"),
        ("flag_own_car", "int"),
        ("status", "int"),
        ("is_latest", "int"),
    )


def test_a_key_that_is_also_the_entity_stands_once_in_the_feature_table(credit_risk: UseCase) -> None:
    spec = remade(credit_risk, row_key="id", event_time=None, split=Split(by="random", holdout_fraction=0.2))
    assert [name for name, _ in spec.feature_table][:2] == ["id", "age"]


def test_the_model_sees_no_key_and_no_label(credit_risk: UseCase) -> None:
    assert not {"id", "loan_id", "status"} & set(credit_risk.feature_names)


def test_every_example_lies_in_its_features_range() -> None:
    for spec in all_use_cases():
        for feature in spec.features:
            if isinstance(feature.example, str):
                continue
            assert feature.minimum is None or feature.example >= feature.minimum
            assert feature.maximum is None or feature.example <= feature.maximum


def test_a_spec_is_frozen(credit_risk: UseCase) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        credit_risk.title = "other"  # type: ignore[misc]


def test_the_transform_returns_all_but_what_the_platform_adds(credit_risk: UseCase) -> None:
    assert (*credit_risk.computed_table, ("is_latest", "int")) == credit_risk.feature_table


def test_where_the_source_says_the_label_a_raw_row_has_it_all_the_same(credit_risk: UseCase) -> None:
    sources = (Source(name="one", label=1), Source(name="rest", label=0, lacks=("flag_email",), missing=("NA",)))
    spec = remade(credit_risk, label=NO_COLUMN, sources=sources)

    assert [column.name for column in spec.raw_table] == [*credit_risk.raw_columns, "genre"]
    assert (spec.raw_table[-1].type, spec.raw_table[-1].nullable) == ("int", True)
    assert spec.computed_table[-1] == ("genre", "int")
    assert credit_risk.raw_table == credit_risk.raw


def refused(spec: UseCase) -> list[tuple[dict[str, object], str]]:
    """Changes by which a spec makes no sense, and what is said of them."""
    feature = Feature(name="snapshot", type="int", meaning="the platform's", example=1)
    named = RawColumn(name="ID", type="long", meaning="again")
    return [
        ({"entity_key": "customer"}, "entity_key 'customer' is no raw column; raw columns are loan_id, id,"),
        ({"event_time": None}, "a split by time needs an event_time"),
        ({"row_key": "age_of_loan"}, "row_key 'age_of_loan' is no raw column"),
        ({"event_time": "occupation_type"}, "event_time 'occupation_type' is a string; it has to be one of date, time"),
        ({"entity_key": "loan_amount"}, "entity_key 'loan_amount' is a double; it has to be one of int, long, string"),
        ({"raw": (*spec.raw, named)}, "raw column declared twice: ID, id"),
        ({"raw": retyped(spec, "id", arrives_as="status")}, "name in the file declared twice: status"),
        ({"features": (*spec.features, spec.features[0])}, "feature declared twice: age"),
        ({"features": (feature,)}, "snapshot: the platform has a column of this name in each row of features"),
        ({"features": (feature.model_copy(update={"name": "is_latest"}),)}, "is_latest: the platform has a column"),
        ({"features": (feature.model_copy(update={"name": "loan_date"}),)}, "a model must not see loan_date"),
        ({"raw": retyped(spec, "status", type="string")}, "label 'status' is a string without classes"),
        ({"label": NO_COLUMN}, "label 'genre' is no raw column, and no source has it as a constant"),
        ({"sources": ()}, "sources\n  Tuple should have at least 1 item"),
        ({"sources": (Source(name="a", label=1),)}, "'status' is a raw column, and source a has a label; keep one"),
        ({"label": NO_COLUMN, "sources": (Source(name="a", label=2),)}, "source a has the label 2; the classes are 0"),
        ({"sources": (Source(name="a"), Source(name="a"))}, "source declared twice: a"),
        ({"sources": (Source(name="a", lacks=("genre",)),)}, "source a lacks 'genre', which is no raw column"),
        ({"sources": (Source(name="a", lacks=("id",)),)}, "source a cannot lack id: every row needs its keys"),
        ({"sources": (Source(name="a", lacks=("birthday",)),)}, "source a lacks birthday: declare it nullable"),
        ({"rules": (Rule(name="r", condition="true"),) * 2}, "rule declared twice: r"),
    ]


def test_a_spec_that_makes_no_sense_says_where(credit_risk: UseCase) -> None:
    for changes, message in refused(credit_risk):
        with pytest.raises(ValidationError, match=re.escape(message)):
            remade(credit_risk, **changes)


def test_the_label_cannot_be_a_feature(credit_risk: UseCase) -> None:
    leaking = (*credit_risk.features, credit_risk.features[0].model_copy(update={"name": "status"}))
    with pytest.raises(ValidationError, match="a model must not see status: it is a key or the label"):
        remade(credit_risk, features=leaking)


def test_the_spec_hash_follows_the_features_and_not_the_prose_around_them(credit_risk: UseCase) -> None:
    fewer = remade(credit_risk, features=credit_risk.features[:-1])
    retitled = remade(credit_risk, title="other words")
    assert retitled.spec_hash == credit_risk.spec_hash
    assert fewer.spec_hash != credit_risk.spec_hash


CLASSES = Label(name="status", meaning="how it ended", classes=("late", "never", "on time"))
NUMBER = Label(name="status", meaning="days late")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "int"),
        ({"task": "multiclass", "label": CLASSES, "primary_metric": "log_loss", "gate": QualityGate()}, "string"),
        ({"task": "regression", "label": NUMBER, "primary_metric": "rmse", "gate": QualityGate()}, "double"),
    ],
)
def test_the_task_decides_the_type_of_the_label(credit_risk: UseCase, changes: dict[str, object], kind: str) -> None:
    assert dict(remade(credit_risk, **changes).feature_table)["status"] == kind


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": NUMBER}, "the label status of a binary task needs positive and negative, and no classes"),
        (
            {"task": "multiclass"},
            "the label status of a multiclass task needs two different classes or more, and neither positive nor",
        ),
        (
            {"task": "multiclass", "label": CLASSES.model_copy(update={"classes": ("late", "late")})},
            "the label status of a multiclass task needs two different classes or more",
        ),
        ({"task": "regression", "label": CLASSES}, "the label status of a regression is a number: it has classes"),
        ({"task": "regression"}, "the label status of a regression is a number: it has positive, negative"),
        (
            {"task": "regression", "label": NUMBER},
            "average_precision, roc_auc cannot be measured of a regression task; its metrics are rmse, mae, r2",
        ),
        (
            {"gate": QualityGate(maximum={"mae": 3})},
            "mae cannot be measured of a binary task; its metrics are roc_auc,",
        ),
    ],
)
def test_a_label_and_metrics_are_those_of_the_task(
    credit_risk: UseCase, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        remade(credit_risk, **changes)


def test_the_spec_hash_follows_the_task_and_the_order_of_its_classes(credit_risk: UseCase) -> None:
    several = {"task": "multiclass", "primary_metric": "log_loss", "gate": QualityGate()}
    specs = [
        credit_risk,
        remade(credit_risk, label=CLASSES, **several),
        remade(credit_risk, label=CLASSES.model_copy(update={"classes": CLASSES.classes[::-1]}), **several),
        remade(credit_risk, task="regression", label=NUMBER, primary_metric="rmse", gate=QualityGate()),
    ]
    assert len({spec.spec_hash for spec in specs}) == 4


def test_an_unknown_use_case_names_the_closest() -> None:
    with pytest.raises(UnknownUseCase) as caught:
        get_use_case("credit_rsk")
    assert str(caught.value).startswith(
        "there is no use case 'credit_rsk'. Remedy: did you mean 'credit_risk'? the use cases are "
    )


def test_a_split_by_time_has_no_folds(credit_risk: UseCase) -> None:
    with pytest.raises(ValidationError, match="a split by time has no folds"):
        remade(credit_risk, folds=5)


def test_folds_are_nothing_that_a_model_depends_on(credit_risk: UseCase) -> None:
    drawn = remade(credit_risk, split=Split(by="random", holdout_fraction=0.2))
    assert remade(drawn, folds=5).spec_hash == drawn.spec_hash
