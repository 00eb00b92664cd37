#!/usr/bin/env bash
# Fetches the accessibility checker that the browser tests load into pages, in
# the pinned version and with the pinned digest, into build/axe. It is a test
# tool under the MPL 2.0 and no part of what is built.
set -euo pipefail

version=4.10.3
digest=sha512-Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==
dir="$(cd "$(dirname "$0")/.." && pwd)/build/axe"
[ "$(cat "$dir/version" 2>/dev/null || true)" = "$version" ] && exit 0

command -v npm >/dev/null || { echo "axe.sh: npm is missing" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent --loglevel=error "axe-core@$version" >/dev/null)
have="sha512-$(openssl dgst -sha512 -binary "$work/axe-core-$version.tgz" | base64 -w0)"
[ "$have" = "$digest" ] || { echo "axe.sh: axe-core $version is not what was pinned" >&2; exit 1; }
tar -xzf "$work/axe-core-$version.tgz" -C "$work" package/axe.min.js package/LICENSE
mkdir -p "$dir"
cp "$work/package/axe.min.js" "$work/package/LICENSE" "$dir/"
echo "$version" >"$dir/version"
