import assert from "node:assert/strict";
import test from "node:test";
import { bytesToHex } from "../src/bytes.js";
import { encode } from "../src/codec.js";
import { readFile } from "../src/file.js";
import { input, output, receipt } from "../src/receipt.js";
import { fuzz } from "./fuzz.js";

/** Returns what a verification states of a file: its receipt, prompt and answer. */
function stated(file: string | Uint8Array): string {
	const { receipt: of, input: prompt, output: answer } = readFile(file);
	const answered = answer === null ? "none" : bytesToHex(encode(output, answer));
	return [bytesToHex(encode(receipt, of)), bytesToHex(encode(input, prompt)), answered].join();
}

test("100 000 files that chance has changed are refused or the same", () => {
	const found = fuzz(100_000, 7, (made, file, original) => {
		if (made === "FINAL") assert.equal(stated(file), stated(original));
	});
	assert.ok((found.get("UNVERIFIABLE inconsistent") ?? 0) > 1_000);
	assert.ok((found.get("UNVERIFIABLE bad_signature") ?? 0) > 10);
	assert.ok((found.get("UNVERIFIABLE bad_state") ?? 0) > 10);
});
