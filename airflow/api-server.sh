#!/usr/bin/env bash
# Airflow's api-server, in the foreground.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec airflow api-server
