#!/usr/bin/env bash
# The state's layout, then Airflow's database, roles and admin user: made or brought up to date, then done.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
python -m mlops_platform.state
exec python airflow/initialise.py
