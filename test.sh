#!/usr/bin/env bash
# Everything that is checked: ./test.sh            all of it, the real stack included
#                            ./test.sh --fast     formatting, lint, types, import contracts, unit and contract tests
#                            ./test.sh --docker   the Compose stack and the clean-machine test, where a Docker engine answers
set -euo pipefail
cd "$(dirname "$0")"
. ./environment.sh
prepare_environment --dev

what="${1:-all}"
case "$what" in
  all | --fast | --docker) ;;
  *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac

if [ "$what" != --docker ]; then
  ruff format --check .
  ruff check .
  mypy
  lint-imports
  pytest -m "not stack and not docker"
fi
if [ "$what" = all ]; then pytest -m "stack"; fi
if [ "$what" = --docker ]; then pytest -m "docker"; fi
