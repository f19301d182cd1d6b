/** Verifies randomly changed files: `npm run fuzz` takes ten million, `node dist/test/fuzz.js COUNT SEED` any number. */

import assert from "node:assert/strict";
import { bytesToHex } from "../src/bytes.js";
import { encode } from "../src/codec.js";
import { readFile } from "../src/file.js";
import { verify } from "../src/index.js";
import { input, output, receipt } from "../src/receipt.js";
import { golden, scene, signed } from "./forge.js";
import { changeText, changeValue, Random } from "./mutate.js";

const NAMES = [
	"settled", "confirmed", "audited", "contested", "conversation", "disputed", "one_head", "overturned", "refunded", "unchecked",
	"unverified", "upheld", "void",
];
/** One of so many changed files has evidence, whose signatures take their time. */
const RARE = 50;

/**
 * Verifies so many files. Returns how many had each outcome and reason. Whatever a verification throws ends it, and so
 * does a file that is final with another receipt, prompt or answer.
 */
export function fuzz(count: number, seed: number): Map<string, number> {
	const random = new Random(seed);
	const plain = [...NAMES.map((name) => JSON.parse(golden(name))), signed("settled", [[{ id: 17, text: "The" }]])].map(base);
	const scenes = ["settled", "confirmed", "unchecked"].map((name) => scene(name, undefined, undefined, 2));
	const evident = scenes.map(({ json }) => base(json));
	const found = new Map<string, number>();
	for (let i = 0; i < count; i++) {
		const rare = i % RARE === 0;
		const { json, text } = random.pick(rare ? evident : plain);
		const file = change(json, text, rare, random);
		const { outcome, reason } = verify(file, rare ? scenes[0]!.anchor : null, { now: 0 });
		if (outcome === "FINAL") assert.equal(proved(file), proved(text));
		const key = `${outcome} ${reason}`;
		found.set(key, (found.get(key) ?? 0) + 1);
	}
	return found;
}

/** Returns what a verification proves of a file: its receipt, prompt and answer, without what it says it does not prove. */
function proved(file: string): string {
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

function base(json: any): { json: any; text: string } {
	return { json, text: JSON.stringify(json) };
}

function change(json: any, text: string, rare: boolean, random: Random): string {
	if (rare && random.below(2) === 0) {
		return JSON.stringify({ ...json, finality: JSON.parse(changeValue(json.finality, random)) });
	}
	return random.below(4) === 0 ? changeValue(json, random) : changeText(text, random);
}

if (process.argv[1]?.endsWith("fuzz.js")) {
	const [count, seed] = [Number(process.argv[2] ?? 10_000_000), Number(process.argv[3] ?? 1)];
	const begin = performance.now();
	const found = fuzz(count, seed);
	console.log(`${count} files from seed ${seed} in ${Math.round((performance.now() - begin) / 1000)} s`);
	for (const [key, times] of [...found].sort(([, a], [, b]) => b - a)) console.log(`${times}\t${key}`);
}
