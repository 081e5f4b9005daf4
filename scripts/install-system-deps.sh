#!/usr/bin/env bash
# Installs what the system tests and the benchmark need from Debian's packages: firewall and
# namespaces, the database servers, OpenSSH, and what a virtual environment of Python needs. Installs only what is missing and starts no service.
set -euo pipefail

packages=(
  nftables iproute2 procps
  postgresql-15 redis-server mariadb-server
  openssh-server openssh-client openssl autossh socat python3-venv
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done

if [ "${#missing[@]}" -eq 0 ]; then
  echo "install-system-deps: everything is installed (${packages[*]})"
  exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
  echo "install-system-deps: missing: ${missing[*]}" >&2
  echo "install-system-deps: installing packages needs root; run: sudo $0" >&2
  exit 1
fi

# Debian starts a server as soon as its package is configured, unless this file says no (101).
# The tests start their own, so that nothing listens on the usual ports. One that is there stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
echo "install-system-deps: installing ${missing[*]}"
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
