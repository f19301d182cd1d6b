#!/usr/bin/env bash
# Checks everything that no test runs: format, clippy, what the workspace depends on, the scripts and the documents.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
scripts/setup.sh
. scripts/env.sh

say "One version of each SDK crate"
scripts/one-version.sh

say "The lock files of the other workspaces"
for workspace in bench fuzz; do
	cargo metadata --locked --format-version 1 --manifest-path $workspace/Cargo.toml >/dev/null ||
		die "$workspace/Cargo.lock does not match its manifests." \
			"Update it: cargo metadata --format-version 1 --manifest-path $workspace/Cargo.toml >/dev/null"
done

say "Documents"
# Prose is at most 120 characters wide; tables, code and links may be wider. Continuation bytes of UTF-8 are not counted.
# shellcheck disable=SC2016 # $0 is awk's
git ls-files -z '*.md' | LC_ALL=C xargs -0 awk '
	FNR == 1 { code = 0 }
	/^ *```/ { code = !code; next }
	code || /^[ >]*\|/ { next }
	{ text = $0; gsub(/\]\([^)]*\)|https?:[^ ]*|[\200-\277]/, "", text) }
	length(text) > 120 { printf "%s:%d: %d characters\n", FILENAME, FNR, length(text); wide = 1 }
	END { exit wide }' || die "lines of documents are too wide." "Wrap them at 120 characters."

say "Sizes"
git ls-files -z '*.rs' | xargs -0 awk '
	{ lines[FILENAME] = FNR }
	END { for (file in lines) if (lines[file] > 600) { print file ": " lines[file] " lines"; long = 1 }; exit long }' ||
	die "files have more than 600 lines." "Split them by topic."

say "Scripts"
if have shellcheck; then
	shellcheck scripts/*.sh bench/peers/*.sh .ci/run
else
	note "not checked: shellcheck is not installed (apt-get install shellcheck)"
fi

for tool in cargo-clippy rustfmt; do
	have "$tool" && continue
	case $ASSAY_WAY in
	debian) die "$tool is missing." "apt-get install rustfmt-web rust-web-clippy, then make lint again." ;;
	*) die "$tool is missing." "rustup component add clippy rustfmt, then make lint again." ;;
	esac
done

say "Format"
git ls-files -z '*.rs' | xargs -0 rustfmt --edition 2021 --check || die "some files are not formatted." "make fmt formats them."

say "Clippy"
# In a target directory of its own: with the release build's, check metadata and SKIP_WASM_BUILD would undo each other's work.
SKIP_WASM_BUILD=1 CARGO_TARGET_DIR=$ASSAY_CACHE/lint cargo clippy --locked --workspace --all-targets -- -D warnings
CARGO_TARGET_DIR=$ASSAY_CACHE/lint cargo clippy --locked --manifest-path bench/Cargo.toml --all-targets -- -D warnings

say "Unused dependencies"
# cargo-shear reads code, tests, build scripts and the root's manifest; cargo-machete finds only names in text, and cargo-deny no
# dependencies of crates. 1.13.0 is the last version that builds with Rust 1.95. Exceptions go into package.metadata.cargo-shear.
shear=$(cargo_tool cargo-shear 1.13.0)
for workspace in . bench fuzz zombienet; do
	"$shear" --locked --deny-warnings $workspace || die "dependencies of the workspace '$workspace' are unused or misplaced." \
		"Remove or move them, or name them with the reason in package.metadata.cargo-shear of the crate."
done

say "Licenses, sources and walls between crates"
deny=$(cargo_tool cargo-deny 0.20.2)
# An unused wrapper is a hole in a wall that nobody needs.
"$deny" --locked check --deny unused-wrapper bans licenses sources
if timeout 60 "$deny" --locked check advisories >"$ASSAY_CACHE/advisories.log" 2>&1; then
	note "advisories: none that deny.toml does not name"
elif grep -qiE 'failed to (fetch|clone|load)|unable to fetch|network|timed out|resolve host' "$ASSAY_CACHE/advisories.log" ||
	[ ! -s "$ASSAY_CACHE/advisories.log" ]; then
	note "advisories: not checked, because the advisory database cannot be reached"
else
	cat "$ASSAY_CACHE/advisories.log" >&2
	die "there is an advisory for a dependency." "Update it, or name it in deny.toml with the reason."
fi
say "Clean"
