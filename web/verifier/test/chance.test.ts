import assert from "node:assert/strict";
import test from "node:test";
import { fuzz } from "./fuzz.js";

test("100 000 files that chance has changed are refused or the same", () => {
	const found = fuzz(100_000, 7);
	assert.ok((found.get("UNVERIFIABLE inconsistent") ?? 0) > 1_000);
	assert.ok((found.get("UNVERIFIABLE bad_signature") ?? 0) > 10);
	assert.ok((found.get("UNVERIFIABLE bad_state") ?? 0) > 10);
	assert.ok((found.get("FINAL null") ?? 0) > 10);
});
