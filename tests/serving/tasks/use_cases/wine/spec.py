"""Wine: from which of three grapes is it? Rows of scikit-learn's data set; one row is one wine."""

from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Split, UseCase

MEASURED = ("alcohol", "malic_acid", "flavanoids", "color_intensity", "proline")
GRAPES = ("Nebbiolo", "Grignolino", "Barbera d'Asti")

USE_CASE = UseCase(
    name="wine",
    title="Wine",
    description="Which grape is a wine of? One raw row is one wine.",
    owner="wine@example.com",
    row_key="bottle",
    entity_key="bottle",
    raw=(
        RawColumn(name="bottle", type="long", meaning="the wine; unique"),
        *(RawColumn(name=name, type="double", nullable=True, meaning="as measured") for name in MEASURED),
        RawColumn(name="grape", type="string", nullable=True, meaning="the grape", allowed=GRAPES),
    ),
    features=tuple(
        Feature(name=name, type="double", nullable=True, minimum=0, example=12.5, meaning=name.replace("_", " "))
        for name in MEASURED
    ),
    task="multiclass",
    label=Label(name="grape", meaning="the grape it was made of", classes=GRAPES),
    split=Split(by="random", holdout_fraction=0.3),
    candidates=(
        Candidate(family="gradient_boosting", parameters={"n_estimators": 20, "max_depth": 2}),
        Candidate(family="nearest_neighbours", parameters={"n_neighbors": 5}),
    ),
    primary_metric="log_loss",
    gate=QualityGate(
        minimum={"accuracy": 0.8, "roc_auc_ovr": 0.9},
        gain_over_baseline={"log_loss": 0.3},
        largest_loss_to_champion={"f1_macro": 0.05},
    ),
    schedule=None,
)
