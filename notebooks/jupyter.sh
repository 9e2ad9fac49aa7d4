#!/usr/bin/env bash
# JupyterLab on the notebooks, in the foreground; with arguments, any other command of jupyter in the same environment.
# The token: JUPYTER_TOKEN of the environment.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
export PYSPARK_SUBMIT_ARGS="--properties-file $MLOPS_SPARK_PROPERTIES --name notebook pyspark-shell"
[ $# -gt 0 ] || set -- lab --config notebooks/jupyter_server_config.py
exec python -m jupyter "$@"
