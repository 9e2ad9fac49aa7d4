"""Credit risk: given a customer id, will the loan be repaid on time?"""

from mlops_platform.use_case.short_paths import ByIdPath
from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Split, UseCase

NOT_EMPLOYED_SINCE = "3021-09-18"
"""The job start by which the source marks a customer without a job."""

USE_CASE = UseCase(
    name="credit_risk",
    title="Credit risk",
    description="Given a customer's id, will the loan be repaid on time? One raw row is one loan.",
    owner="credit-risk@example.com",
    row_key="loan_id",
    entity_key="id",
    event_time="loan_date",
    raw=(
        RawColumn(name="loan_id", type="long", meaning="the loan; unique", minimum=0),
        RawColumn(name="id", type="long", meaning="the customer", minimum=0),
        RawColumn(name="code_gender", type="string", nullable=True, allowed=("F", "M"), meaning="gender as recorded"),
        RawColumn(name="flag_own_car", type="string", nullable=True, allowed=("Y", "N"), meaning="owns a car"),
        RawColumn(name="flag_own_realty", type="string", nullable=True, allowed=("Y", "N"), meaning="owns real estate"),
        RawColumn(name="cnt_children", type="int", nullable=True, minimum=0, maximum=30, meaning="number of children"),
        RawColumn(name="amt_income_total", type="double", nullable=True, minimum=0, meaning="yearly income"),
        RawColumn(name="name_income_type", type="string", nullable=True, meaning="source of income"),
        RawColumn(name="name_education_type", type="string", nullable=True, meaning="highest education"),
        RawColumn(name="name_family_status", type="string", nullable=True, meaning="marital status"),
        RawColumn(name="name_housing_type", type="string", nullable=True, meaning="way of housing"),
        RawColumn(
            name="days_birth", type="int", nullable=True, meaning="days from the extract back to birth, negative"
        ),
        RawColumn(name="days_employed", type="int", nullable=True, meaning="days from the extract back to job start"),
        RawColumn(name="flag_mobil", type="int", nullable=True, minimum=0, maximum=1, meaning="has a mobile phone"),
        RawColumn(name="flag_work_phone", type="int", nullable=True, minimum=0, maximum=1, meaning="has a work phone"),
        RawColumn(name="flag_phone", type="int", nullable=True, minimum=0, maximum=1, meaning="has a phone"),
        RawColumn(name="flag_email", type="int", nullable=True, minimum=0, maximum=1, meaning="has an e-mail address"),
        RawColumn(name="occupation_type", type="string", nullable=True, meaning="occupation"),
        RawColumn(name="cnt_fam_members", type="double", nullable=True, minimum=0, meaning="members of the family"),
        RawColumn(name="status", type="int", minimum=0, maximum=1, meaning="1 if the loan was not repaid on time"),
        RawColumn(name="birthday", type="date", meaning="date of birth"),
        RawColumn(
            name="job_start_date",
            type="date",
            nullable=True,
            meaning=f"start of the present job; {NOT_EMPLOYED_SINCE} marks a customer without one",
        ),
        RawColumn(name="loan_date", type="date", meaning="the day the loan was granted"),
        RawColumn(name="loan_amount", type="double", minimum=0, maximum=1e9, meaning="the amount lent"),
    ),
    features=(
        Feature(
            name="age",
            type="int",
            minimum=0,
            maximum=130,
            example=31,
            meaning="full years from the birthday to the loan",
        ),
        Feature(
            name="years_on_the_job",
            type="int",
            nullable=True,
            minimum=0,
            maximum=130,
            example=12,
            meaning="full years from the job's start to the loan; null if not employed on that day",
        ),
        Feature(
            name="nb_previous_loans",
            type="int",
            minimum=0,
            example=9,
            meaning="loans of the customer with a strictly earlier date",
        ),
        Feature(
            name="avg_amount_loans_previous",
            type="double",
            nullable=True,
            minimum=0,
            example=153.12,
            meaning="mean amount of the same loans; null if there is none",
        ),
        Feature(
            name="flag_own_car",
            type="int",
            nullable=True,
            minimum=0,
            maximum=1,
            example=1,
            meaning="1 if the customer owns a car, 0 if not, null if unknown",
        ),
    ),
    label=Label(
        name="status",
        meaning="the loan was not repaid on time",
        positive="not repaid on time",
        negative="repaid on time",
    ),
    split=Split(by="time", holdout_fraction=0.2),
    candidates=(
        Candidate(family="logistic_regression", parameters={"C": 1.0}),
        Candidate(family="random_forest", parameters={"n_estimators": 100, "max_depth": 8, "min_samples_leaf": 50}),
    ),
    primary_metric="average_precision",
    gate=QualityGate(
        minimum={"roc_auc": 0.55},
        gain_over_baseline={"average_precision": 0.002},
        # the whole gain over the baseline is about 0.01
        largest_loss_to_champion={"average_precision": 0.005, "roc_auc": 0.02},
    ),
    short_paths=(
        ByIdPath(path="/features", answers="features", parameter="user_id"),
        ByIdPath(path="/predict", answers="prediction", parameter="user_id"),
    ),
)
