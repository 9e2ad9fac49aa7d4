#!/usr/bin/env bash
# Airflow's dag-processor, in the foreground.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec airflow dag-processor
