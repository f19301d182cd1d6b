/** GRANDPA justifications: that validators with more than two thirds of the votes finalized a block. */

import { ed25519 } from "@noble/curves/ed25519";
import { equal, hex } from "./bytes.js";
import { type Authority, type Header, takeHeader } from "./header.js";
import { ensure } from "./refusal.js";
import { decodeAll, type Reader, Writer } from "./scale.js";

const PRECOMMIT_BYTES = 32 + 4 + 64 + 32;
const LEAST_HEADER_BYTES = 32 + 1 + 32 + 32 + 1;
/** The place of precommits among GRANDPA's messages. */
const PRECOMMIT = 1;

interface Precommit {
	hash: Uint8Array;
	number: number;
	signature: Uint8Array;
	id: Uint8Array;
}

interface Justification {
	round: bigint;
	hash: Uint8Array;
	number: number;
	precommits: Precommit[];
	ancestries: Header[];
}

function takePrecommit(reader: Reader): Precommit {
	return { hash: reader.bytes(32), number: reader.u32(), signature: reader.bytes(64), id: reader.bytes(32) };
}

function decode(data: Uint8Array): Justification {
	const justification = decodeAll(data, (reader) => ({
		round: reader.u64(),
		hash: reader.bytes(32),
		number: reader.u32(),
		precommits: reader.list(PRECOMMIT_BYTES, takePrecommit),
		ancestries: reader.list(LEAST_HEADER_BYTES, () => takeHeader(reader, data)),
	}));
	ensure(justification !== null, "bad_justification");
	return justification;
}

/** Checks that some bytes are a justification, of whatever set. */
export function checkDecodes(data: Uint8Array): void {
	decode(data);
}

/** Checks that a justification shows that this set finalized this block. */
export function checkJustification(data: Uint8Array, block: Header, setId: bigint, authorities: Authority[]): void {
	const justification = decode(data);
	ensure(equal(justification.hash, block.hash) && justification.number === block.number, "wrong_block");
	const weights = new Map(authorities.map(({ key, weight }) => [hex(key), weight]));
	const voted = new Set<string>();
	let sum = 0n;
	for (const { id } of justification.precommits) {
		const voter = hex(id);
		const weight = weights.get(voter);
		ensure(weight !== undefined, "unknown_voter", voter);
		ensure(!voted.has(voter), "duplicate_vote", voter);
		voted.add(voter);
		sum += weight;
	}
	// What costs little is checked first.
	checkAncestry(justification, block);
	const total = authorities.reduce((all, { weight }) => all + weight, 0n);
	ensure(sum >= total - (total - 1n) / 3n, "too_few_votes", `${sum} of ${total}`);
	for (const precommit of justification.precommits) {
		const signed = isSigned(precommit, justification.round, setId);
		ensure(signed, "bad_signature", hex(precommit.id));
	}
}

/** Checks that each vote is for the block or for one after it, and that no header is there without need. */
function checkAncestry({ precommits, ancestries }: Justification, block: Header): void {
	const known = new Map(ancestries.map((header) => [hex(header.hash), header]));
	ensure(known.size === ancestries.length, "unused_ancestry", "a header twice");
	// What leads to the block, each header once, so that many votes take no longer than one.
	const leads = new Map([[hex(block.hash), block.number]]);
	for (const { hash, number } of precommits) {
		const path: [string, number][] = [];
		let [at, expected] = [hex(hash), number];
		while (!leads.has(at)) {
			const header = known.get(at);
			ensure(header !== undefined && header.number === expected && expected > block.number, "not_descendant");
			path.push([at, expected]);
			[at, expected] = [hex(header.parent), expected - 1];
		}
		ensure(leads.get(at) === expected, "not_descendant");
		for (const [hash, number] of path) leads.set(hash, number);
	}
	ensure([...known.keys()].every((hash) => leads.has(hash) && hash !== hex(block.hash)), "unused_ancestry");
}

function isSigned({ hash, number, signature, id }: Precommit, round: bigint, setId: bigint): boolean {
	const message = new Writer().u8(PRECOMMIT).bytes(hash).u32(number).u64(round).u64(setId).end();
	try {
		return ed25519.verify(signature, message, id, { zip215: true });
	} catch {
		// The library throws for keys and signatures that are none.
		return false;
	}
}
