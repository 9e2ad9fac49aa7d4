import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.lake import tables
from mlops_platform.use_case.spec import UseCase

COLUMNS = (
    "`loan_id`, `id`, `loan_date`, `age`, `years_on_the_job`, `nb_previous_loans`, `avg_amount_loans_previous`, "
    "`flag_own_car`, `status`"
)
TABLE = {
    "loan_id": "bigint",
    "id": "bigint",
    "loan_date": "date",
    "age": "int",
    "years_on_the_job": "int",
    "nb_previous_loans": "int",
    "avg_amount_loans_previous": "double",
    "flag_own_car": "int",
    "status": "int",
    "is_latest": "int",
    "snapshot": "string",
}


def test_the_history_table_is_derived_from_the_spec(credit_risk: UseCase) -> None:
    assert tables.create_history_table(credit_risk, "file:///lake/it's") == (
        "CREATE EXTERNAL TABLE IF NOT EXISTS features.credit_risk (\n"
        "  `loan_id` BIGINT,\n"
        "  `id` BIGINT,\n"
        "  `loan_date` DATE,\n"
        "  `age` INT,\n"
        "  `years_on_the_job` INT,\n"
        "  `nb_previous_loans` INT,\n"
        "  `avg_amount_loans_previous` DOUBLE,\n"
        "  `flag_own_car` INT,\n"
        "  `status` INT,\n"
        "  `is_latest` INT\n"
        ")\n"
        "PARTITIONED BY (snapshot STRING)\n"
        "STORED AS PARQUET\n"
        "LOCATION 'file:///lake/it\\'s'"
    )


def test_views_are_made_once_and_then_altered(credit_risk: UseCase) -> None:
    current = f"SELECT {COLUMNS}, `is_latest`, snapshot FROM features.credit_risk WHERE snapshot = 'a'"
    latest = f"SELECT {COLUMNS}, snapshot FROM features.credit_risk WHERE snapshot = 'a' AND is_latest = 1"

    assert tables.move_views(credit_risk, "a") == [
        f"CREATE VIEW IF NOT EXISTS features.credit_risk_current AS {current}",
        f"ALTER VIEW features.credit_risk_current AS {current}",
        f"CREATE VIEW IF NOT EXISTS features.credit_risk_latest AS {latest}",
        f"ALTER VIEW features.credit_risk_latest AS {latest}",
    ]


def test_a_partition_is_put_where_the_attempt_wrote(credit_risk: UseCase) -> None:
    assert tables.put_partition(credit_risk, "a", "file:///lake/a") == [
        "ALTER TABLE features.credit_risk ADD IF NOT EXISTS PARTITION (snapshot = 'a') LOCATION 'file:///lake/a'",
        "ALTER TABLE features.credit_risk PARTITION (snapshot = 'a') SET LOCATION 'file:///lake/a'",
    ]
    assert tables.drop_partition(credit_risk, "a") == (
        "ALTER TABLE features.credit_risk DROP IF EXISTS PARTITION (snapshot = 'a')"
    )


def test_a_table_of_the_spec_stays_as_it_is(credit_risk: UseCase) -> None:
    assert tables.evolve_history_table(credit_risk, TABLE | {"left_over": "string"}) == []


def test_columns_new_in_the_spec_are_added(credit_risk: UseCase) -> None:
    found = {name: kind for name, kind in TABLE.items() if name not in {"age", "flag_own_car"}}

    assert tables.evolve_history_table(credit_risk, found) == [
        "ALTER TABLE features.credit_risk ADD COLUMNS (`age` INT, `flag_own_car` INT)"
    ]


def test_a_column_of_another_type_is_refused(credit_risk: UseCase) -> None:
    with pytest.raises(PlatformError) as error:
        tables.evolve_history_table(credit_risk, TABLE | {"age": "string"})

    assert str(error.value) == (
        "features.credit_risk has age as STRING, its spec says INT. Remedy: give the feature a new name, "
        "or DROP TABLE features.credit_risk (the files stay) and run the features DAG"
    )
