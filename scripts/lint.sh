#!/usr/bin/env bash
# Format, clippy, licences and sources of what we depend on, and one version of each crate of the SDK.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
. scripts/env.sh

say "One version of each SDK crate"
scripts/one-version.sh

say "The benchmark's lock"
cargo metadata --locked --format-version 1 --manifest-path bench/Cargo.toml >/dev/null ||
	die "bench/Cargo.lock does not belong to its manifests." "cargo metadata --manifest-path bench/Cargo.toml >/dev/null writes it."

for tool in cargo-clippy rustfmt; do
	have "$tool" && continue
	case $ASSAY_WAY in
	debian) die "$tool is missing." "apt-get install rustfmt-web rust-web-clippy, then make lint again." ;;
	*) die "$tool is missing." "rustup component add clippy rustfmt, then make lint again." ;;
	esac
done

say "Format"
git ls-files -z '*.rs' | xargs -0 rustfmt --edition 2021 --check || die "some files are not formatted." "make fmt writes them."

say "Clippy"
# Beside the release build, not in it: check metadata and SKIP_WASM_BUILD would make each undo the other's work.
SKIP_WASM_BUILD=1 CARGO_TARGET_DIR=$ASSAY_CACHE/lint cargo clippy --locked --workspace --all-targets -- -D warnings

say "Licences, sources and bans"
deny=$(cargo_tool cargo-deny 0.20.2)
"$deny" --locked check bans licenses sources
if timeout 60 "$deny" --locked check advisories >"$ASSAY_CACHE/advisories.log" 2>&1; then
	note "advisories: none that deny.toml does not name"
elif grep -qiE 'failed to (fetch|clone|load)|unable to fetch|network|timed out|resolve host' "$ASSAY_CACHE/advisories.log" ||
	[ ! -s "$ASSAY_CACHE/advisories.log" ]; then
	note "advisories: not checked, the advisory database cannot be reached from here"
else
	cat "$ASSAY_CACHE/advisories.log" >&2
	die "an advisory concerns a dependency." "Update it, or name it in deny.toml with the reason."
fi
say "Clean"
