#!/usr/bin/env bash
# Hive's metastore, in the foreground. Its database: MLOPS_METASTORE_JDBC_URL, Derby by default.
set -eu
. "$(dirname "$0")/../mlops_platform/stack/environment.sh"
exec "$JAVA_HOME/bin/java" "-Xmx$MLOPS_METASTORE_MEMORY" $MLOPS_JVM_OPTIONS \
  "-Dderby.stream.error.file=$MLOPS_STATE_DIR/log/derby.log" \
  -cp "$SPARK_HOME/jars/*:$SPARK_DIST_CLASSPATH" org.apache.hadoop.hive.metastore.HiveMetaStore -p "$MLOPS_METASTORE_PORT"
