import assert from "node:assert/strict";
import test from "node:test";
import { blake2, concatBytes, hex } from "../src/bytes.js";
import { verify, type Report } from "../src/index.js";
import { PLACES } from "../src/state.js";
import { Trie, change, header, justified, justify, scene, type Scene, storage, voters } from "./forge.js";

const NOW = { now: 1_800_000_000 };

function check({ json, anchor }: Scene, options = NOW): Report {
	return verify(JSON.stringify(json), anchor, options);
}

function refused(made: Scene, step: string, reason: string, options = NOW): void {
	const report = check(made, options);
	const last = report.steps.at(-1);
	assert.deepEqual([last?.id, report.reason, report.outcome === "FINAL"], [step, reason, false], report.detail ?? "");
}

test("receipts with evidence are final", () => {
	for (const name of ["settled", "confirmed", "one_head", "audited", "upheld", "conversation"]) {
		const report = check(scene(name));
		assert.equal(report.outcome, "FINAL", `${name}: ${report.reason} ${report.detail}`);
		assert.equal(report.steps.length, 8);
		assert.equal(report.block?.number, 400);
	}
	const open = check(scene("confirmed"));
	assert.deepEqual([open.settled, open.until], [false, null], "block 400 is past the window");
	const early = check(scene("confirmed", (json) => { json.read_at.number = 224; }));
	assert.deepEqual([early.outcome, early.settled, early.until], ["FINAL", false, 225]);
	assert.deepEqual(open.not_proved, ["fee", "requested_at", "answer.input_tokens"]);
});

test("an answer that nobody checked is not final, whatever its evidence", () => {
	for (const name of ["unchecked", "unverified", "overturned", "refunded", "disputed", "contested", "void"]) {
		const report = check(scene(name));
		assert.equal(report.outcome, "NOT FINAL", `${name}: ${report.reason} ${report.detail}`);
		assert.equal(report.steps.length, 8, "the evidence is checked all the same");
	}
	const made = scene("unchecked");
	made.json.finality.state.pop();
	assert.equal(check(made).outcome, "UNVERIFIABLE", "what contradicts itself outranks it");
});

test("a pruned receipt is proved by the accumulator", () => {
	const pruned = (file: Parameters<typeof storage>[0]) =>
		storage(file).filter(([key]) => hex(key) !== hex(concatBytes(PLACES.Jobs.Receipts, file.receipt.job)));
	assert.equal(check(scene("settled", undefined, pruned)).outcome, "FINAL");
	refused(scene("one_head", undefined, pruned), "state", "not_stored");
	const other = (file: Parameters<typeof storage>[0]) =>
		pruned(file).map(([key, value]): [Uint8Array, Uint8Array] =>
			[key, key === PLACES.Jobs.ReceiptAccumulator ? value.map((byte, i) => byte ^ Number(i === 20)) : value]);
	refused(scene("settled", undefined, other), "state", "other_receipt");
});

test("anchors that do not fit are refused by their names", () => {
	const made = scene("settled");
	const text = JSON.stringify(made.json);
	const cases: [string, Partial<Scene["anchor"]>][] = [
		["other_chain", { genesis: new Uint8Array(32) }],
		["old_anchor", { max_age: 604_800n }],
		["old_anchor", { max_age: 604_800n, time: 1_799_395_199n }],
		["before_anchor", { set_id: 3n }],
	];
	for (const [reason, changed] of cases) {
		assert.equal(verify(text, { ...made.anchor, ...changed }, NOW).reason, reason);
	}
	assert.equal(verify(text, null, NOW).reason, "no_anchor");
	const fresh = { ...made.anchor, max_age: 604_800n, time: 1_799_395_200n };
	assert.equal(verify(text, fresh, NOW).outcome, "FINAL");
	assert.equal(verify(text, fresh, { ...NOW, maxAge: 604_799 }).reason, "old_anchor");
	assert.equal(verify(text, { ...made.anchor, max_age: 1n }, { ...NOW, maxAge: null }).outcome, "FINAL");
	made.json.finality.handovers.shift();
	refused(made, "anchor", "gap");
	const later = { ...made.anchor, set_id: 1n, number: 100, authorities: made.sets[1]!.map(({ key, weight }) => ({ key, weight })) };
	assert.equal(verify(JSON.stringify(made.json), later, NOW).outcome, "FINAL");
});

test("handovers that do not hand over are refused by their names", () => {
	const at = (edit: (made: Scene, data: (logs: Uint8Array[], number?: number) => void) => void): Scene => {
		const made = scene("settled");
		edit(made, (logs, number = 200) => {
			const data = header({ number, parent: new Uint8Array(32), stateRoot: new Uint8Array(32), logs });
			made.json.finality.handovers[1] = { header: hex(data), justification: hex(justified(data, number, 1n, made.sets[1]!)) };
		});
		return made;
	};
	const next = voters(4, 3);
	const forced = concatBytes(Uint8Array.of(2, 0, 0, 0, 0), change(next).subarray(1));
	const cases: [string, Uint8Array[], number?][] = [
		["no_change", []],
		["no_change", [change(next), change(next)]],
		["no_change", [change(next, 1)]],
		["bad_header", [change(next).subarray(0, 30)]],
		["bad_header", [concatBytes(change(next), Uint8Array.of(0))]],
		["bad_header", [change(next), Uint8Array.of(6)]],
		["forced_change", [forced]],
		["forced_change", [change(next), forced]],
		["bad_authorities", [change([])]],
		["bad_authorities", [change([...next, next[0]!])]],
		["bad_authorities", [change(voters(4, 3, 0n))]],
		["bad_authorities", [change(voters(1025, 3))]],
		["bad_order", [change(next)], 100],
	];
	for (const [reason, logs, number] of cases) refused(at((_, set) => set(logs, number)), "handovers", reason);
	assert.equal(check(at((_, set) => set([change(next), new Uint8Array(9).fill(3)]))).outcome, "FINAL");
	refused(at((made) => { made.json.finality.handovers[0].header += "00"; }), "handovers", "bad_header");
	refused(at(({ json }) => json.finality.handovers.reverse()), "handovers", "unknown_voter");
	refused(at(({ json }) => { json.read_at.number = 4; }), "contents", "inconsistent");
	const old = at((made) => { made.json.finality.handovers[0].justification += "00"; });
	const authorities = old.sets[1]!.map(({ key, weight }) => ({ key, weight }));
	refused({ ...old, anchor: { ...old.anchor, set_id: 1n, authorities } }, "handovers", "bad_justification");
});

test("justifications that justify nothing are refused by their names", () => {
	const with_ = (make: (hash: Uint8Array, set: ReturnType<typeof voters>) => Parameters<typeof justify>[0]): Scene => {
		const made = scene("settled");
		made.json.finality.justification = hex(justify(make(blake2(made.block), made.sets[2]!)));
		return made;
	};
	const ballot = (hash: Uint8Array, set: ReturnType<typeof voters>) =>
		({ hash, number: 400, setId: 2n, votes: set.map((voter) => ({ voter, hash, number: 400 })) });
	assert.equal(check(with_(ballot)).outcome, "FINAL");
	assert.equal(check(with_((hash, set) => ballot(hash, set.slice(0, 3)))).outcome, "FINAL");
	refused(with_((hash, set) => ballot(hash, set.slice(0, 2))), "justification", "too_few_votes");
	refused(with_((hash, set) => ({ ...ballot(hash, set), number: 401 })), "justification", "wrong_block");
	refused(with_((_, set) => ballot(new Uint8Array(32), set)), "justification", "wrong_block");
	refused(with_((hash, set) => ballot(hash, [...set, ...voters(1, 9)])), "justification", "unknown_voter");
	refused(with_((hash, set) => ballot(hash, [...set, set[0]!])), "justification", "duplicate_vote");
	refused(with_((hash, set) => ({ ...ballot(hash, set), setId: 3n })), "justification", "bad_signature");
	refused(with_((hash, set) => ({ ...ballot(hash, set), ancestries: [header({ number: 401, parent: hash, stateRoot: hash, logs: [] })] })),
		"justification", "unused_ancestry");
	const made = scene("settled");
	made.json.finality.justification += "00";
	refused(made, "justification", "bad_justification");
	for (const read_at of [{ number: 401 }, { hash: hex(new Uint8Array(32)) }, { finalized: false }]) {
		const made = scene("settled");
		Object.assign(made.json.read_at, read_at);
		refused(made, "justification", "read_at");
	}
});

test("votes for later blocks lead back to the block", () => {
	const made = scene("settled");
	const set = made.sets[2]!;
	const hash = blake2(made.block);
	const child = (parent: Uint8Array, number: number) => header({ number, parent, stateRoot: parent, logs: [] });
	const first = child(hash, 401);
	const second = child(blake2(first), 402);
	const vote = (voter: (typeof set)[number], data: Uint8Array, number: number) => ({ voter, hash: blake2(data), number });
	const votes = [vote(set[0]!, made.block, 400), vote(set[1]!, second, 402), vote(set[2]!, first, 401)];
	const tried = (changed: Partial<Parameters<typeof justify>[0]>): Scene => {
		const ballot = { hash, number: 400, setId: 2n, votes, ancestries: [second, first], ...changed };
		return { ...made, json: { ...made.json, finality: { ...made.json.finality, justification: hex(justify(ballot)) } } };
	};
	assert.equal(check(tried({})).outcome, "FINAL");
	refused(tried({ ancestries: [second] }), "justification", "not_descendant");
	refused(tried({ ancestries: [] }), "justification", "not_descendant");
	refused(tried({ ancestries: [second, first, first] }), "justification", "unused_ancestry");
	refused(tried({ ancestries: [second, first, made.block] }), "justification", "unused_ancestry");
	refused(tried({ votes: [...votes.slice(0, 2), { ...votes[2]!, number: 400 }] }), "justification", "not_descendant");
	refused(tried({ votes: [{ ...votes[0]!, number: 401 }, ...votes.slice(1)] }), "justification", "not_descendant");
	const gap = child(hash, 402);
	refused(tried({ votes: [...votes.slice(0, 2), vote(set[2]!, gap, 402)], ancestries: [second, first, gap] }), "justification", "not_descendant");
});

test("a proof shows what the chain stores and nothing else", () => {
	const made = scene("settled");
	const state: string[] = made.json.finality.state;
	assert.ok(state.length >= 5, `${state.length} nodes`);
	const tried = (nodes: string[]): Scene => ({ ...made, json: { ...made.json, finality: { ...made.json.finality, state: nodes } } });
	for (const i of state.keys()) {
		refused(tried(state.filter((_, j) => j !== i)), "state", "bad_state");
		refused(tried([...state, state[i]!]), "state", "bad_state");
	}
	assert.equal(check(tried([...state].reverse())).outcome, "FINAL", "their order means nothing");
	const unneeded = [...made.trie.nodes.values()].map(hex).find((node) => !state.includes(node));
	refused(tried([...state, unneeded!]), "state", "bad_state");
	refused(tried([]), "state", "bad_state");
	for (const field of ["fee", "requested_at", "verdict_at"]) {
		const changed = scene("one_head");
		changed.json.receipt[field] = typeof changed.json.receipt[field] === "string" ? "1" : changed.json.receipt[field] - 1;
		refused(changed, "state", "other_receipt");
	}
	const open = scene("confirmed");
	open.json.receipt.claim.open_claims++;
	refused(open, "state", "other_receipt");
	const other = scene("confirmed");
	other.json.receipt.claim.slashable += "0";
	refused(other, "state", "other_receipt");
});

test("an empty trie proves that nothing is stored", () => {
	const made = scene("one_head", undefined, () => []);
	refused(made, "state", "not_stored");
	assert.equal(hex(new Trie([]).root), "0x03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314");
});

test("who asks for a settled answer gets no other", () => {
	const settled = { ...NOW, settled: true };
	assert.equal(check(scene("settled"), settled).outcome, "FINAL");
	const report = check(scene("confirmed"), settled);
	assert.deepEqual([report.outcome, report.reason], ["NOT FINAL", "not_settled"]);
});

test("the finalized block is after the anchor and the last handover", () => {
	const made = scene("settled", (json) => { json.read_at.number = 300; });
	assert.equal(check(made).outcome, "FINAL");
	const authorities = made.sets[2]!.map(({ key, weight }) => ({ key, weight }));
	const at = (number: number, hash: Uint8Array) => ({ ...made, anchor: { ...made.anchor, set_id: 2n, number, hash, authorities } });
	assert.equal(check(at(300, blake2(made.block))).outcome, "FINAL");
	refused(at(301, blake2(made.block)), "justification", "before_anchor");
	refused(at(300, new Uint8Array(32)), "justification", "bad_order");
});
