/** The step `state`: what the chain stores of the job in the finalized block. */

import { blake2b } from "@noble/hashes/blake2b";
import { provenRoot, rootOf } from "./accumulator.js";
import { concatBytes, equal, hexToBytes } from "./bytes.js";
import { type Codec, encode } from "./codec.js";
import {
	type Claim, claim as claimCodec, leafHash, type Leaf, MAX_SEAT_RECORDS, type Receipt, receipt as receiptCodec, state,
	verdict as verdictCodec,
} from "./receipt.js";
import { ensure, Refusal } from "./refusal.js";
import { decodeAll, type Reader, Undecodable, Writer } from "./scale.js";
import type { Proof } from "./trie.js";

/** Places in storage: XXH64 with the seeds 0 and 1 of the pallet's name, and of the item's. */
const RECEIPTS = prefix("1c88f06ceab6c17559377f12624f77d8", "5087a88ab53079a394ab62a465d46183");
const ACCUMULATOR = prefix("1c88f06ceab6c17559377f12624f77d8", "37f3125e3a27358e1ff27bec598f4ec3");
const LEAVES = prefix("1c88f06ceab6c17559377f12624f77d8", "95729a590e957cd2e79da1fb5f1c1978");
const CLAIMS = prefix("b48ad215f82b7d0f494c51094c97fca1", "9c5d795d0297be56027a4b2464e33397");
const CLAIM_COUNT = prefix("b48ad215f82b7d0f494c51094c97fca1", "df5e22fc8bd65e9526698c1e60b01289");

function prefix(pallet: string, item: string): Uint8Array {
	return hexToBytes(pallet + item);
}
/** The same by name, for those who hold them against another implementation. */
export const PLACES = {
	Jobs: { Receipts: RECEIPTS, ReceiptAccumulator: ACCUMULATOR, Leaves: LEAVES },
	Verification: { Claims: CLAIMS, ClaimCount: CLAIM_COUNT },
};

/** Checks that the chain stores this receipt. Returns the fields of which its state says nothing. */
export function checkState(proof: Proof, receipt: Receipt, claimId: Uint8Array | null, leaf: Leaf | null): string[] {
	if (receipt.closed_at !== null) {
		checkClosed(proof, receipt, leaf);
		proof.end();
		return [];
	}
	// An open receipt without a claim is inconsistent, so that no file gets here with one.
	ensure(receipt.claim !== null && claimId !== null, "not_stored");
	checkOpen(proof, receipt, receipt.claim, claimId);
	proof.end();
	const listing = receipt.listing_named ? [] : ["listing"];
	return ["fee", "requested_at", "answer.input_tokens", ...listing];
}

function checkClosed(proof: Proof, receipt: Receipt, leaf: Leaf | null): void {
	const stored = proof.get(concatBytes(RECEIPTS, receipt.job));
	if (stored === null) ensure(leaf !== null && leaf.proof !== null, "not_stored");
	else ensure(equal(stored, encode(receiptCodec, receipt)), "other_receipt");
	if (leaf === null) return;
	if (leaf.proof === null) {
		const index = proof.get(concatBytes(LEAVES, receipt.job));
		ensure(index !== null, "not_stored");
		ensure(equal(index, new Writer().u64(leaf.index).end()), "other_receipt");
		return;
	}
	const accumulator = proof.get(ACCUMULATOR);
	ensure(accumulator !== null, "not_stored");
	const root = provenRoot(leaf, leafHash(receipt));
	ensure(root !== null && equal(root, rootOf(accumulator)), "other_receipt");
}

/** What a chain stores of an open claim, as far as a receipt shows it. */
interface Stored {
	origin: Uint8Array;
	requester: Uint8Array;
	model: Uint8Array;
	state: number;
	verdict: Uint8Array;
	verdictAt: number | null;
	record: Uint8Array;
}

function takeStored(reader: Reader): Stored {
	const origin = reader.bytes(32);
	const requester = reader.bytes(32);
	const model = reader.bytes(32);
	const state = reader.u8();
	const verdict = takeVerdict(reader);
	const verdictAt = reader.option((item) => item.u32());
	// When it is due, may settle and is audited; auditors, whether it was reopened, the work and its price, next seats.
	reader.bytes(4 + 4 + 4 + 1);
	reader.bool();
	reader.bytes(8 + 16 + 4);
	if (reader.list(4, (item) => item.u32()).length > MAX_SEAT_RECORDS) throw new Undecodable("too many deadlines");
	return { origin, requester, model, state, verdict, verdictAt, record: reader.bytes(reader.left()) };
}

/** Reads a verdict that may be missing, as its encoding. */
function takeVerdict(reader: Reader): Uint8Array {
	if (!reader.bool()) return new Uint8Array();
	const kind = reader.u8();
	return kind === 4 ? Uint8Array.of(kind, reader.u8()) : Uint8Array.of(kind);
}

function checkOpen(proof: Proof, receipt: Receipt, claim: Claim, id: Uint8Array): void {
	const bytes = proof.get(concatBytes(CLAIMS, id));
	ensure(bytes !== null, "not_stored");
	const stored = decodeAll(bytes, takeStored);
	ensure(stored !== null, "other_receipt");
	const counted = proof.get(concatBytes(CLAIM_COUNT, blake2b(claim.executor, { dkLen: 16 }), claim.executor));
	const count = counted === null ? 0 : decodeAll(counted, (reader) => reader.u32());
	ensure(count !== null, "other_receipt");
	// The record ends with the number of open claims, which is counted apart.
	const record = stored.record.subarray(0, -4);
	const shown = encode(claimCodec, claim).subarray(0, -4);
	const holds =
		equal(stored.origin, receipt.job) && equal(stored.requester, receipt.requester) && equal(stored.model, receipt.model) &&
		isEncoded(state, receipt.state, Uint8Array.of(stored.state)) && isEncoded(verdictCodec, receipt.verdict, stored.verdict) &&
		stored.verdictAt === receipt.verdict_at && equal(record, shown) &&
		claim.open_claims === Math.max(0, count - 1);
	if (!holds) throw new Refusal("other_receipt");
}

function isEncoded<T>(codec: Codec<T>, value: T, bytes: Uint8Array): boolean {
	return equal(encode(codec, value), bytes);
}

