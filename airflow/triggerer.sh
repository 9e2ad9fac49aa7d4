#!/usr/bin/env bash
# Airflow's triggerer, in the foreground. Task logs are files that the api-server reads itself, so none are served.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec airflow triggerer --skip-serve-logs
