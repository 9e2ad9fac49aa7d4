#!/usr/bin/env bash
# Everything that is checked: ./test.sh            all of it: the running platform and the floor of coverage included
#                            ./test.sh --fast     formatting, lint, types, import contracts, unit and contract tests
#                            ./test.sh --docker   the Compose stack and a clean machine; fails without a Docker engine
#                            ./test.sh --docker --skip-without-engine   the same, and nothing where there is no engine
#                            ./test.sh --chaos    processes of a platform are killed while it works, in either mode: for ten
#                                                 minutes each (CHAOS_MINUTES), as a new seed says (CHAOS_SEED); takes
#                                                 --skip-without-engine as well
set -euo pipefail
cd "$(dirname "$0")"
usage() { sed -n '2,8s/^# //p' "$0"; }

case "$*" in
  "" | --fast | --docker | "--docker --skip-without-engine" | --chaos | "--chaos --skip-without-engine") ;;
  --help) usage; exit ;;
  *) usage >&2; exit 2 ;;
esac

. ./environment.sh
prepare_environment --dev

if [ "${1-}" = --docker ] || [ "${1-}" = --chaos ]; then
  mark="${1#--}"
  shift
  exec pytest -m "$mark" "$@"
fi
ruff format --check .
ruff check .
mypy
lint-imports
# Three processes, on two cores too: some tests wait for what others do. tests/distribution.py says who runs what.
if [ "${1-}" = --fast ]; then coverage=--no-cov; else coverage=--cov; fi
pytest -n 3 "$coverage" -m "not stack and not docker and not chaos"
if [ $# = 0 ]; then pytest -m stack; fi
