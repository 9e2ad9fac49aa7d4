import re

import pytest
from pydantic import ValidationError

from mlops_platform.errors import UnknownUseCase
from mlops_platform.use_case.find import all_use_cases, get_use_case
from mlops_platform.use_case.spec import RawColumn, Split, UseCase


def remade(spec: UseCase, **changes: object) -> UseCase:
    """The spec with some fields changed, validated anew."""
    return UseCase(**{**{name: getattr(spec, name) for name in UseCase.model_fields}, **changes})


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entity_key": "customer"}, "entity_key 'customer' is no raw column; raw columns are loan_id, id,"),
        ({"event_time": None}, "a split by time needs an event_time"),
        ({"row_key": "age_of_loan"}, "row_key 'age_of_loan' is no raw column"),
    ],
)
def test_a_spec_that_contradicts_itself_says_where(
    credit_risk: UseCase, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        remade(credit_risk, **changes)


def test_a_column_declared_twice_is_refused(credit_risk: UseCase) -> None:
    doubled = (*credit_risk.raw, RawColumn(name="id", type="long", meaning="again"))
    with pytest.raises(ValidationError, match="raw column declared twice: id"):
        remade(credit_risk, raw=doubled)


def test_the_label_cannot_be_a_feature(credit_risk: UseCase) -> None:
    leaking = (*credit_risk.features, credit_risk.features[0].model_copy(update={"name": "status"}))
    with pytest.raises(ValidationError, match="a model must not see status: it is a key or the label"):
        remade(credit_risk, features=leaking)


def test_the_spec_hash_follows_the_features_and_not_the_prose_around_them(credit_risk: UseCase) -> None:
    fewer = remade(credit_risk, features=credit_risk.features[:-1])
    retitled = remade(credit_risk, title="other words")
    assert retitled.spec_hash == credit_risk.spec_hash
    assert fewer.spec_hash != credit_risk.spec_hash


def test_an_unknown_use_case_names_the_closest() -> None:
    with pytest.raises(UnknownUseCase) as caught:
        get_use_case("credit_rsk")
    assert str(caught.value).startswith(
        "there is no use case 'credit_rsk'. Remedy: did you mean 'credit_risk'? the use cases are "
    )
