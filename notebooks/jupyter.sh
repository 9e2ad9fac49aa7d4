#!/usr/bin/env bash
# JupyterLab on the notebooks, in the foreground. Its token: JUPYTER_TOKEN of the environment.
set -eu
. "$(dirname "$0")/../mlops_platform/stack/environment.sh"
export PYSPARK_SUBMIT_ARGS="--properties-file $MLOPS_SPARK_PROPERTIES --name notebook pyspark-shell"
exec python -m jupyterlab --config notebooks/jupyter_server_config.py
