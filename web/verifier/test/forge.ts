/** Makes what a chain would: tries, headers, justifications, and a receipt file with evidence. For tests only. */

import { readFileSync } from "node:fs";
import { ed25519 } from "@noble/curves/ed25519";
import { blake2b } from "@noble/hashes/blake2b";
import { getPublicKey, secretFromSeed, sign } from "@scure/sr25519";
import type { Anchor } from "../src/anchor.js";
import { trieRoot } from "../src/build.js";
import { blake2, bytesToHex, concatBytes, derive, hex, utf8ToBytes } from "../src/bytes.js";
import { encode, list, hash32, struct, u64 } from "../src/codec.js";
import { type ReceiptFile, readFile } from "../src/file.js";
import { claimId } from "../src/names.js";
import { claim as claimCodec, encodeToken, type Receipt, receipt as receiptCodec, verdict } from "../src/receipt.js";
import { Writer } from "../src/scale.js";
import { PLACES } from "../src/state.js";

/** Where the repository's other files are, seen from `dist/test`. */
export const ROOT = new URL("../../../../", import.meta.url);

export function golden(name: string): string {
	return readFileSync(new URL(`receipt/tests/golden/${name}.json`, ROOT), "utf8");
}

/** Returns a golden receipt with drafts that its executor signed. */
export function signed(name: string, drafts: { id: number; text: string }[][]): any {
	const json = JSON.parse(golden(name));
	const { genesis, receipt } = readFile(JSON.stringify(json));
	const claim = claimId(genesis, receipt, receipt.claim!);
	const secret = secretFromSeed(new Uint8Array(32).fill(5));
	const begin = blake2(utf8ToBytes("assay/v2/stream"), genesis, claim);
	const chunks = drafts.map((draft) => {
		const hash = draft.reduce((chain, token) => blake2(chain, encodeToken(token)), begin);
		const message = concatBytes(utf8ToBytes("assay/v2/stream-chunk"), genesis, claim, hash, new Writer().u32(draft.length).end());
		return { tokens: draft.length, hash: hex(hash), signature: hex(sign(secret, message)), draft };
	});
	return { ...json, stream: { claim: hex(claim), key: hex(getPublicKey(secret)), chunks } };
}

export interface Voter {
	secret: Uint8Array;
	key: Uint8Array;
	weight: bigint;
}

export function voters(count: number, seed: number, weight = 1n): Voter[] {
	return Array.from({ length: count }, (_, i) => {
		const secret = blake2(Uint8Array.of(seed, i));
		return { secret, key: ed25519.getPublicKey(secret), weight };
	});
}

export interface Block {
	number: number;
	parent: Uint8Array;
	stateRoot: Uint8Array;
	logs: Uint8Array[];
}

/** Returns the SCALE form of a header, whose logs are GRANDPA's. */
export function header({ number, parent, stateRoot, logs }: Block): Uint8Array {
	const out = new Writer().bytes(parent).compact(number).bytes(stateRoot).bytes(new Uint8Array(32).fill(9));
	// Each block of a chain has items of its author before, and a seal after.
	out.compact(logs.length + 2).u8(6).bytes(utf8ToBytes("BABE")).vector(Uint8Array.of(1, 2, 3));
	for (const log of logs) out.u8(4).bytes(utf8ToBytes("FRNK")).vector(log);
	return out.u8(5).bytes(utf8ToBytes("BABE")).vector(new Uint8Array(64)).end();
}

export function change(next: Voter[], delay = 0): Uint8Array {
	const out = new Writer().u8(1).compact(next.length);
	for (const { key, weight } of next) out.bytes(key).u64(weight);
	return out.u32(delay).end();
}

export interface Vote {
	voter: Voter;
	hash: Uint8Array;
	number: number;
}

export interface Ballot {
	hash: Uint8Array;
	number: number;
	setId: bigint;
	votes: Vote[];
	ancestries?: Uint8Array[];
	round?: bigint;
}

export function justify({ hash, number, setId, votes, ancestries = [], round = 7n }: Ballot): Uint8Array {
	const out = new Writer().u64(round).bytes(hash).u32(number).compact(votes.length);
	for (const vote of votes) {
		const message = new Writer().u8(1).bytes(vote.hash).u32(vote.number).u64(round).u64(setId).end();
		out.bytes(vote.hash).u32(vote.number).bytes(ed25519.sign(message, vote.voter.secret)).bytes(vote.voter.key);
	}
	out.compact(ancestries.length);
	for (const ancestor of ancestries) out.bytes(ancestor);
	return out.end();
}

/** Returns a justification by all of a set. */
export function justified(data: Uint8Array, number: number, setId: bigint, set: Voter[]): Uint8Array {
	const hash = blake2(data);
	return justify({ hash, number, setId, votes: set.map((voter) => ({ voter, hash, number })) });
}

/** A trie of layout V1. */
export class Trie {
	readonly nodes = new Map<string, Uint8Array>();
	readonly root: Uint8Array;
	/** Where each node is: the digits of the key that lead to it. */
	private readonly places = new Map<string, { at: string; isValue: boolean }>();

	constructor(entries: [Uint8Array, Uint8Array][]) {
		this.root = trieRoot(entries, (hash, data, at, isValue) => {
			this.nodes.set(hex(hash), data);
			this.places.set(hex(hash), { at, isValue });
		});
	}

	/** Returns the nodes on the way to some keys, values that are stored apart included. */
	prove(keys: Uint8Array[]): Uint8Array[] {
		const wanted = keys.map((key) => bytesToHex(key));
		return [...this.nodes].flatMap(([hash, node]) => {
			const place = this.places.get(hash)!;
			const onTheWay = wanted.some((key) => (place.isValue ? key === place.at : key.startsWith(place.at)));
			return onTheWay ? [node] : [];
		});
	}
}

/** What a chain stores of a receipt, and of others. */
export function storage(file: ReceiptFile): [Uint8Array, Uint8Array][] {
	const others: [Uint8Array, Uint8Array][] = Array.from({ length: 40 }, (_, i) => [
		concatBytes(PLACES.Jobs.Receipts, blake2(Uint8Array.of(i))), new Uint8Array(i * 3).fill(i),
	]);
	return [...others, ...own(file)];
}

function own({ receipt, genesis, accumulator }: ReceiptFile): [Uint8Array, Uint8Array][] {
	if (receipt.closed_at === null) return open(receipt, genesis);
	const entries: [Uint8Array, Uint8Array][] = [
		[concatBytes(PLACES.Jobs.Receipts, receipt.job), encode(receiptCodec, receipt)],
	];
	if (accumulator === null) return entries;
	entries.push([concatBytes(PLACES.Jobs.Leaves, receipt.job), new Writer().u64(accumulator.index).end()]);
	if (accumulator.proof !== null) entries.push([PLACES.Jobs.ReceiptAccumulator, accumulatorOf(receipt, accumulator)]);
	return entries;
}

/** The accumulator of the golden receipt `settled`: leaf 5 of 11, in the first of three trees. */
function accumulatorOf(receipt: Receipt, { index, proof }: NonNullable<ReceiptFile["accumulator"]>): Uint8Array {
	let node = derive("assay/v1/accumulator-leaf", derive("assay/v1/receipt", encode(receiptCodec, receipt)));
	proof!.siblings.forEach((sibling, level) => {
		const pair = (Number(index) >> level) & 1 ? [sibling, node] : [node, sibling];
		node = derive("assay/v1/accumulator-node", concatBytes(...pair));
	});
	const accumulator = struct({ leaves: u64, peaks: list(hash32, 64) });
	return encode(accumulator, { leaves: proof!.leaves, peaks: [node, ...proof!.peaks] });
}

function open(receipt: Receipt, genesis: Uint8Array): [Uint8Array, Uint8Array][] {
	const claim = receipt.claim!;
	const out = new Writer().bytes(receipt.job).bytes(receipt.requester).bytes(receipt.model);
	out.u8(["window", "auditing", "disputed"].indexOf(receipt.state) + 5).u8(1).bytes(encode(verdict, receipt.verdict));
	out.u8(1).u32(receipt.verdict_at).u32(1).u32(2).u32(3).u8(0).u8(0).u64(99).integer(77, 16).u32(0);
	out.compact(2).u32(5).u32(6).bytes(encode(claimCodec, { ...claim, open_claims: 17 }));
	const who = claim.executor;
	return [
		[concatBytes(PLACES.Verification.Claims, claimId(genesis, receipt, claim)), out.end()],
		[concatBytes(PLACES.Verification.ClaimCount, blake2b(who, { dkLen: 16 }), who), new Writer().u32(claim.open_claims + 1).end()],
	];
}

/** A chain of which four validators handed over twice, and what a file shows of it. */
export interface Scene {
	json: any;
	anchor: Anchor;
	sets: Voter[][];
	trie: Trie;
	block: Uint8Array;
}

/** Returns a golden receipt with evidence. `keys` are those that the proof shows, of all that is stored. */
export function scene(name: string, edit: (json: any) => void = () => {}, stored = storage, size = 4): Scene {
	const json = JSON.parse(golden(name));
	json.format = 5;
	edit(json);
	const file = readFile(JSON.stringify(json));
	const sets = [voters(size, 1), voters(size, 2), voters(size, 3)];
	const trie = new Trie(stored(file));
	const handovers = [100, 200].map((number, i) => {
		const data = header({ number, parent: blake2(Uint8Array.of(i)), stateRoot: new Uint8Array(32), logs: [change(sets[i + 1]!)] });
		return { header: hex(data), justification: hex(justified(data, number, BigInt(i), sets[i]!)) };
	});
	const { number } = file.read_at;
	const block = header({ number, parent: new Uint8Array(32).fill(4), stateRoot: trie.root, logs: [] });
	json.read_at = { number, hash: hex(blake2(block)), finalized: true };
	json.finality = {
		header: hex(block), justification: hex(justified(block, number, 2n, sets[2]!)), set_id: 2, handovers,
		state: trie.prove(keysOf(file)).map(hex),
	};
	const anchor = {
		format: 1, chain: "Assay Test", genesis: file.genesis, number: 0, hash: file.genesis, time: null, set_id: 0n,
		authorities: sets[0]!.map(({ key, weight }) => ({ key, weight })), max_age: null,
	};
	return { json, anchor, sets, trie, block };
}

/** Returns the keys that §6 of the specification names for a file. */
export function keysOf({ receipt, genesis, accumulator }: ReceiptFile): Uint8Array[] {
	if (receipt.closed_at === null) return open(receipt, genesis).map(([key]) => key);
	const keys = [concatBytes(PLACES.Jobs.Receipts, receipt.job)];
	if (accumulator === null) return keys;
	const leaves = concatBytes(PLACES.Jobs.Leaves, receipt.job);
	return [...keys, accumulator.proof === null ? leaves : PLACES.Jobs.ReceiptAccumulator];
}
