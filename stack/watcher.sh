#!/usr/bin/env bash
# The watcher, in the foreground. The argument is the number of Spark workers, where the environment does not tell it.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec python -m stack.watcher ${1:+--workers "$1"}
