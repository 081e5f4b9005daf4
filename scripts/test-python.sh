#!/usr/bin/env bash
# Lint, types and tests of clients/python: vectors, simulation, and against a node of this build.
# The environment is made once for each list of requirements, outside of the repository.
set -euo pipefail
cd "$(dirname "$0")/../clients/python"

python=${PYTHON:-python3}
"$python" -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
test -f ../../packages/routy/dist/cli/main.js || {
  echo "test-python: no built node; run npm run build first" >&2
  exit 1
}

version=$("$python" -c 'import platform; print(platform.python_version())')
digest=$(sha256sum requirements.txt | cut -c1-16)
environment="${XDG_CACHE_HOME:-$HOME/.cache}/routy-python/$version-$digest"
if [ ! -f "$environment/complete" ]; then
  rm -rf "$environment"
  "$python" -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
    --only-binary :all: -r requirements.txt
  touch "$environment/complete"
fi

"$environment/bin/ruff" check --quiet --cache-dir "$environment/ruff"
"$environment/bin/ruff" format --check --quiet --cache-dir "$environment/ruff"
"$environment/bin/mypy" --cache-dir "$environment/mypy"
PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" -X dev -W error -m tests
