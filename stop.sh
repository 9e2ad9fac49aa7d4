#!/usr/bin/env bash
# Stops the platform and keeps all of its data.
set -eu
cd "$(dirname "$0")"
. ./environment.sh
platform stop "$@"
