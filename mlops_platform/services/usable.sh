#!/usr/bin/env bash
# A container's health check: usable.sh SERVICE. Docker asks again moments after each answer, from the start on and for ever.
# So until the service has been usable once this waits for it, and afterwards it rests before it asks.
set -eu
cd "$(dirname "$0")/../.."
well=/dev/shm/usable # in memory: a container that is started again begins anew
patience=()
if [ -e "$well" ]; then
  sleep 20
  patience=(10)
fi
python -m mlops_platform.services.usable "$1" ${patience[@]+"${patience[@]}"} || { rm -f "$well"; exit 1; }
touch "$well"
