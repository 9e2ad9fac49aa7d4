#!/usr/bin/env bash
# Stops the platform and starts it again on the same data. Takes what ./start.sh takes.
set -eu
cd "$(dirname "$0")"
. ./environment.sh
platform restart "$@"
