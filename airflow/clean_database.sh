#!/usr/bin/env bash
# Removes old rows from Airflow's database: clean_database.sh BEFORE TABLES. Run by a task, with the environment of a service.
set -eu
unset MLOPS_ENVIRONMENT_COMPLETE
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec airflow db clean --clean-before-timestamp "$1" --tables "$2" --skip-archive --yes \
  --error-on-cleanup-failure
