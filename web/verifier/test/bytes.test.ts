import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { readAnchor, verify } from "../src/index.js";
import { ROOT } from "./forge.js";

const NOW = { now: 1_800_000_000 };
const BITS = [0x01, 0x04, 0x20];

test("no byte of a final file can be changed", () => {
	const [{ file, anchor }] = JSON.parse(readFileSync(new URL("docs/spec/receipt-vectors.json", ROOT), "utf8")).vectors;
	const trusted = readAnchor(JSON.stringify(anchor));
	const bytes = new TextEncoder().encode(file);
	assert.equal(verify(bytes, trusted, NOW).outcome, "FINAL");
	for (let i = 0; i < bytes.length; i++) {
		for (const bit of BITS) {
			bytes[i]! ^= bit;
			assert.notEqual(verify(bytes, trusted, NOW).outcome, "FINAL", `byte ${i}, bit ${bit}`);
			bytes[i]! ^= bit;
		}
	}
});
