import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import test from "node:test";
import { concatBytes, hex, utf8ToBytes } from "../src/bytes.js";
import { readFile } from "../src/file.js";
import { verify } from "../src/index.js";
import { leafHash } from "../src/receipt.js";
import { PLACES } from "../src/state.js";
import { percent, passing, stake, worth } from "../src/words.js";
import { Twox128 } from "@polkadot-api/substrate-bindings";
import { golden, ROOT, signed } from "./forge.js";

const NAMES = readdirSync(new URL("receipt/tests/golden/", ROOT)).map((name) => name.replace(".json", ""));
const CHECKED = ["audited", "confirmed", "conversation", "one_head", "settled", "upheld"];

function changed(name: string, edit: (json: any) => void): string {
	const json = JSON.parse(golden(name));
	edit(json);
	return JSON.stringify(json);
}

test("golden receipts are consistent and without evidence not final", () => {
	assert.equal(NAMES.length, 13);
	for (const name of NAMES) {
		const report = verify(golden(name), null, { now: 0 });
		assert.equal(report.outcome, "NOT FINAL", `${name}: ${report.reason} ${report.detail}`);
		assert.equal(report.reason === "no_evidence", CHECKED.includes(name), name);
		assert.deepEqual(report.steps.map(({ id }) => id), ["file", "contents", "verdict", "anchor"]);
	}
});

test("the leaf of a receipt is the hash that the Rust crate has of it", () => {
	const leaves = ["settled", "overturned", "refunded"].map((name) => hex(leafHash(readFile(golden(name)).receipt)));
	assert.deepEqual(leaves, [
		"0x0dfde8faa6c1d9638e04529fd0713adab6d68ab026ff82826602dd7e241e01ad",
		"0xd18a345a6c4517ec5ae421d4dc721049b5262b5c0cb01b64a2b5ea3c05b8fa4f",
		"0x75851b39e8c5fca471f01c78930507a78d2b5ac5333a19d34528247a2044c3dd",
	]);
});

test("the places in storage are the hashes of their names", () => {
	const hash = (name: string) => Twox128(utf8ToBytes(name));
	const places = Object.entries(PLACES).flatMap(([pallet, items]) =>
		Object.entries(items).map(([item, place]) => [hex(place), hex(concatBytes(hash(pallet), hash(item)))]));
	assert.equal(places.length, 5);
	for (const [place, expected] of places) assert.equal(place, expected);
});

test("every inconsistency has its name", () => {
	const claim = (json: any) => json.receipt.claim;
	const cases: [string, (json: any) => void, string][] = [
		["settled", (f) => { f.input.text = "What is a job?"; }, "input_hash"],
		["settled", (f) => { f.input = { chat: f.input.text }; }, "input_hash"],
		["settled", (f) => { f.receipt.count = 6; }, "job"],
		["settled", (f) => { f.receipt.listing = 8; }, "job"],
		["settled", (f) => { f.receipt.listing_named = false; }, "job"],
		["settled", (f) => { f.genesis = f.receipt.model; }, "job"],
		["settled", (f) => { f.receipt.params.stop[0][0] = 11; }, "job"],
		["settled", (f) => { f.receipt.count = 0; }, "count"],
		["settled", (f) => { f.receipt.params.max_tokens = 0; }, "params"],
		["settled", (f) => { f.receipt.params.stop = [[]]; }, "params"],
		["settled", (f) => { f.receipt.params.stop = [[255]]; }, "params"],
		["settled", (f) => { f.output = null; }, "answer"],
		["settled", (f) => { f.output.tokens[0] = 18; }, "output_hash"],
		["settled", (f) => { f.receipt.answer.input_tokens = 10; }, "input_tokens"],
		["settled", (f) => { f.receipt.answer.output_tokens = 5; }, "output_tokens"],
		["settled", (f) => { f.receipt.answer.finish = "length"; }, "finish"],
		["settled", (f) => { f.receipt.attempts = 2; }, "attempts"],
		["refunded", (f) => { f.receipt.attempts = 4; }, "attempts"],
		["settled", (f) => { claim(f).verifiers = 9; }, "verifiers"],
		["settled", (f) => { claim(f).verifiers = 1; }, "tranche 1"],
		["settled", (f) => { claim(f).electorate.executor += "0"; }, "electorate"],
		["settled", (f) => { claim(f).seal = f.genesis; }, "seal"],
		["settled", (f) => { claim(f).root = f.genesis; }, "seal"],
		["settled", (f) => { claim(f).drawn.block = 20; f.receipt.requested_at = 3; }, "seal"],
		["settled", (f) => { claim(f).seats[3].tranche = 3; }, "seat 3"],
		["settled", (f) => { claim(f).seats[0].provider = claim(f).executor; }, "executor 0"],
		["settled", (f) => { claim(f).tranches[0].beacon = f.genesis; }, "approval 0"],
		["settled", (f) => { claim(f).seats[2].vote = claim(f).seats[0].vote; }, "vote 2"],
		["settled", (f) => { claim(f).seats[1].fault = null; }, "tranche 2"],
		["settled", (f) => { claim(f).seats[0].fault = "false_approval"; }, "fault 0"],
		["settled", (f) => { claim(f).seats[0].fault = "false_claim"; }, "fault 0"],
		["overturned", (f) => { claim(f).seats[0].fault = null; }, "fault 0"],
		["settled", (f) => { claim(f).seats[2].vote = null; }, "verdict"],
		["settled", (f) => { claim(f).audit = "approved"; }, "audit"],
		["settled", (f) => { claim(f).root = null; }, "unopened"],
		["overturned", (f) => { f.receipt.fee = "1"; }, "fee"],
		["settled", (f) => { f.receipt.closed_at = null; }, "closed"],
		["settled", (f) => { f.receipt.state = "refunded"; }, "state"],
		["upheld", (f) => { claim(f).dispute.reject = "20000000000000000"; }, "dispute"],
		["contested", (f) => { claim(f).dispute.round = 1; }, "dispute"],
		["settled", (f) => { f.receipt.requested_at = 21; }, "blocks"],
		["settled", (f) => { f.receipt.closed_at = 401; }, "blocks"],
		["settled", (f) => { claim(f).published_at = 23; }, "blocks"],
		["settled", (f) => { f.accumulator.index = 11; }, "leaf"],
		["settled", (f) => { f.accumulator.proof.peaks.pop(); }, "leaf"],
		["confirmed", (f) => { f.accumulator = { index: 0, proof: null }; }, "leaf"],
	];
	for (const [name, edit, what] of cases) {
		const report = verify(changed(name, edit), null, { now: 0 });
		assert.deepEqual([report.outcome, report.reason, report.detail], ["UNVERIFIABLE", "inconsistent", what]);
		assert.equal(report.assurance, null);
	}
});

test("evidence of a stream is of the claim, signed, and shows contradictions", () => {
	const draft = [{ id: 17, text: "The stored " }, { id: 4, text: "outcome" }];
	const other = [{ id: 17, text: "The stored " }, { id: 5, text: "result" }];
	const report = (drafts: Parameters<typeof signed>[1], edit: (stream: any) => void = () => {}) => {
		const json = signed("settled", drafts);
		edit(json.stream);
		return verify(JSON.stringify(json), null, { now: 0 });
	};
	const begins = report([draft, draft.slice(0, 1), []]);
	assert.deepEqual([begins.reason, begins.contradiction], ["no_evidence", null], begins.detail ?? "");
	assert.equal(report([other]).contradiction, "of_its_answer");
	assert.equal(report([draft, other]).contradiction, "of_itself");
	assert.equal(report([draft, other], ({ chunks }) => chunks.forEach((chunk: any) => delete chunk.draft)).contradiction, "of_itself");
	assert.equal(report([other], ({ chunks }) => { delete chunks[0].draft; }).contradiction, null, "there is nothing to compare");
	assert.equal(report([[{ id: 17, text: "A" }], draft]).contradiction, "of_itself");
	const cases: [string, (stream: any) => void][] = [
		["stream_claim", (stream) => { stream.claim = stream.key; }],
		["stream_key", (stream) => { stream.key = `0x01${"00".repeat(31)}`; }],
		["stream_key", (stream) => { stream.key = `0x${"00".repeat(32)}`; }],
		["stream_signature 0", (stream) => { stream.chunks[0].tokens++; }],
		["stream_signature 0", (stream) => { stream.chunks[0].hash = stream.key; }],
		["stream_signature 1", (stream) => { stream.chunks[1].signature = stream.chunks[0].signature; }],
		["stream_signature 0", (stream) => { stream.chunks[0].signature = `0x${"00".repeat(64)}`; }],
		["stream_signature 0", (stream) => { stream.chunks[0].signature = `0x${"ff".repeat(64)}`; }],
		["stream_draft 0", (stream) => { stream.chunks[0].draft[0].text = "A"; }],
		["stream_draft 0", (stream) => { stream.chunks[0].draft.pop(); }],
	];
	for (const [what, edit] of cases) assert.equal(report([draft, other], edit).detail, what);
	const many = report(Array.from({ length: 17 }, () => draft.slice(0, 1)));
	assert.equal(many.detail, "stream_length");
	assert.equal(report([], (stream) => { stream.key = `0x${"ff".repeat(32)}`; }).detail, "stream_key");
});

test("assurances are the sentences of the command line", () => {
	const of = (name: string, edit: (json: any) => void = () => {}) => verify(changed(name, edit), null, { now: 0 }).assurance;
	const from = "4 providers with 40 000 ASY, of which the largest holds 25 %";
	const tail =
		"If 20 % of that stake were corrupt or lazy, and the same cartel made as large a share of the blocks, 1 false answer in " +
		"5 would have passed. A lie had to be worth more than 18 000 ASY to pay; for an executor that waits for blocks of its " +
		"own, as it can in 20.6 % of its jobs, 30 ASY. It is settled: nothing about it can change any more. Not claimed: " +
		"anything at a third or more of corrupt stake; that the machines are independent of each other; that nobody passed the " +
		"result on.";
	assert.equal(of("one_head"),
		`All 2 seats of verifiers, drawn after the answer from ${from}, went to one provider, which recomputed it and agrees on ` +
		`every bit. ${tail}`);
	assert.equal(of("unchecked"),
		"Nobody was asked to check this answer. Nothing is claimed of it but this: with 20 % of the stake corrupt, an audit that " +
		"nobody could foresee would have found a lie with a chance of 0.6711 %, so that it had to be worth more than 30 ASY to " +
		"pay. It is settled: nothing about it can change any more.");
	assert.match(of("confirmed", (f) => { f.receipt.claim.open_claims = 9; })!, /worth more than 1800 ASY/);
	const without = of("one_head", (f) => {
		f.receipt.claim.electorate.largest = f.receipt.claim.electorate.executor = "16000000000000000";
	});
	assert.match(without!, /this executor, which holds 40 % of the stake, so nothing it could lose deters a lie\. It is settled/);
	assert.equal(of("overturned"),
		"The electorate found this answer false, with 30 000 ASY against 10 000 ASY, of 40 000 ASY. The requester was refunded.");
});

test("numbers are written as Rust writes them", () => {
	const worths: [number, string][] = [
		[0, "0 ASY"], [1e9, "0.001 ASY"], [0.129e12, "0.12 ASY"], [3e12, "3 ASY"], [149.9e12, "140 ASY"], [9_990e12, "9900 ASY"],
		[78_700e12, "78 000 ASY"], [1_690_000e12, "1.6 million ASY"], [2.5e21, "2.5 billion ASY"],
	];
	for (const [units, text] of worths) assert.equal(worth(units), text);
	// Ties go to even: 20.25 and 0.125 have no nearer neighbor.
	const shares: [number, string][] = [
		[0.2, "20 %"], [1 / 3, "33.3 %"], [0.01271, "1.27 %"], [0.0004, "0.04 %"], [0.2025, "20.2 %"], [0.2075, "20.8 %"],
		[0.03125, "3.12 %"], [0.09375, "9.38 %"], [0, "0 %"], [1, "100 %"],
	];
	for (const [share, text] of shares) assert.equal(percent(share), text, String(share));
	const chances: [number, string][] = [
		[1, "every false answer"], [0.6, "more than half of all false answers"], [0.5, "1 false answer in 2"],
		[0.0541, "1 false answer in 18"], [0.000808, "1 false answer in 1 200"], [0, "hardly any false answer"],
	];
	for (const [chance, text] of chances) assert.equal(passing(chance), text);
	assert.deepEqual([stake(40_000_999_999_999_999n), stake(1_234_567_000_000_000_000n), stake(5n), stake(0n)],
		["40 000 ASY", "1 234 567 ASY", "0.000000000005 ASY", "0 ASY"]);
});
