/** The anchor that a raw chain specification has, which its user trusts. */

import type { Anchor } from "./anchor.js";
import { blake2, concatBytes, equal, hexToBytes, utf8ToBytes } from "./bytes.js";
import { trieRoot } from "./build.js";
import { readText } from "./file.js";
import { type Authority, type Header, readHeader, takeAuthority } from "./header.js";
import { ensure, Refusal } from "./refusal.js";
import { decodeAll } from "./scale.js";

/** Those of Assay chains have one or two million. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_KEY_BYTES = 1024;
const MAX_CHAIN_NAME_BYTES = 256;
const SLOT_SECONDS = 3n;
/** Seconds for which a validator's bond stays when it stops, unless the genesis sets others, and the fewest that it may set. */
const UNBONDING_SECONDS = 604_800n;
const MIN_UNBONDING_SECONDS = 259_200n;
const BABE = utf8ToBytes("BABE");
/** Where GRANDPA's authorities are stored: XXH64 with the seeds 0 and 1 of the names of pallet and item. */
export const AUTHORITIES = hexToBytes("5f9cc45b7a00c5899361e1c6099678dc5e0621c4869aa60c02be9adcc98a0d1d");

/** Where the genesis stores for how many blocks bonds stay, if it sets that: `Providers`, `UnbondingPeriod`. */
export const UNBONDING_PERIOD = hexToBytes("0eae9bd3cafa0c7d3dc23094bd80dcab4667a7fce55ef1a2d36909be9cff79a2");

type Fields = Record<string, unknown>;
type Start = Pick<Anchor, "number" | "hash" | "time" | "set_id" | "authorities">;

/**
 * Reads the anchor of a raw chain specification: its checkpoint if it has one, else block 0. Throws a `Refusal` if it has
 * none. Others than this chain's programs write specifications too, so their JSON is not read strictly.
 */
export function readChainSpec(file: string | Uint8Array): Anchor {
	const spec = fields(parse(readText(file, MAX_BYTES)), "the specification");
	const genesis = fields(spec["genesis"], "genesis");
	const top = genesis["raw"] === undefined ? null : entriesOf(fields(genesis["raw"], "genesis.raw"));
	const stateRoot = top === null ? bytes(genesis["stateRootHash"], "genesis.stateRootHash") : trieRoot(top);
	ensure(stateRoot.length === 32, "malformed", "it is not raw");
	// Block 0 has no parent, number 0, no extrinsics and no digest.
	const none = blake2(Uint8Array.of(0));
	const hash = blake2(new Uint8Array(32), Uint8Array.of(0), stateRoot, none, Uint8Array.of(0));
	const light = spec["lightSyncState"];
	const start = light == null ? first(hash, top) : checkpoint(fields(light, "lightSyncState"));
	ensure(start.number !== 0 || equal(start.hash, hash), "malformed", "its block 0 is another");
	const name = spec["name"];
	ensure(typeof name === "string" && utf8ToBytes(name).length <= MAX_CHAIN_NAME_BYTES, "malformed", "it has no short name");
	const bonded = bondedSeconds(top);
	const isPublic = spec["chainType"] === "Development" || spec["chainType"] === "Local";
	return { format: 1, chain: name, genesis: hash, ...start, max_age: isPublic ? null : bonded };
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw new Refusal("not_json");
	}
}

function fields(value: unknown, what: string): Fields {
	const isFields = typeof value === "object" && value !== null && !Array.isArray(value);
	ensure(isFields, "malformed", `${what} is not there`);
	return value as Fields;
}

function bytes(digits: unknown, what: string): Uint8Array {
	const bare = typeof digits === "string" ? digits.replace(/^0x/, "") : "?";
	ensure(bare.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(bare), "malformed", `${what} has no hex digits`);
	return hexToBytes(bare);
}

/** Returns the state of block 0. */
function entriesOf(raw: Fields): [Uint8Array, Uint8Array][] {
	const children = raw["childrenDefault"];
	ensure(children === undefined || Object.keys(fields(children, "childrenDefault")).length === 0, "malformed", "it has child tries");
	return Object.entries(fields(raw["top"], "genesis.raw.top")).map(([key, value]) => {
		ensure(key.length <= 2 * MAX_KEY_BYTES + 2, "malformed", "a key of its state is too long");
		return [bytes(key, "a key"), bytes(value, key)];
	});
}

function first(hash: Uint8Array, top: [Uint8Array, Uint8Array][] | null): Start {
	const stored = top?.find(([key]) => equal(key, AUTHORITIES))?.[1];
	const authorities = stored === undefined ? null : decodeAll(stored, (reader) => reader.list(40, takeAuthority));
	ensure(authorities !== null, "malformed", "it has neither a checkpoint nor authorities of GRANDPA");
	return { number: 0, hash, time: null, set_id: 0n, authorities };
}

/** Returns for how long bonds stay at least. A specification without the state does not have it. */
function bondedSeconds(top: [Uint8Array, Uint8Array][] | null): bigint {
	if (top === null) return MIN_UNBONDING_SECONDS;
	const stored = top.find(([key]) => equal(key, UNBONDING_PERIOD))?.[1];
	if (stored === undefined) return UNBONDING_SECONDS;
	const blocks = decodeAll(stored, (reader) => reader.u32());
	ensure(blocks !== null, "malformed", "its unbonding period is unreadable");
	return BigInt(blocks) * SLOT_SECONDS;
}

function checkpoint(light: Fields): Start {
	const header = readHeader(bytes(light["finalizedBlockHeader"], "finalizedBlockHeader"));
	const set = decodeAll(bytes(light["grandpaAuthoritySet"], "grandpaAuthoritySet"), (reader) => {
		const authorities: Authority[] = reader.list(40, takeAuthority);
		const set_id = reader.u64();
		// What is pending comes behind them.
		reader.bytes(reader.left());
		return { authorities, set_id };
	});
	ensure(set !== null, "malformed", "its checkpoint is unreadable");
	return { number: header.number, hash: header.hash, time: timeOf(header), ...set };
}

/** Returns when a block was made: from its slot, which follows the kind and the author in BABE's claim. */
function timeOf({ digest }: Header): bigint | null {
	const claim = digest.find((item) => item?.kind === "pre-runtime" && equal(item.engine, BABE));
	const slot = claim == null ? null : decodeAll(concatBytes(claim.data.subarray(5, 13)), (reader) => reader.u64());
	return slot === null ? null : slot * SLOT_SECONDS;
}
