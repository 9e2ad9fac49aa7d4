"""Toy: is a coin's next throw heads? Written like any use case, to prove that three files are enough."""

from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Split, UseCase

USE_CASE = UseCase(
    name="toy",
    title="Toy",
    description="Is the next throw of a coin heads? One raw row is one throw.",
    owner="toy@example.com",
    row_key="throw_id",
    entity_key="coin",
    event_time="thrown_on",
    raw=(
        RawColumn(name="throw_id", type="long", meaning="the throw; unique", minimum=0),
        RawColumn(name="coin", type="string", meaning="the coin"),
        RawColumn(name="thrown_on", type="date", meaning="the day"),
        RawColumn(name="heads", type="int", meaning="1 for heads", minimum=0, maximum=1),
        RawColumn(name="weight", type="double", nullable=True, meaning="grams", minimum=0),
    ),
    features=(
        Feature(name="throws_before", type="int", minimum=0, example=3, meaning="earlier throws of the coin"),
        Feature(name="weight", type="double", nullable=True, minimum=0, example=7.5, meaning="grams"),
    ),
    label=Label(name="heads", meaning="the throw is heads", positive="heads", negative="tails"),
    split=Split(by="time", holdout_fraction=0.25),
    candidates=(
        Candidate(family="logistic_regression", parameters={"C": 1.0}),
        Candidate(family="random_forest", parameters={"n_estimators": 10, "max_depth": 3}),
    ),
    primary_metric="roc_auc",
    gate=QualityGate(minimum={"roc_auc": 0.6}),
    schedule=None,
)
