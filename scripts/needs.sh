#!/usr/bin/env bash
# Sees to it that the programs the tests need are there: a C compiler for the
# race detector, what habeas verify's script is checked with, and the servers
# that a test starts for itself. On Debian and its kin they are installed when
# we may; elsewhere one line says what to do.
set -euo pipefail

missing=()
packages=()
need() { # PROGRAM PACKAGE...
	command -v "$1" >/dev/null && return
	missing+=("$1")
	shift
	packages+=("$@")
}
need cc gcc libc6-dev
need python3 python3
need openssl openssl
need chromium chromium
need pdftotext poppler-utils
need npm npm
PATH=$PATH:/usr/sbin need mariadbd mariadb-server
need redis-server redis-server
PATH=$PATH:/usr/sbin need clickhouse-server clickhouse-server
PATH=$PATH:/usr/share/zookeeper/bin need zkServer.sh zookeeper # for its replicas
if [ ${#missing[@]} -gt 0 ] && ! "$(dirname "$0")/apt-install.sh" "${packages[@]}"; then
	echo "the tests need ${missing[*]}: install them (on Debian: apt-get install ${packages[*]}) and try again" >&2
	exit 1
fi

# The accessibility checker; without it the browser tests say what is missing.
"$(dirname "$0")/axe.sh" || echo "the browser tests need axe-core: see scripts/axe.sh" >&2
