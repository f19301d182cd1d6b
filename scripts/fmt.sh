#!/usr/bin/env bash
# Formats every Rust file that git tracks or would track.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh
have rustfmt || die "rustfmt is missing." "apt-get install rustfmt-web, or rustup component add rustfmt."
git ls-files -z --cached --others --exclude-standard '*.rs' | xargs -0 rustfmt --edition 2021
