#!/usr/bin/env bash
# Airflow's dag-processor, in the foreground.
set -eu
. "$(dirname "$0")/../mlops_platform/stack/environment.sh"
exec airflow dag-processor
