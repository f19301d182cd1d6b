#!/usr/bin/env bash
# Checks that Cargo.lock has one version of each crate of the SDK. Two versions of one mean that two releases are mixed, and
# cause errors between types of the same name. A script and not cargo-deny, which takes crates one by one, and no patterns
# such as `sp-*`. Needs no cargo.
set -euo pipefail
cd "$(dirname "$0")/.."

twice=$(awk '/^name = / { name = $3 } /^version = / { gsub(/"/, "", name); gsub(/"/, "", $3); print name, $3 }' Cargo.lock |
	grep -E '^(sp|sc|frame|pallet|substrate)-' | sort -u |
	awk '{ count[$1]++; versions[$1] = versions[$1] " " $2 } END { for (n in count) if (count[n] > 1) print n ":" versions[n] }')
if [ -n "$twice" ]; then
	printf 'error: more than one version in Cargo.lock:\n%s\n' "$twice" >&2
	printf '       Take every version from [dependencies] of polkadot-sdk 2609.2.0; the highest number may be an older line.\n' >&2
	exit 1
fi
echo "    one version of each of $(grep -cE '^name = "(sp|sc|frame|pallet|substrate)-' Cargo.lock) crates"
