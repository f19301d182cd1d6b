/** Headers of blocks, and the changes of validators that they announce. */

import { blake2, equal, hex, utf8ToBytes } from "./bytes.js";
import { ensure, Refusal } from "./refusal.js";
import { decodeAll, Reader, Undecodable } from "./scale.js";

/** A header, with its hash. */
export interface Header {
	hash: Uint8Array;
	parent: Uint8Array;
	number: number;
	stateRoot: Uint8Array;
	digest: DigestItem[];
}

/** What an engine of the consensus wrote before or in a block; null for other items. */
type DigestItem = { kind: "consensus" | "pre-runtime"; engine: Uint8Array; data: Uint8Array } | null;

/** A GRANDPA authority. */
export interface Authority {
	key: Uint8Array;
	weight: bigint;
}

const MAX_AUTHORITIES = 1024;
const GRANDPA = utf8ToBytes("FRNK");

/** Reads one header. */
export function takeHeader(reader: Reader, data: Uint8Array): Header {
	const from = data.length - reader.left();
	const header = {
		parent: reader.bytes(32),
		number: reader.compact(),
		stateRoot: reader.bytes(32),
		extrinsics: reader.bytes(32),
		digest: reader.list(1, takeDigestItem),
	};
	return { ...header, hash: blake2(data.subarray(from, data.length - reader.left())) };
}

function takeDigestItem(reader: Reader): DigestItem {
	const kind = reader.u8();
	switch (kind) {
		case 0: // Other
			reader.vector();
			return null;
		case 4:
			return { kind: "consensus", engine: reader.bytes(4), data: reader.vector() };
		case 5: // Seal
			reader.bytes(4);
			reader.vector();
			return null;
		case 6:
			return { kind: "pre-runtime", engine: reader.bytes(4), data: reader.vector() };
		case 8: // RuntimeEnvironmentUpdated
			return null;
		default:
			throw new Undecodable("an unknown item of a digest");
	}
}

/** Decodes a header and nothing else. */
export function readHeader(data: Uint8Array): Header {
	const header = decodeAll(data, (reader) => takeHeader(reader, data));
	ensure(header !== null, "bad_header");
	return header;
}

/** What GRANDPA writes into a digest, as far as it is needed. */
type Log = { kind: "scheduled"; authorities: Authority[]; delay: number } | { kind: "forced" | "other" };

function takeLog(reader: Reader): Log {
	switch (reader.u8()) {
		case 1:
			return { kind: "scheduled", ...takeChange(reader) };
		case 2: // with the number of the block that was finalized last
			reader.u32();
			takeChange(reader);
			return { kind: "forced" };
		case 3: // OnDisabled
			reader.u64();
			return { kind: "other" };
		case 4: // Pause
		case 5: // Resume
			reader.u32();
			return { kind: "other" };
		default:
			throw new Undecodable("an unknown log of GRANDPA");
	}
}

function takeChange(reader: Reader): { authorities: Authority[]; delay: number } {
	return { authorities: reader.list(40, takeAuthority), delay: reader.u32() };
}

/** Reads an authority: its key and its weight. */
export function takeAuthority(reader: Reader): Authority {
	return { key: reader.bytes(32), weight: reader.u64() };
}

/** Returns the validators to whom a header hands over: those of its one change, which takes effect at once. */
export function nextAuthorities(header: Header): Authority[] {
	let next: Authority[] | null = null;
	for (const item of header.digest) {
		if (item?.kind !== "consensus" || !equal(item.engine, GRANDPA)) continue;
		const log = decodeAll(item.data, takeLog);
		ensure(log !== null, "bad_header");
		ensure(log.kind !== "forced", "forced_change");
		if (log.kind !== "scheduled") continue;
		ensure(next === null && log.delay === 0, "no_change", "a second change, or one that waits");
		next = log.authorities;
	}
	ensure(next !== null, "no_change");
	checkAuthorities(next);
	return next;
}

/** Checks that authorities can be a set. */
export function checkAuthorities(authorities: Authority[]): void {
	const keys = new Set(authorities.map(({ key }) => hex(key)));
	const fits = authorities.length >= 1 && authorities.length <= MAX_AUTHORITIES && keys.size === authorities.length;
	if (!fits || authorities.some(({ weight }) => weight === 0n)) throw new Refusal("bad_authorities");
}
