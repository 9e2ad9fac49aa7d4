#!/usr/bin/env bash
# The prediction service, in the foreground.
set -eu
. "$(dirname "$0")/../mlops_platform/services/environment.sh"
exec python -m serving
