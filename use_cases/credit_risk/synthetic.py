"""Made-up credit-risk loans with the character of the real file: 777,715 loans of 36,457 customers in two years.

Only the uniform numbers of PCG64 are drawn, whose sequence numpy keeps from version to version; every other
distribution is computed here. So a seed gives the same bytes on another machine and with a later numpy.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from mlops_platform.errors import PlatformError
from mlops_platform.lake.types import ARROW_TYPES
from use_cases.credit_risk.spec import USE_CASE

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FULL_ROWS = 777_715
FULL_CUSTOMERS = 36_457
FIRST_ID, LAST_ID = 5_008_804, 5_150_487
KNOWN_IDS = (5_008_804, 5_008_827, 5_021_985, 5_137_035)
"""Customers that every sample holds: the examples of the documentation ask for them."""

POSITIVE_SHARE = 0.0149
NOT_EMPLOYED_SHARE = 0.16  # of the loans
NO_CAR_RECORD_SHARE = 0.005
JOB_SINCE_LAST_LOANS_SHARE = 0.006

EXTRACTED_ON = dt.date(2021, 9, 17)
"""The day the source counts ``days_birth`` and ``days_employed`` from."""
FIRST_LOAN_DATE, LAST_LOAN_DATE = dt.date(2019, 1, 1), dt.date(2020, 12, 30)
YOUNGEST_DAYS, OLDEST_DAYS = 7_489, 25_152  # born 2001-03-15 and 1952-11-04
NOT_EMPLOYED_DAYS = 365_243  # a job start on 3021-09-18
KNOWN_BIRTH_DAYS, KNOWN_JOB_DAYS = -12_005, -4_542  # customer 5008804: born 1988-11-04, in the job since 2009-04-11

# amount = 100 + a lognormal excess that flattens out below 820
SMALLEST_AMOUNT, AMOUNT_RANGE, MEDIAN_EXCESS = 100.0, 720.0, 18.0
SPREAD_OF_CUSTOMERS, SPREAD_OF_LOANS = 0.40, 0.915

INCOME_TYPES = (("Working", 0.62), ("Commercial associate", 0.28), ("State servant", 0.0995), ("Student", 0.0005))
EDUCATION = (
    ("Secondary / secondary special", 0.676),
    ("Higher education", 0.275),
    ("Incomplete higher", 0.038),
    ("Lower secondary", 0.010),
    ("Academic degree", 0.001),
)
FAMILY = (
    ("Married", 0.690),
    ("Single / not married", 0.132),
    ("Civil marriage", 0.081),
    ("Separated", 0.057),
    ("Widow", 0.040),
)
HOUSING = (
    ("House / apartment", 0.893),
    ("With parents", 0.048),
    ("Municipal apartment", 0.031),
    ("Rented apartment", 0.016),
    ("Office apartment", 0.007),
    ("Co-op apartment", 0.005),
)
OCCUPATIONS = (
    (None, 0.18),
    ("Laborers", 0.20),
    ("Core staff", 0.12),
    ("Sales staff", 0.11),
    ("Managers", 0.10),
    ("Drivers", 0.08),
    ("High skill tech staff", 0.05),
    ("Accountants", 0.04),
    ("Medicine staff", 0.04),
    ("Cooking staff", 0.02),
    ("Security staff", 0.02),
    ("Cleaning staff", 0.02),
    ("Private service staff", 0.01),
    ("Low-skill Laborers", 0.01),
)

_SCHEMA = pa.schema([(column.name, ARROW_TYPES[column.type]) for column in USE_CASE.raw])
_DECIMALS = {"amt_income_total": 1, "cnt_fam_members": 1, "loan_amount": 6}


@dataclass(frozen=True)
class _Loans:
    """One entry per loan, ordered by customer and day. ``customer`` is the index into the customers' columns."""

    customer: Integers
    day: Integers  # since 1970-01-01
    amount: Floats


def generate(rows: int, seed: int) -> pa.Table:
    """Loans in random order, with the spec's columns in their order. Grain: one loan.

    The number of customers follows the number of rows. Above the full size the ids go on beyond the last one.

    Raises:
        PlatformError: fewer rows than there are known customers.
    """
    if rows < len(KNOWN_IDS):
        raise PlatformError(
            f"{rows} rows of credit_risk were asked for, at least {len(KNOWN_IDS)} are needed",
            remedy=f"ask for {len(KNOWN_IDS)} rows or more; {FULL_ROWS} is the full size",
        )
    random = np.random.Generator(np.random.PCG64(seed))
    ids = _customer_ids(random, max(len(KNOWN_IDS), round(rows * FULL_CUSTOMERS / FULL_ROWS)), rows)
    loans = _loans(random, len(ids), rows)
    birth_days, job_days = _lives(random, np.bincount(loans.customer, minlength=len(ids)))
    personal = _personal_columns(random, ids, birth_days, job_days)
    car = _pick(random, (("Y", 0.38), ("N", 0.62 - NO_CAR_RECORD_SHARE), (None, NO_CAR_RECORD_SHARE)), len(ids))
    risk = _risk(loans, birth_days, job_days, has_car=_equals(car, "Y"))
    status = _highest(risk + _gumbel(random, rows), round(rows * POSITIVE_SHARE))

    of_customer = pa.table({**personal, "flag_own_car": car}).take(pa.array(loans.customer))
    of_loan = {
        "loan_id": _shuffled_within(random, loans.customer),
        "status": status.astype(np.int32),
        "loan_date": pa.array(loans.day.astype(np.int32)).cast(pa.date32()),
        "loan_amount": loans.amount,
    }
    columns = {**dict(zip(of_customer.column_names, of_customer.columns, strict=True)), **of_loan}
    table = pa.table([columns[name] for name in _SCHEMA.names], names=_SCHEMA.names).cast(_SCHEMA)
    return table.take(pa.array(np.argsort(random.random(rows), kind="stable")))


def write_csv(path: Path, rows: int, seed: int) -> None:
    """Write :func:`generate`'s rows as the source writes them: no quotes, six decimals of an amount, empty for null."""
    table = generate(rows, seed)
    for name, decimals in _DECIMALS.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.decimal128(18, decimals)))
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write((",".join(table.column_names) + "\n").encode())
        pa.csv.write_csv(table, file, options)


def _customer_ids(random: np.random.Generator, customers: int, rows: int) -> Integers:
    """Distinct ids in ascending order, the known ones among them."""
    span = round((LAST_ID - FIRST_ID + 1) * max(1.0, rows / FULL_ROWS))
    order = np.argsort(random.random(span), kind="stable") + FIRST_ID
    others = order[~np.isin(order, KNOWN_IDS)][: customers - len(KNOWN_IDS)]
    return np.sort(np.concatenate([np.array(KNOWN_IDS), others]))


def _loans(random: np.random.Generator, customers: int, rows: int) -> _Loans:
    """Every customer has a loan; the others go to customers by an eagerness that is exponential among them."""
    eagerness = np.cumsum(-np.log1p(-random.random(customers)))
    further = np.searchsorted(eagerness, random.random(rows - customers) * eagerness[-1], side="right")
    customer = np.concatenate([np.arange(customers), np.minimum(further, customers - 1)])
    days = (LAST_LOAN_DATE - FIRST_LOAN_DATE).days + 1
    day = (random.random(rows) * days).astype(np.int64) + _epoch_day(FIRST_LOAN_DATE)
    level = SPREAD_OF_CUSTOMERS * _normal(random, customers)[customer]
    excess = MEDIAN_EXCESS * np.exp(level + SPREAD_OF_LOANS * _normal(random, rows))
    amount = np.round(SMALLEST_AMOUNT + excess / (1 + (excess / AMOUNT_RANGE) ** 4) ** 0.25, 6)
    order = np.lexsort((day, customer))
    return _Loans(customer[order], day[order], amount[order])


def _lives(random: np.random.Generator, loans_of_customer: Integers) -> tuple[Integers, Integers]:
    """Days from the extract to birth and to the job's start, one each per customer; the first is a known one."""
    customers = len(loans_of_customer)
    birth = -(YOUNGEST_DAYS + (random.random(customers) * (OLDEST_DAYS - YOUNGEST_DAYS + 1)).astype(np.int64))
    longest = -birth - 18 * 365
    # most jobs are young; none starts before the age of 18, and only the few below after the first loans
    settled = (EXTRACTED_ON - FIRST_LOAN_DATE).days
    job = -(settled + np.maximum(0, longest - settled) * random.random(customers) ** 2.5).astype(np.int64)
    recent = random.random(customers) < JOB_SINCE_LAST_LOANS_SHARE
    job = np.where(recent, -(270 + random.random(customers) * 700).astype(np.int64), job)
    # mostly the old are without a job: the list ends where their loans reach the wanted share
    pensioners = np.argsort(birth + 5000 * _normal(random, customers), kind="stable")
    pensioners = pensioners[pensioners != 0]
    within = np.cumsum(loans_of_customer[pensioners]) <= NOT_EMPLOYED_SHARE * loans_of_customer.sum()
    job[pensioners[within]] = NOT_EMPLOYED_DAYS
    birth[0], job[0] = KNOWN_BIRTH_DAYS, KNOWN_JOB_DAYS
    return birth, job


def _personal_columns(
    random: np.random.Generator, ids: Integers, birth_days: Integers, job_days: Integers
) -> dict[str, pa.Array]:
    """The columns that are the same in all loans of a customer, but for the car. One entry per customer."""
    customers = len(ids)
    employed = job_days != NOT_EMPLOYED_DAYS
    children = np.searchsorted([0.69, 0.89, 0.98, 0.997], random.random(customers), side="right")
    family = _pick(random, FAMILY, customers)
    couple = _equals(family, "Married") | _equals(family, "Civil marriage")
    income = np.round(160_000 * np.exp(0.5 * _normal(random, customers)) / 4_500) * 4_500
    extracted = _epoch_day(EXTRACTED_ON)
    return {
        "id": pa.array(ids),
        "code_gender": _pick(random, (("F", 0.67), ("M", 0.33)), customers),
        "flag_own_realty": _pick(random, (("Y", 0.67), ("N", 0.33)), customers),
        "cnt_children": pa.array(children),
        "amt_income_total": pa.array(np.clip(income, 27_000, 1_575_000)),
        "name_income_type": _only_where(employed, _pick(random, INCOME_TYPES, customers), otherwise="Pensioner"),
        "name_education_type": _pick(random, EDUCATION, customers),
        "name_family_status": family,
        "name_housing_type": _pick(random, HOUSING, customers),
        "days_birth": pa.array(birth_days),
        "days_employed": pa.array(job_days),
        "flag_mobil": pa.array(np.ones(customers, dtype=np.int64)),
        "flag_work_phone": pa.array((random.random(customers) < 0.23).astype(np.int64)),
        "flag_phone": pa.array((random.random(customers) < 0.29).astype(np.int64)),
        "flag_email": pa.array((random.random(customers) < 0.09).astype(np.int64)),
        "occupation_type": _only_where(employed, _pick(random, OCCUPATIONS, customers), otherwise=None),
        "cnt_fam_members": pa.array((children + 1 + couple).astype(np.float64)),
        "birthday": pa.array((extracted + birth_days).astype(np.int32)).cast(pa.date32()),
        "job_start_date": pa.array((extracted + job_days).astype(np.int32)).cast(pa.date32()),
    }


def _risk(loans: _Loans, birth_days: Integers, job_days: Integers, has_car: npt.NDArray[np.bool_]) -> Floats:
    """The log of each loan's relative risk: the young, the newly hired, those with few, large earlier loans, no car."""
    extracted = _epoch_day(EXTRACTED_ON)
    age = (loans.day - extracted - birth_days[loans.customer]) / 365.25
    job = (loans.day - extracted - job_days[loans.customer]) / 365.25
    rows = np.arange(len(loans.day))
    new_customer = np.diff(loans.customer, prepend=-1) != 0
    new_day = new_customer | (np.diff(loans.day, prepend=-1) != 0)
    first_loan = np.maximum.accumulate(np.where(new_customer, rows, 0))
    first_of_day = np.maximum.accumulate(np.where(new_day, rows, 0))
    previous = first_of_day - first_loan
    lent_before = np.concatenate([[0.0], np.cumsum(loans.amount)])
    lent = lent_before[first_of_day] - lent_before[first_loan]
    mean_amount = np.where(previous > 0, lent / np.maximum(previous, 1), 130.0)
    risk: Floats = (
        -0.028 * (age - 43)
        - 0.045 * np.clip(job, 0, 15)
        - 0.012 * np.minimum(previous, 40)
        + 0.014 * np.clip(mean_amount - 130, -30, 60)
        - 0.45 * has_car[loans.customer]
    )
    return risk


def _shuffled_within(random: np.random.Generator, customer: Integers) -> Integers:
    """Numbers from 0, consecutive for each customer, in no order of time."""
    numbers = np.empty(len(customer), dtype=np.int64)
    numbers[np.lexsort((random.random(len(customer)), customer))] = np.arange(len(customer))
    return numbers


def _highest(scores: Floats, count: int) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(scores), dtype=np.bool_)
    chosen[np.argsort(-scores, kind="stable")[:count]] = True
    return chosen


def _normal(random: np.random.Generator, count: int) -> Floats:
    """Standard normal numbers, by Box and Muller's transform."""
    radius = np.sqrt(-2 * np.log1p(-random.random(count)))
    result: Floats = radius * np.cos(2 * np.pi * random.random(count))
    return result


def _gumbel(random: np.random.Generator, count: int) -> Floats:
    """Noise by which the highest of (log weight + noise) are a weighted draw without replacement."""
    uniform = np.maximum(random.random(count), np.finfo(np.float64).tiny)
    result: Floats = -np.log(-np.log(uniform))
    return result


def _pick(random: np.random.Generator, choices: tuple[tuple[str | None, float], ...], count: int) -> pa.Array:
    bounds = np.cumsum([share for _, share in choices])
    places = np.searchsorted(bounds / bounds[-1], random.random(count), side="right")
    return pa.array([value for value, _ in choices], pa.string()).take(pa.array(places))


def _equals(values: pa.Array, wanted: str) -> npt.NDArray[np.bool_]:
    result: npt.NDArray[np.bool_] = pa.compute.equal(values, wanted).fill_null(False).to_numpy(zero_copy_only=False)
    return result


def _only_where(mask: npt.NDArray[np.bool_], values: pa.Array, otherwise: str | None) -> pa.Array:
    return pa.compute.if_else(pa.array(mask), values, pa.scalar(otherwise, pa.string()))


def _epoch_day(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days
