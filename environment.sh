# Sourced by the scripts beside it, which run in the project's folder.

# The Python that starts things: one that fits, else any, which then says what is missing.
find_python() {
  local candidate fallback=
  for candidate in ${MLOPS_PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    "$candidate" -c '' >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
      printf '%s' "$candidate"
      return
    fi
    fallback="${fallback:-$candidate}"
  done
  if [ -z "$fallback" ]; then
    echo "Python: none found on PATH. Remedy: install Python 3.11, 3.12 or 3.13 (or set MLOPS_PYTHON to one)" >&2
    return 1
  fi
  printf '%s' "$fallback"
}

# Makes .venv what the lock says, with --dev what tests need besides, and puts it first on PATH.
prepare_environment() {
  local python
  python="$(find_python)"
  "$python" -m stack.bare install "$@"
  export PATH="$PWD/.venv/bin:$PATH"
}

# One command of the platform: start, stop, restart or reset.
platform() {
  local python
  python="$(find_python)"
  MLOPS_CALLED_FROM="${OLDPWD:-$PWD}" exec "$python" -m stack.bare "$@"
}
