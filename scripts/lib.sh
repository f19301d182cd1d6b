# Small words that the scripts share: speaking, failing, timing, locking. Sourced, never run.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	_bold=$'\e[1m' _dim=$'\e[2m' _red=$'\e[31m' _green=$'\e[32m' _off=$'\e[0m'
else
	_bold='' _dim='' _red='' _green='' _off=''
fi

# One line that says what happens now.
say() { printf '%s==>%s %s%s%s\n' "$_green" "$_off" "$_bold" "$*" "$_off"; }

# A detail below it.
note() { printf '    %s%s%s\n' "$_dim" "$*" "$_off"; }

# Ends with a sentence that says what to do.
die() {
	printf '%serror:%s %s\n' "$_red" "$_off" "$1" >&2
	shift
	for line in "$@"; do printf '       %s\n' "$line" >&2; done
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# 4:07 from 247 seconds.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# A cargo program of a fixed version, built once into the cache; prints its path. Needs scripts/env.sh.
cargo_tool() { # cargo_tool NAME VERSION
	local bin=$ASSAY_CACHE/tools/bin/$1 target=$ASSAY_CACHE/tools/target-$1
	if [ ! -x "$bin" ]; then
		note "installing $1 once (some minutes)" >&2
		CARGO_TARGET_DIR=$target cargo install --locked --quiet --root "$ASSAY_CACHE/tools" "$1" --version "$2" >&2
		rm -rf "$target"
	fi
	printf '%s\n' "$bin"
}

# Holds the target directory while this script runs: two clones share it, and the last build wins the programs in it.
# The script starts itself again below flock, which keeps the lock to itself: no node that is left behind can hold it.
lock_target() {
	mkdir -p "$CARGO_TARGET_DIR" || die "cannot write to $CARGO_TARGET_DIR." "Set CARGO_TARGET_DIR to a directory you own."
	if [ -n "${ASSAY_LOCKED:-}" ] || ! have flock; then return; fi
	local lock=$CARGO_TARGET_DIR/.assay-lock
	flock -n -o "$lock" true || note "another make works in $CARGO_TARGET_DIR: waiting for it to end"
	ASSAY_LOCKED=1 exec flock -o "$lock" bash "$ASSAY_ROOT/scripts/${0##*/}" "$@"
}
