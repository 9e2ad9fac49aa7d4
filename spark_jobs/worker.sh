#!/usr/bin/env bash
# One Spark worker, in the foreground. The argument is its number on this machine, from 1.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
number="${1:-1}"
export SPARK_WORKER_OPTS="-Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.appDataTtl=3600 -Dspark.ui.reverseProxy=true"
exec "$SPARK_HOME/bin/spark-class" org.apache.spark.deploy.worker.Worker "$MLOPS_SPARK_MASTER_URL" \
  --webui-port "$((MLOPS_SPARK_WORKER_UI_PORT + number - 1))" --work-dir "$MLOPS_STATE_DIR/spark/work/$number" \
  --cores "$((3 * MLOPS_SPARK_JOB_CORES))" --memory "$MLOPS_SPARK_WORKER_MEMORY" \
  --properties-file "$MLOPS_SPARK_PROPERTIES"
