#!/usr/bin/env bash
# Spark's standalone master, in the foreground.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
# No submission by REST: it asks for no credentials. The master's page leads to workers and jobs that have no port outside.
export SPARK_MASTER_OPTS="-Dspark.master.rest.enabled=false -Dspark.ui.reverseProxy=true"
exec "$SPARK_HOME/bin/spark-class" org.apache.spark.deploy.master.Master \
  --host "$MLOPS_SPARK_MASTER_HOST" --port "$MLOPS_SPARK_MASTER_PORT" --webui-port "$MLOPS_SPARK_MASTER_UI_PORT" \
  --properties-file "$MLOPS_SPARK_PROPERTIES"
