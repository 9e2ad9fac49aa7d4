# Sourced by every launch command: from here on the working directory is the project's root and the environment is
# complete. Under the supervisor it already is; in a container, or by hand, Python completes it from MLOPS_* and .env.
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ -z "${MLOPS_ENVIRONMENT_COMPLETE:-}" ]; then
  [ ! -d .venv/bin ] || PATH="$PWD/.venv/bin:$PATH"
  environment="$(python -m mlops_platform.services.print_environment)"
  eval "$environment"
fi
