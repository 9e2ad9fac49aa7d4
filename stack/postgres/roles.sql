-- A role for each program that has a database here, with a password of its own and no right to another's database. Run at each
-- start by the superuser, whose password no program has: what is missing is made, and what an older installation had made as
-- one user is given to its owner. The passwords come from the environment.
\set ON_ERROR_STOP on
\getenv airflow MLOPS_POSTGRES_AIRFLOW_PASSWORD
\getenv mlflow MLOPS_POSTGRES_MLFLOW_PASSWORD
\getenv metastore MLOPS_POSTGRES_METASTORE_PASSWORD
SET client_min_messages = warning;

CREATE TEMPORARY TABLE program (name name, password text);
INSERT INTO program VALUES ('airflow', :'airflow'), ('mlflow', :'mlflow'), ('metastore', :'metastore');

SELECT format('CREATE ROLE %I', name) FROM program WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
SELECT format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', name, password) FROM program \gexec
SELECT format('CREATE DATABASE %I', name) FROM program WHERE name NOT IN (SELECT datname FROM pg_database) \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', name, name) FROM program \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname) FROM pg_database WHERE datallowconn \gexec

\connect airflow
\ir owner.sql
\connect mlflow
\ir owner.sql
\connect metastore
\ir owner.sql
