#!/usr/bin/env bash
# Airflow's database, roles and admin user: made or brought up to date, then done.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec python airflow/initialise.py
