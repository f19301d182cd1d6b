/** The names and hashes that bind a receipt: of prompt, answer, job, claim, draws and approvals. */

import { blake2, derive, utf8ToBytes } from "./bytes.js";
import { AUDIT, draw as drawCodec, type Claim, type Input, type Output, output, params, type Receipt } from "./receipt.js";
import { encode } from "./codec.js";
import { Writer } from "./scale.js";

/** Begins the encoding of something named: its purpose, as bytes without a length. */
function purpose(name: string): Writer {
	return new Writer().bytes(utf8ToBytes(name));
}

export function inputHash(of: Input): Uint8Array {
	return derive(of.kind === "chat" ? "assay/v1/chat" : "assay/v1/input", utf8ToBytes(of.value));
}

export function outputHash(of: Output): Uint8Array {
	return derive("assay/v1/output", encode(output, of));
}

/** Returns the name that a receipt's job must have on the chain with this genesis. */
export function jobId(genesis: Uint8Array, of: Receipt): Uint8Array {
	const out = purpose("assay/v2/job").bytes(genesis).bytes(of.requester).u64(of.count).bytes(of.model);
	out.bytes(of.input_hash).bytes(encode(params, of.params));
	if (of.listing_named) out.u32(of.listing);
	return blake2(out.end());
}

/** Returns the name of a receipt's claim. */
export function claimId(genesis: Uint8Array, of: Receipt, claim: Claim): Uint8Array {
	const attempt = purpose("assay/v2/execution").bytes(genesis).bytes(of.job).u8(claim.attempt);
	attempt.bytes(encode(drawCodec, claim.drawn)).bytes(claim.executor).bytes(of.model);
	return blake2(utf8ToBytes("assay/v2/claim"), blake2(attempt.end()));
}

/** Returns the seal that the executor of a claim publishes over its root. */
export function seal(claim: Uint8Array, executor: Uint8Array, root: Uint8Array): Uint8Array {
	return blake2(utf8ToBytes("assay/v2/seal"), claim, executor, root);
}

/** Returns the name of the draw that votes of this tranche name; null if it was not drawn. */
export function drawId(id: Uint8Array, claim: Claim, tranche: number): Uint8Array | null {
	const drawn = drawOf(claim, tranche);
	if (drawn === undefined) return null;
	const seats = claim.seats.filter((seat) => seat.tranche === tranche);
	const out = purpose("assay/v2/seats").bytes(id).u8(tranche).bytes(encode(drawCodec, drawn));
	out.bytes(claim.output_hash).bytes(claim.seal).compact(seats.length);
	for (const seat of seats) out.bytes(seat.provider);
	return blake2(out.end());
}

/** Returns the draw of a tranche or of an auditor; undefined if there was none. */
export function drawOf(claim: Claim, tranche: number): Claim["drawn"] | undefined {
	return tranche >= AUDIT ? claim.audits[tranche - AUDIT] : claim.tranches[tranche - 1];
}

/** Returns the approval of a voter that computed this root. */
export function approval(draw: Uint8Array, voter: Uint8Array, root: Uint8Array): Uint8Array {
	return blake2(utf8ToBytes("assay/v2/vote"), draw, voter, root);
}
