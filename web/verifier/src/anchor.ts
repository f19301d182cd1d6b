/** The anchor: the set of validators that a user trusts. */

import { equal } from "./bytes.js";
import { hash32, list, type Of, option, struct, text, u32, u64 } from "./codec.js";
import { type Finality, readText, type ReceiptFile } from "./file.js";
import { checkAuthorities } from "./header.js";
import { readJson } from "./json.js";
import { ensure } from "./refusal.js";

const FORMAT = 1;
const MAX_BYTES = 1024 * 1024;
const MAX_CHAIN_NAME_BYTES = 256;

const anchor = struct({
	format: u32,
	chain: text(MAX_CHAIN_NAME_BYTES),
	genesis: hash32,
	number: u32,
	hash: hash32,
	time: option(u64),
	set_id: u64,
	authorities: list(struct({ key: hash32, weight: u64 }), Number.MAX_SAFE_INTEGER),
	max_age: option(u64),
});

/** What a verification begins at. */
export type Anchor = Of<typeof anchor>;

/** Reads an anchor's file. Throws a `Refusal` if it is none: it is what its user trusts, so nothing goes on without it. */
export function readAnchor(file: string | Uint8Array): Anchor {
	const read = anchor.read(readJson(readText(file, MAX_BYTES)));
	ensure(read.format === FORMAT, "format", `format ${read.format} of an anchor`);
	ensure(read.number !== 0 || equal(read.hash, read.genesis), "malformed", "its block 0 is not that of its chain");
	return read;
}

/** Returns how old an anchor is in seconds; null if it does not say when its block was made. */
export function ageOf(anchor: Anchor, now: number): number | null {
	return anchor.time === null ? null : Math.max(0, now - Number(anchor.time));
}

/** Checks that an anchor is of the file's chain and fresh enough, and that its evidence reaches it. */
export function checkAnchor(
	file: ReceiptFile, finality: Finality, anchor: Anchor | null, now: number, maxAge: number | null | undefined,
): Anchor {
	ensure(anchor !== null, "no_anchor");
	ensure(equal(anchor.genesis, file.genesis), "other_chain");
	const most = maxAge === undefined ? anchor.max_age : maxAge;
	const age = ageOf(anchor, now);
	// Validators of that set may have withdrawn their bonds, so nothing keeps them from signing another history.
	ensure(most === null || (age !== null && age <= most), "old_anchor");
	checkAuthorities(anchor.authorities);
	ensure(finality.set_id - BigInt(finality.handovers.length) <= anchor.set_id, "gap");
	ensure(finality.set_id >= anchor.set_id, "before_anchor");
	return anchor;
}
