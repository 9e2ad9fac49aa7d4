"""Titanic: given a passenger, did they survive?"""

from mlops_platform.use_case.short_paths import PathColumn, RowsPath
from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Split, UseCase

PORTS = ("C", "Q", "S")
"""Cherbourg, Queenstown, Southampton."""
SEXES = ("female", "male")
CLASSES = (1, 2, 3)

USE_CASE = UseCase(
    name="titanic",
    title="Titanic",
    description="Given a passenger, did they survive? One raw row is one passenger.",
    owner="titanic@example.com",
    row_key="passenger_id",
    entity_key="passenger_id",
    raw=(
        RawColumn(
            name="passenger_id", arrives_as="PassengerId", type="int", minimum=1, meaning="the passenger; unique"
        ),
        RawColumn(
            name="survived",
            arrives_as="Survived",
            type="int",
            nullable=True,
            minimum=0,
            maximum=1,
            meaning="1 if the passenger survived; empty if that is not known",
        ),
        RawColumn(name="pclass", arrives_as="Pclass", type="int", minimum=1, maximum=3, meaning="the ticket's class"),
        RawColumn(name="name", arrives_as="Name", type="string", meaning="surname, title, first names"),
        RawColumn(name="sex", arrives_as="Sex", type="string", allowed=SEXES, meaning="sex as recorded"),
        RawColumn(
            name="age", arrives_as="Age", type="double", nullable=True, minimum=0, maximum=120, meaning="age in years"
        ),
        RawColumn(name="sib_sp", arrives_as="SibSp", type="int", minimum=0, meaning="siblings and spouses aboard"),
        RawColumn(name="parch", arrives_as="Parch", type="int", minimum=0, meaning="parents and children aboard"),
        RawColumn(name="ticket", arrives_as="Ticket", type="string", meaning="the ticket's number"),
        RawColumn(name="fare", arrives_as="Fare", type="double", nullable=True, minimum=0, meaning="fare in pounds"),
        RawColumn(name="cabin", arrives_as="Cabin", type="string", nullable=True, meaning="the cabin's number"),
        RawColumn(
            name="embarked",
            arrives_as="Embarked",
            type="string",
            nullable=True,
            allowed=PORTS,
            meaning="where the passenger went aboard: Cherbourg, Queenstown, Southampton",
        ),
    ),
    features=(
        Feature(
            name="age",
            type="double",
            nullable=True,
            minimum=0,
            maximum=120,
            example=17,
            meaning="age in years, if known",
        ),
        Feature(name="sib_sp", type="int", minimum=0, example=0, meaning="siblings and spouses aboard"),
        Feature(name="parch", type="int", minimum=0, example=1, meaning="parents and children aboard"),
        Feature(name="fare", type="double", nullable=True, minimum=0, example=53.1, meaning="fare in pounds"),
        Feature(
            name="embarked",
            type="string",
            nullable=True,
            allowed=PORTS,
            example="S",
            meaning="where the passenger went aboard: Cherbourg, Queenstown, Southampton",
        ),
        Feature(name="sex", type="string", allowed=SEXES, example="female", meaning="sex as recorded"),
        Feature(name="pclass", type="int", minimum=1, maximum=3, example=1, meaning="the ticket's class"),
    ),
    label=Label(name="survived", meaning="the passenger survived", positive="survived", negative="died"),
    split=Split(by="random", holdout_fraction=0.2),
    candidates=(
        Candidate(family="linear_svc", parameters={"C": 0.1}),
        Candidate(family="random_forest", parameters={"n_estimators": 200, "max_depth": 6, "min_samples_leaf": 2}),
    ),
    primary_metric="roc_auc",
    gate=QualityGate(
        minimum={"roc_auc": 0.75},
        gain_over_baseline={"average_precision": 0.2},
        largest_loss_to_champion={"roc_auc": 0.03},
    ),
    short_paths=(
        RowsPath(
            path="/score",
            columns=(
                PathColumn(name="Age", feature="age"),
                PathColumn(name="SibSp", feature="sib_sp"),
                PathColumn(name="Parch", feature="parch"),
                PathColumn(name="Fare", feature="fare"),
                *(PathColumn(name=port, feature="embarked", value=port) for port in PORTS),
                *(PathColumn(name=sex, feature="sex", value=sex) for sex in SEXES),
                *(PathColumn(name=f"Class_{number}", feature="pclass", value=number) for number in CLASSES),
            ),
        ),
    ),
)
