#!/usr/bin/env bash
# Removes this project's state: ./reset.sh [--yes] [--all]. Asks first.
set -eu
cd "$(dirname "$0")"
. ./environment.sh
platform reset "$@"
