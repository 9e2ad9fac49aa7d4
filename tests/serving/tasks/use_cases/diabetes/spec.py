"""Diabetes: how far does it advance in a year? Rows of scikit-learn's data set; one row is one patient."""

from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Split, UseCase

MEASURED = ("age", "bmi", "bp", "s5")

USE_CASE = UseCase(
    name="diabetes",
    title="Diabetes",
    description="How far does the disease advance in a year? One raw row is one patient.",
    owner="diabetes@example.com",
    row_key="patient",
    entity_key="patient",
    raw=(
        RawColumn(name="patient", type="long", meaning="the patient; unique"),
        *(RawColumn(name=name, type="double", nullable=True, meaning="as measured") for name in MEASURED),
        RawColumn(name="progress", type="double", nullable=True, meaning="after a year"),
    ),
    features=(
        *(Feature(name=name, type="double", nullable=True, example=0.01, meaning=name) for name in MEASURED),
        Feature(name="sex", type="string", nullable=True, example="f", allowed=("f", "m"), meaning="sex"),
    ),
    task="regression",
    label=Label(name="progress", meaning="how far the disease is after a year"),
    split=Split(by="random", holdout_fraction=0.25),
    candidates=(
        Candidate(family="gradient_boosting", parameters={"n_estimators": 20, "max_depth": 3}),
        Candidate(family="support_vectors", parameters={"C": 100.0}),
    ),
    primary_metric="rmse",
    gate=QualityGate(maximum={"mae": 60}, minimum={"r2": 0.2}, gain_over_baseline={"rmse": 5}),
    schedule=None,
)
