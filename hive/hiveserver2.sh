#!/usr/bin/env bash
# HiveServer2, in the foreground: Spark's Thrift server, which speaks its protocol. On cores of its own: taken from the
# cluster's it would hold them for ever. A session that stays open sees new files and snapshots after ten seconds; Spark
# would have it keep its first listing of a table for ever.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
# spark-submit takes this application for a daemon, and its memory and options from the daemons' variables.
export SPARK_DAEMON_MEMORY="$MLOPS_HIVESERVER2_MEMORY"
exec spark-submit --class org.apache.spark.sql.hive.thriftserver.HiveThriftServer2 --name hiveserver2 \
  --master "local[2]" --conf spark.ui.enabled=false --conf spark.sql.metadataCacheTTLSeconds=10 \
  spark-internal --hiveconf "hive.server2.thrift.bind.host=$MLOPS_BIND_ADDRESS" \
  --hiveconf "hive.server2.thrift.port=$MLOPS_HIVESERVER2_PORT"
