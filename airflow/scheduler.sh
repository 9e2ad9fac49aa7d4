#!/usr/bin/env bash
# Airflow's scheduler, in the foreground. Task logs are files that the api-server reads itself, so none are served.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec airflow scheduler --skip-serve-logs
