#!/usr/bin/env bash
# Makes the class archive that every JVM of the platform maps at its start, unless it is there for this Java and Spark.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
key="$(cat "$JAVA_HOME/release" 2>/dev/null || true) $JAVA_HOME $SPARK_HOME $SPARK_DIST_CLASSPATH"
if [ -s "$MLOPS_CLASS_ARCHIVE" ] && [ "$(cat "$MLOPS_CLASS_ARCHIVE.key" 2>/dev/null)" = "$key" ]; then exit 0; fi
rm -f "$MLOPS_CLASS_ARCHIVE" "$MLOPS_CLASS_ARCHIVE.draft"
# An archive only saves time: it is made of time that nothing else wants, and a Java that cannot make one leaves the
# platform slower, not broken.
nice -n 19 "$SPARK_HOME/bin/spark-submit" --master "local[2]" --driver-memory 1g --driver-java-options \
  "-XX:ArchiveClassesAtExit=$MLOPS_CLASS_ARCHIVE.draft -Xlog:disable -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
-Dderby.stream.error.file=$MLOPS_STATE_DIR/log/derby.log" \
  spark_jobs/class_archive.py || true
if [ -s "$MLOPS_CLASS_ARCHIVE.draft" ]; then
  mv "$MLOPS_CLASS_ARCHIVE.draft" "$MLOPS_CLASS_ARCHIVE"
  printf '%s' "$key" > "$MLOPS_CLASS_ARCHIVE.key"
fi
