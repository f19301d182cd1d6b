#!/usr/bin/env bash
# Rehearses an upgrade: a chain of the last release, with open jobs, becomes one of this tree's runtime. The last release
# is the commit in runtime/last-release; its Wasm is built once into the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
lock_target "$@"

commit=$(<runtime/last-release)
wasm=$(last_release_wasm)

# Builds the release's Wasm in a worktree of its commit, through a project that only depends on its runtime, as the runtime's
# build script does: features of what runs on this machine must not reach the Wasm. It is neither optimized nor
# compressed, which saves the build of what does that; it computes the same.
build_release() {
	git cat-file -e "$commit^{commit}" 2>/dev/null ||
		die "the last release, commit $commit, is not in this clone." "Fetch it: git fetch --unshallow origin"
	local project
	tree=$(mktemp -d)
	project=$tree/wasm
	trap 'git worktree remove --force "$tree/clone" >/dev/null 2>&1 || true; rm -rf "$tree"' EXIT
	git worktree add --quiet --detach "$tree/clone" "$commit"
	mkdir -p "$project/src"
	cp "$tree/clone/Cargo.lock" "$project"
	printf '#![no_std]\npub use assay_runtime::*;\n' >"$project/src/lib.rs"
	cat >"$project/Cargo.toml" <<-MANIFEST
		[package]
		name = "last-release"
		edition = "2021"

		[lib]
		crate-type = ["cdylib"]

		[dependencies]
		assay-runtime = { path = "$tree/clone/runtime", default-features = false }

		[workspace]
		resolver = "2"

		[profile.release]
		overflow-checks = true
	MANIFEST
	(
		cd "$project"
		RUSTFLAGS="--cfg substrate_runtime -C link-arg=--export-table" cargo build --release --target wasm32v1-none
	) || die "the last release does not build; rustc's errors are above."
	mkdir -p "$(dirname "$wasm")"
	cp "$CARGO_TARGET_DIR/wasm32v1-none/release/last_release.wasm" "$wasm.part"
	mv "$wasm.part" "$wasm"
}

if [ ! -f "$wasm" ]; then
	say "Building the Wasm of the last release, ${commit:0:8} (10 to 20 minutes on two cores, once)"
	start=$SECONDS
	build_release
	note "built in $(clock $((SECONDS - start))): $wasm"
fi

say "Rehearsing the upgrade from ${commit:0:8}"
ASSAY_LAST_RELEASE=$wasm cargo test --release --locked --workspace --test upgrade -- --nocapture ||
	die "the upgrade fails; the test says at what." "How migrations are written: runtime/src/migrations.rs"
