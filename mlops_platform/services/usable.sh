#!/usr/bin/env bash
# A container's health check: usable.sh SERVICE. Docker asks again moments after each answer, from the start on and for ever.
# So until the service has been usable once this waits for it, and afterwards it rests before it asks.
#
# While it rests it reads what the watcher wants: a service that is told to end is killed, with all that it started, and
# Docker starts its container again. Nobody watches the watcher, so it is ended as soon as it is not usable.
set -eu
cd "$(dirname "$0")/../.."
# in memory: a container that is started again begins anew
well=/dev/shm/usable
known=/dev/shm/restart-request

wanted() { cat "$MLOPS_STATE_DIR/watch/restart/$1" 2>/dev/null || true; }
end() { kill -KILL -1; } # every process of the container but its init and this one

[ -e "$known" ] || wanted "$1" >"$known"
patience=()
if [ -e "$well" ]; then
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ "$(wanted "$1")" = "$(cat "$known")" ] || end
    sleep 2
  done
  patience=(10)
fi
if ! python -m mlops_platform.services.usable "$1" ${patience[@]+"${patience[@]}"}; then
  if [ -e "$well" ] && [ "$1" = watcher ]; then end; fi
  rm -f "$well"
  exit 1
fi
touch "$well"
