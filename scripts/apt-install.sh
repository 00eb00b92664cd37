#!/usr/bin/env bash
# Installs Debian packages, as root or with sudo that asks nothing. It fails
# quietly where it can't: the caller says what is missing.
set -euo pipefail

command -v apt-get >/dev/null || exit 1
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	sudo -n true 2>/dev/null || exit 1
	as_root=(sudo -n)
fi
echo "installing $*" >&2
"${as_root[@]}" apt-get update -qq >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
