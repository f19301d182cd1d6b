/** The receipt as a chain stores it, and what it is made of. */

import {
	account, amount, bool, encode, fixed, hash32, list, type Of, oneOf, oneVariant, option, optional, struct, text, u32, u64,
	u8,
} from "./codec.js";
import { derive } from "./bytes.js";

/** Hard limits of the chain's types. */
const MAX_INPUT_BYTES = 64 * 1024;
export const MAX_OUTPUT_TOKENS = 4096;
const MAX_OUTPUT_BYTES = MAX_OUTPUT_TOKENS * 16;
const MAX_STOPS = 4;
const MAX_STOP_BYTES = 32;
/** Most tranches of seats of one claim. */
export const MAX_TRANCHES = 4;
/** Most seats of all tranches of one claim. */
export const MAX_SEATS = 32;
const MAX_AUDIT_DRAWS = 8;
export const MAX_SEAT_RECORDS = MAX_SEATS + MAX_AUDIT_DRAWS;
/** The tranche number of a claim's first audit seat. */
export const AUDIT = 128;
/** Blocks after the verdict in which anyone may object. */
export const WINDOW = 200;
/** Blocks from a publication, or from a lapse, to the draw of seats. */
export const DRAW_DELAY = 2;

/** What the model is asked: text, or a conversation as JSON. */
export const input = oneVariant({ text: text(MAX_INPUT_BYTES), chat: text(MAX_INPUT_BYTES) });
export type Input = Of<typeof input>;

export const finish = oneVariant({
	eos: null,
	stop: null,
	length: null,
	failed: oneOf(
		"prompt_too_long", "non_finite", "template", "no_tokens", "not_generative", "part_left_out", "grammar",
	),
});

export const output = struct({
	input_tokens: u32,
	tokens: list(u32, MAX_OUTPUT_TOKENS),
	text: text(MAX_OUTPUT_BYTES),
	finish,
});
export type Output = Of<typeof output>;

/** A stop string is a list of bytes in JSON. */
export const params = struct({
	max_tokens: u32,
	temperature: u32,
	top_k: u32,
	min_p: u32,
	stop: list(list(u8, MAX_STOP_BYTES), MAX_STOPS),
});

export const verdict = oneVariant({
	confirmed: null,
	unchecked: null,
	unverified: null,
	overturned: null,
	refunded: oneOf("queue_time_over", "no_output", "undecided"),
});
export type Verdict = Of<typeof verdict>;

export const state = oneOf(
	"waiting", "executing", "published", "voting", "lapsed", "window", "auditing", "disputed", "settled", "overturned",
	"refunded",
);
export type State = Of<typeof state>;

export const fault = oneOf("false_claim", "false_rejection", "false_approval", "wrong_juror", "lapse", "no_output");

export const draw = struct({ block: u32, beacon: hash32 });

export const seatVote = struct({
	tranche: u8,
	vote: oneVariant({
		approve: hash32,
		reject: struct({ defect: oneVariant({ output: u32, seal: null }), root: hash32 }),
	}),
});
export type SeatVote = Of<typeof seatVote>;

export const seat = struct({ provider: account, tranche: u8, vote: option(seatVote), fault: option(fault) });
export type Seat = Of<typeof seat>;

export const dispute = struct({
	objector: option(account),
	round: u8,
	stake: amount,
	approve: amount,
	reject: amount,
	decision: option(oneOf("overturned", "upheld")),
});
export type Dispute = Of<typeof dispute>;

export const electorate = struct({ members: u32, stake: amount, largest: amount, executor: amount, chain: amount });
export type Electorate = Of<typeof electorate>;

/** Everything about a claim that a receipt shows. The number of open claims is the encoding's end. */
export const claim = struct({
	attempt: u8,
	executor: account,
	drawn: draw,
	output_hash: hash32,
	seal: hash32,
	root: option(hash32),
	published_at: u32,
	verifiers: u8,
	tranches: list(draw, MAX_TRANCHES),
	audits: list(draw, MAX_AUDIT_DRAWS),
	seats: list(seat, MAX_SEAT_RECORDS),
	audit: oneOf("undecided", "spared", "due", "open", "approved", "rejected", "not_done", "nobody"),
	dispute: option(dispute),
	electorate,
	slashable: amount,
	open_claims: u32,
});
export type Claim = Of<typeof claim>;

export const receipt = struct({
	job: hash32,
	model: hash32,
	listing: u32,
	listing_named: bool,
	requester: account,
	count: u64,
	params,
	input_hash: hash32,
	verdict,
	state,
	answer: option(struct({ input_tokens: u32, output_tokens: u32, finish })),
	claim: option(claim),
	attempts: u8,
	fee: amount,
	requested_at: u32,
	verdict_at: u32,
	closed_at: option(u32),
});
export type Receipt = Of<typeof receipt>;

const MAX_PEAKS = 64;

export const accumulatorProof = struct({
	leaves: u64,
	siblings: list(hash32, MAX_PEAKS),
	peaks: list(hash32, MAX_PEAKS),
});

/** Where a final receipt is in its chain's accumulator. */
export const leaf = struct({ index: u64, proof: option(accumulatorProof) });
export type Leaf = Of<typeof leaf>;

/** A token of a draft and the text that it adds. */
const streamToken = struct({ id: u32, text: text(Number.MAX_SAFE_INTEGER) });
export type StreamToken = Of<typeof streamToken>;
/** Writes a token as the chain of a stream hashes it. */
export const encodeToken = (token: StreamToken): Uint8Array => encode(streamToken, token);

/** What an executor signed while it streamed its draft. */
export const stream = struct({
	claim: hash32,
	key: hash32,
	chunks: list(
		struct({
			tokens: u32,
			hash: hash32,
			signature: fixed(64),
			draft: optional(list(streamToken, Number.MAX_SAFE_INTEGER)),
		}),
		Number.MAX_SAFE_INTEGER,
	),
});
export type Stream = Of<typeof stream>;

/** Returns the name of a receipt in the accumulator. */
export function leafHash(of: Receipt): Uint8Array {
	return derive("assay/v1/receipt", encode(receipt, of));
}

/** Returns whether nothing about a receipt can change any more. */
export function isFinal(state: State): boolean {
	return state === "settled" || state === "overturned" || state === "refunded";
}

/** Returns whether an objection left the dispute undecided. */
export function isContested(of: Receipt): boolean {
	const dispute = of.claim?.dispute;
	return dispute != null && dispute.objector !== null && dispute.decision === null && of.state !== "disputed";
}

/** Returns whether an auditor sits here. */
export const isAuditor = (of: Seat): boolean => of.tranche >= AUDIT;
export const approves = (of: Seat): boolean => of.vote?.vote.kind === "approve";
export const rejects = (of: Seat): boolean => of.vote?.vote.kind === "reject";

/** Returns the seats of verifiers that approved and are not at fault. */
export function approvals(of: Claim): Seat[] {
	return of.seats.filter((seat) => !isAuditor(seat) && approves(seat) && seat.fault === null);
}
