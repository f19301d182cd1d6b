import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { readAnchor, verify, verifySteps, type Options } from "../src/index.js";
import { ROOT } from "./forge.js";

interface Vector {
	name: string;
	file: string;
	repeat: number;
	anchor: unknown;
	policy: { now: number; max_age: number | null | "unlimited"; settled: boolean };
	expect: {
		outcome: "final" | "not_final" | "unverifiable"; reason: string | null; block: unknown; settled: boolean;
		objections_until: number | null; not_proved: string[]; assurance: string | null;
	};
}

const { format, vectors }: { format: number; vectors: Vector[] } =
	JSON.parse(readFileSync(new URL("docs/spec/receipt-vectors.json", ROOT), "utf8"));
const OUTCOMES = { final: "FINAL", not_final: "NOT FINAL", unverifiable: "UNVERIFIABLE" };

function options({ now, max_age, settled }: Vector["policy"]): Options {
	return { now, settled, maxAge: max_age === "unlimited" ? null : (max_age ?? undefined) };
}

test("every vector has its outcome", () => {
	assert.equal(format, 1);
	assert.ok(vectors.length > 150, `${vectors.length} vectors`);
	let failed = 0;
	for (const { name, file, repeat, anchor, policy, expect } of vectors) {
		const trusted = anchor === null ? null : readAnchor(JSON.stringify(anchor));
		const report = verify(file.repeat(repeat), trusted, options(policy));
		const { outcome, reason, block, settled, until, not_proved, assurance } = report;
		const found = { outcome, reason, block, settled, objections_until: until, not_proved, assurance };
		assert.deepEqual(found, { ...expect, outcome: OUTCOMES[expect.outcome] }, `${name}: ${report.detail}`);
		failed += Number(outcome !== "FINAL");
	}
	assert.ok(failed > 100, "most vectors are refused");
});

test("the same steps are shown as they are taken", async () => {
	const { file, anchor, policy } = vectors[0]!;
	const trusted = readAnchor(JSON.stringify(anchor));
	const steps = verifySteps(file, trusted, options(policy));
	const shown = [];
	let next = await steps.next();
	for (; !next.done; next = await steps.next()) shown.push(next.value);
	assert.deepEqual(next.value, verify(file, trusted, options(policy)));
	assert.deepEqual(next.value.steps, shown);
	assert.equal(shown.length, 8);
});
