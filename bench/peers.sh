#!/usr/bin/env bash
# Installs the tunnels that `npm run bench` compares with and that Debian does not package, where
# cargo is, into a cache directory of the user's; the bench finds them there. Compiling takes a few
# minutes, and a second when they are there already. Exits 1 when one of cargo's is missing after it.
set -uo pipefail

directory="${XDG_CACHE_HOME:-$HOME/.cache}/routy-bench"
failed=0

say() { echo "peers: $*"; }

# PROGRAM CRATE VERSION [OPTIONS FOR CARGO...]
from_cargo() {
  local program=$1 crate=$2 version=$3 log="$directory/$1.log"
  shift 3
  if ! command -v cargo >/dev/null; then
    say "$program: not installed: there is no cargo on PATH; https://rustup.rs brings it"
    failed=1
    return
  fi
  say "$program: cargo install $crate $version"
  if cargo install "$crate" --version "$version" --root "$directory" "$@" >"$log" 2>&1 </dev/null &&
    [ -x "$directory/bin/$program" ]; then
    say "$program: $directory/bin/$program"
    return
  fi
  tail -n 15 "$log" >&2
  say "$program: not installed: cargo failed; all it wrote is in $log"
  failed=1
}

# NAME WHERE PROGRAM...: what no package manager that is asked here has.
by_hand() {
  local name=$1 where=$2 program missing=()
  shift 2
  for program in "$@"; do
    [ -x "$directory/bin/$program" ] || command -v "$program" >/dev/null || missing+=("$program")
  done
  if [ "${#missing[@]}" -eq 0 ]; then
    say "$name: found"
  else
    say "$name: not installed: put ${missing[*]} from a release of $where into $directory/bin"
  fi
}

mkdir -p "$directory/bin"
# Without TLS and WebSocket, which need OpenSSL's headers: the bench uses Noise. Not --locked, as for
# bore: what it was locked to in 2023 is refused by today's compiler.
from_cargo rathole rathole 0.5.0 --no-default-features --features server,client,noise,hot-reload
from_cargo bore bore-cli 0.6.0 --locked
by_hand frp github.com/fatedier/frp frps frpc
by_hand chisel github.com/jpillora/chisel chisel
exit "$failed"
