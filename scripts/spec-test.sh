#!/usr/bin/env bash
# Computes the golden vectors from the text of docs/spec/c1-w8.md, in Python, and compares them bit for bit with what the engine gives.
# Words after the name are files of tests/golden to check; all without.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

spec=ocw-inference/engine/tests/spec
venv=$ASSAY_CACHE/spec-venv
log=$ASSAY_CACHE/spec-venv.log

ready() {
	cmp -s "$spec/requirements.txt" "$venv/requirements.txt" && "$venv/bin/python" -c 'import blake3, numpy' 2>/dev/null
}

install() {
	rm -rf "$venv"
	python3 -m venv "$venv" &&
		"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --timeout 30 -r "$spec/requirements.txt" &&
		cp "$spec/requirements.txt" "$venv/requirements.txt"
}

if ! ready; then
	have python3 || die "python3 is missing." "Run make setup."
	mkdir -p "$ASSAY_CACHE"
	for try in 1 2 3; do
		note "numpy and blake3 for the specification's checks, into $venv"
		if install >"$log" 2>&1; then break; fi
		[ $try = 3 ] || sleep $((5 * try))
	done
	if ! ready; then
		tail -n 5 "$log" >&2
		die "numpy and blake3 could not be installed from PyPI; the specification was not checked." \
			"Is PyPI or your mirror reachable (pip config list)? The whole story is in $log."
	fi
fi

PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$spec/check.py" "$@"
