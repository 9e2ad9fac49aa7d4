#!/usr/bin/env bash
# Brings the whole platform up and ends with a prediction. ./start.sh --help
set -eu
cd "$(dirname "$0")"
. ./environment.sh
platform start "$@"
