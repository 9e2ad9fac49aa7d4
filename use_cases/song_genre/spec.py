"""Song genre: given a song's audio features, is it reggaeton?"""

from mlops_platform.use_case.short_paths import ColumnsPath, HealthPath, PathColumn
from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Source, Split, UseCase

SHARE = {"minimum": 0.0, "maximum": 1.0}

MEASURED = (
    Feature(
        name="popularity", type="int", nullable=True, minimum=0, maximum=100, example=68, meaning="popularity of today"
    ),
    Feature(name="danceability", type="double", nullable=True, **SHARE, example=0.826, meaning="how danceable it is"),
    Feature(name="energy", type="double", nullable=True, **SHARE, example=0.704, meaning="how energetic it is"),
    Feature(
        name="key", type="int", nullable=True, minimum=-1, maximum=11, example=9, meaning="pitch class; -1 for none"
    ),
    Feature(name="loudness", type="double", nullable=True, minimum=-70, maximum=10, example=-7.527, meaning="decibels"),
    Feature(
        name="mode", type="int", nullable=True, minimum=0, maximum=1, example=1, meaning="1 for major, 0 for minor"
    ),
    Feature(name="speechiness", type="double", nullable=True, **SHARE, example=0.117, meaning="share of spoken words"),
    Feature(name="acousticness", type="double", nullable=True, **SHARE, example=0.189, meaning="how acoustic it is"),
    Feature(name="instrumentalness", type="double", nullable=True, **SHARE, example=4.8e-05, meaning="lack of voices"),
    Feature(name="liveness", type="double", nullable=True, **SHARE, example=0.0617, meaning="presence of an audience"),
    Feature(name="valence", type="double", nullable=True, **SHARE, example=0.741, meaning="how positive it sounds"),
    Feature(
        name="tempo", type="double", nullable=True, minimum=0, maximum=300, example=94.013, meaning="beats per minute"
    ),
    Feature(name="duration", type="int", nullable=True, minimum=0, example=205000, meaning="milliseconds"),
)
"""What is measured of a song: raw columns and features alike. A song that could not be measured has none of it."""

USE_CASE = UseCase(
    name="song_genre",
    title="Song genre",
    description="Given a song's audio features, is it reggaeton? One raw row is one song.",
    owner="song-genre@example.com",
    row_key="id_new",
    entity_key="id_new",
    sources=(
        Source(name="reggaeton", label=1, lacks=("time_signature",), missing=("NA",)),
        Source(name="todotipo", label=0, missing=("NA",)),
    ),
    raw=(
        RawColumn(name="row_number", arrives_as="", type="int", minimum=1, meaning="the line's number in its file"),
        *(
            RawColumn(
                name=measured.name,
                type=measured.type,
                nullable=True,
                minimum=measured.minimum,
                maximum=measured.maximum,
                meaning=measured.meaning,
            )
            for measured in MEASURED
        ),
        RawColumn(
            name="time_signature", type="int", nullable=True, minimum=0, maximum=7, meaning="beats in a bar, about"
        ),
        RawColumn(name="id_new", type="int", minimum=1, meaning="the song; unique in both files, and given by genre"),
    ),
    features=MEASURED,
    label=Label(name="reggaeton", meaning="the song is reggaeton", positive="reggaeton", negative="another genre"),
    split=Split(by="random", holdout_fraction=0.3),
    folds=5,
    candidates=(Candidate(family="gradient_boosting", parameters={"n_estimators": 100, "max_depth": 3}),),
    primary_metric="average_precision",
    gate=QualityGate(
        minimum={"roc_auc": 0.85},
        gain_over_baseline={"average_precision": 0.2},
        largest_loss_to_champion={"roc_auc": 0.03},
    ),
    short_paths=(
        ColumnsPath(
            path="/get_prediction",
            columns=(
                *(PathColumn(name=measured.name, feature=measured.name) for measured in MEASURED),
                PathColumn(name="id_new"),
            ),
        ),
        HealthPath(path="/check_service", answer={"Message": "The service is up"}),
    ),
)
