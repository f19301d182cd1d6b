import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "node:test";
import { ROOT } from "./forge.js";

const HERE = new URL("web/verifier/", ROOT);
const [first] = JSON.parse(readFileSync(new URL("docs/spec/receipt-vectors.json", ROOT), "utf8")).vectors;

test("the examples of the README run as they stand", () => {
	const text = readFileSync(new URL("README.md", HERE), "utf8");
	const blocks = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!);
	assert.equal(blocks.length, 2);
	const known = `const receiptText = ${JSON.stringify(first.file)}, anchorText = ${JSON.stringify(JSON.stringify(first.anchor))};\n`;
	// A module of this package finds it by its name, as those of others do.
	const out = execFileSync(process.execPath, ["--input-type=module", "-e", known + blocks.join("")], {
		cwd: fileURLToPath(HERE), encoding: "utf8",
	});
	const lines = out.trim().split("\n");
	assert.match(lines[0]!, /^FINAL null 3 seats of verifiers, .* passed the result on\.$/);
	assert.deepEqual(lines.slice(1), ["file", "contents", "verdict", "anchor", "handovers", "justification", "state", "window"]
		.map((id) => `${id} FINAL null`));
});
