#!/usr/bin/env bash
# Hive's metastore, in the foreground. Its database: MLOPS_METASTORE_JDBC_URL, Derby by default.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec "$SPARK_HOME/bin/spark-submit" --master "local[1]" --driver-memory "$MLOPS_METASTORE_MEMORY" \
  --driver-java-options "$MLOPS_JVM_OPTIONS -Dderby.stream.error.file=$MLOPS_STATE_DIR/log/derby.log" hive/metastore.py
