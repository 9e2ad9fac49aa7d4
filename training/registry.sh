#!/usr/bin/env bash
# MLflow's tracking server and model registry, in the foreground. Stores: MLFLOW_* of the environment.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec python -m mlflow server --serve-artifacts --host "$MLOPS_BIND_ADDRESS" --port "$MLOPS_MLFLOW_PORT" --workers 1
