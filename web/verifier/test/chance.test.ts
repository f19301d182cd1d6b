import assert from "node:assert/strict";
import test from "node:test";
import { bytesToHex } from "../src/bytes.js";
import { encode } from "../src/codec.js";
import { readFile } from "../src/file.js";
import { input, output, receipt } from "../src/receipt.js";
import { fuzz } from "./fuzz.js";

/** Returns what a verification proves of a file: its receipt, prompt and answer, without what it says it does not prove. */
function proved(file: string | Uint8Array): string {
	const { receipt: of, input: prompt, output: answer } = readFile(file);
	if (of.closed_at === null) {
		of.fee = 0n;
		of.requested_at = 0;
		if (of.answer !== null) of.answer.input_tokens = 0;
		if (!of.listing_named) of.listing = 0;
	}
	const answered = answer === null ? "none" : bytesToHex(encode(output, answer));
	return [bytesToHex(encode(receipt, of)), bytesToHex(encode(input, prompt)), answered].join();
}

test("100 000 files that chance has changed are refused or the same", () => {
	const found = fuzz(100_000, 7, (made, file, original) => {
		if (made === "FINAL") assert.equal(proved(file), proved(original));
	});
	assert.ok((found.get("UNVERIFIABLE inconsistent") ?? 0) > 1_000);
	assert.ok((found.get("UNVERIFIABLE bad_signature") ?? 0) > 10);
	assert.ok((found.get("UNVERIFIABLE bad_state") ?? 0) > 10);
});
