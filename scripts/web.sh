#!/usr/bin/env bash
# Builds the page of web/ into web/dist, and links it to bin/page, where `assay serve` finds it. Does nothing if nothing of
# it has changed since.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

stamp=web/dist/.sources # served by nobody
sources() {
	{
		find web -type d \( -name node_modules -o -name dist -o -name tests -o -name test \) -prune -o -type f -print0 |
			LC_ALL=C sort -z | xargs -0 sha256sum
		node --version
	} | sha256sum
}

have npm || die "npm is missing; it builds the page." "Install it: make setup."
mkdir -p bin
now=$(sources)
if [ "$(cat "$stamp" 2>/dev/null)" != "$now" ]; then
	say "Building the page"
	mkdir -p "$ASSAY_CACHE"
	log=$ASSAY_CACHE/web.log
	# npm tries again by itself; a registry that cannot be reached does not hold up a build for long.
	if ! npm ci --prefix web --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=2 \
		--fetch-retry-mintimeout=2000 --fetch-retry-maxtimeout=5000 --fetch-timeout=60000 >"$log" 2>&1; then
		tail -n 5 "$log" >&2
		die "npm could not install what the page is built with." \
			"Check that npm's registry can be reached (npm config get registry), then: scripts/web.sh" "The log is $log."
	fi
	if ! npm run build --prefix web >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		die "the page could not be built; the errors are above." "The log is $log."
	fi
	printf '%s\n' "$now" >"$stamp"
	note "the page is in web/dist"
fi
ln -sfn ../web/dist bin/page
