#!/usr/bin/env bash
# Checks the contract: style, format, no break with what is published on main,
# and that the generated code is what the contract generates.
set -euo pipefail
cd "$(dirname "$0")/../proto"

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

echo "== proto lint"
buf lint

echo "== proto format"
buf format -d --exit-code

# Compared with main as it was when this branch left it; on main itself, with
# the commit before. A clone that has neither has nothing to compare with.
base=
for branch in refs/remotes/origin/main refs/heads/main; do
	if git rev-parse --quiet --verify "$branch^{commit}" >/dev/null; then
		base=$(git merge-base HEAD "$branch" || true)
		break
	fi
done
if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
	base=$(git rev-parse --quiet --verify 'HEAD^1^{commit}' || true)
fi
if [ -n "$base" ] && git cat-file -e "$base:proto/buf.yaml" 2>/dev/null; then
	echo "== proto breaking, against $(git rev-parse --short "$base")"
	git -C .. archive "$base" proto | tar -x -C "$work"
	buf breaking --against "$work/proto"
else
	echo "== proto breaking: skipped, this clone has no earlier contract"
fi

echo "== generated code"
buf generate -o "$work/now"
if ! diff -r "$work/now/gen" gen; then
	echo "proto/gen is not what the contract generates: run make proto and commit the result" >&2
	exit 1
fi
