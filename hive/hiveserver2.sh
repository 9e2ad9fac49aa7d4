#!/usr/bin/env bash
# HiveServer2, in the foreground: Spark's Thrift server, which speaks its protocol. On cores of its own: taken from the
# cluster's it would hold them for ever.
set -eu
. "$(dirname "$0")/../mlops_platform/stack/environment.sh"
exec spark-submit --class org.apache.spark.sql.hive.thriftserver.HiveThriftServer2 --name hiveserver2 \
  --master "local[2]" --driver-memory "$MLOPS_HIVESERVER2_MEMORY" --conf spark.ui.enabled=false \
  spark-internal --hiveconf "hive.server2.thrift.bind.host=$MLOPS_BIND_ADDRESS" \
  --hiveconf "hive.server2.thrift.port=$MLOPS_HIVESERVER2_PORT"
