#!/usr/bin/env bash
# Computes the golden vectors in Python, written from the text of docs/spec/c2.md, and compares them bit for bit with those
# of the engine; then shows that they notice misreadings of the text, by making each of them.
#
#   scripts/spec-test.sh [FILE[/CASE]…]      FILE is a file of tests/golden, CASE a case of it: only these are computed
#   scripts/spec-test.sh --mutants [WORD…]   only the misreadings, or those whose name has a WORD
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

spec=ocw-inference/engine/tests/spec
venv=$ASSAY_CACHE/spec-venv
log=$ASSAY_CACHE/spec-venv.log

ready() {
	cmp -s "$spec/requirements.txt" "$venv/requirements.txt" && "$venv/bin/python" -c 'import blake3, jinja2, numpy, regex' 2>/dev/null
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
	note "installing numpy, blake3, regex and jinja2 for the specification's checks into $venv"
	if ! retry "$log" install || ! ready; then
		tail -n 5 "$log" >&2
		die "numpy, blake3, regex and jinja2 could not be installed from PyPI; the specification was not checked." \
			"Is PyPI or your mirror reachable (pip config list)? The full log is $log."
	fi
fi

export PYTHONDONTWRITEBYTECODE=1
if [ "${1:-}" = --mutants ]; then
	shift
	exec "$venv/bin/python" "$spec/mutants.py" "$@"
fi
"$venv/bin/python" "$spec/check.py" "$@"
if [ $# = 0 ]; then exec "$venv/bin/python" "$spec/mutants.py"; fi
