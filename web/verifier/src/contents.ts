/** The step `contents`: everything in a receipt that follows from something else in it. */

import { provenRoot } from "./accumulator.js";
import { equal, fromUtf8 } from "./bytes.js";
import { same } from "./codec.js";
import type { ReceiptFile } from "./file.js";
import { claimId, inputHash, jobId, outputHash, seal } from "./names.js";
import {
	approvals, approves, type Claim, finish, isContested, isFinal, leafHash, type Output, type Receipt,
} from "./receipt.js";
import { consistent } from "./refusal.js";
import { checkDraws, checkFaults, checkVotes, providers } from "./seats.js";
import { checkStream, type Contradiction } from "./stream.js";
import { checkAudit, checkBlocks, checkDispute, checkState, checkVerdict, isUpheld } from "./outcome.js";

const MAX_ATTEMPTS = 3;
const MAX_VERIFIERS = 8;
const Q16_ONE = 1 << 16;
const MAX_TOKENS = 4096;

/** What a consistent receipt states. */
export interface Checked {
	/** The name of the claim; null if nothing was published. */
	claim: Uint8Array | null;
	/** Seats of verifiers that approved and are not at fault. */
	approvals: number;
	/** Different providers in those seats. */
	providers: number;
	/** Different providers that recomputed the answer and agree, auditors included; at least 1 if jurors upheld it. */
	checkers: number;
	/** Whether the electorate upheld the answer. */
	upheld: boolean;
	/** The contradiction that the executor has signed, if the file has evidence of one. */
	contradiction: Contradiction | null;
}

/** Recomputes everything that follows from something else in the file. */
export function checkContents(file: ReceiptFile): Checked {
	const { genesis, input, output, receipt } = file;
	consistent(equal(inputHash(input), receipt.input_hash), "input_hash");
	consistent(areValid(receipt.params), "params");
	consistent(receipt.count > 0n, "count");
	consistent(equal(jobId(genesis, receipt), receipt.job), "job");
	const { answer, claim } = receipt;
	const parts = [answer, claim, output].filter((part) => part !== null).length;
	consistent(parts === 0 || parts === 3, "answer");
	if (claim !== null && output !== null) checkAnswer(receipt, claim, output);
	checkState(receipt);
	const id = claim === null ? null : claimId(genesis, receipt, claim);
	if (claim !== null && id !== null) checkClaim(receipt, claim, id);
	else checkUnpublished(receipt);
	checkBlocks(receipt, file.read_at.number);
	checkLeaf(file);
	let contradiction: Contradiction | null = null;
	if (file.stream !== null) {
		consistent(id !== null && output !== null, "stream_claim");
		contradiction = checkStream(genesis, id, output, file.stream);
	}
	const counted = claim === null ? [] : approvals(claim);
	return {
		claim: id,
		approvals: counted.length,
		providers: providers(counted),
		checkers: claim === null ? 0 : checkers(claim),
		upheld: claim !== null && isUpheld(claim),
		contradiction,
	};
}

function areValid(params: Receipt["params"]): boolean {
	return (
		params.max_tokens >= 1 && params.max_tokens <= MAX_TOKENS && params.temperature <= 16 * Q16_ONE &&
		params.min_p <= Q16_ONE && params.stop.every((stop) => stop.length > 0 && isText(stop))
	);
}

function isText(bytes: number[]): boolean {
	return fromUtf8(Uint8Array.from(bytes)) !== null;
}

/** Checks that the published answer is the one that the claim and the receipt are about. */
function checkAnswer(receipt: Receipt, claim: Claim, output: Output): void {
	const answer = receipt.answer;
	consistent(answer !== null, "answer");
	consistent(equal(outputHash(output), claim.output_hash), "output_hash");
	consistent(answer.input_tokens <= output.input_tokens, "input_tokens");
	consistent(answer.output_tokens === output.tokens.length, "output_tokens");
	consistent(output.tokens.length <= receipt.params.max_tokens, "params");
	consistent(same(finish, answer.finish, output.finish), "finish");
}

function checkClaim(receipt: Receipt, claim: Claim, id: Uint8Array): void {
	consistent(receipt.attempts <= MAX_ATTEMPTS && receipt.attempts === claim.attempt + 1, "attempts");
	consistent(claim.verifiers <= MAX_VERIFIERS, "verifiers");
	const { members, stake, largest, executor } = claim.electorate;
	consistent(executor <= largest && largest <= stake && stake <= largest * BigInt(members), "electorate");
	if (claim.root !== null) consistent(equal(seal(id, claim.executor, claim.root), claim.seal), "seal");
	checkDraws(claim);
	checkVotes(claim, id);
	checkFaults(claim);
	checkDispute(receipt, claim);
	checkAudit(receipt, claim);
	checkVerdict(receipt, claim);
}

/** Checks a job that was refunded before anything was published. */
function checkUnpublished({ verdict, attempts }: Receipt): void {
	consistent(verdict.kind === "refunded" && verdict.value !== "undecided", "answer");
	const least = verdict.value === "no_output" ? 1 : 0;
	const most = verdict.value === "no_output" ? MAX_ATTEMPTS : MAX_ATTEMPTS - 1;
	consistent(attempts >= least && attempts <= most, "attempts");
}

/** Checks that the receipt can have its leaf. To which root the proof must lead only the chain's state tells. */
function checkLeaf({ accumulator, receipt }: ReceiptFile): void {
	if (accumulator === null) return;
	const holds = accumulator.proof === null || provenRoot(accumulator, leafHash(receipt)) !== null;
	consistent(isFinal(receipt.state) && holds, "leaf");
}

/** Returns how many different providers recomputed the answer and agree. Of jurors only the stake is known. */
function checkers(claim: Claim): number {
	const agreeing = claim.seats.filter((seat) => approves(seat) && seat.fault === null);
	const jurors = isUpheld(claim) && claim.dispute !== null && claim.dispute.approve > claim.electorate.executor;
	return Math.max(providers(agreeing), Number(jurors));
}

/** Why an answer does not stand as checked. */
export type NotChecked = "unchecked" | "unverified" | "overturned" | "refunded" | "disputed" | "contested";

/** Returns why others than the executor have not checked the answer; null if they have. */
export function whyNotChecked(receipt: Receipt, checked: Checked): NotChecked | null {
	const { verdict, claim } = receipt;
	if (verdict.kind === "overturned" || verdict.kind === "refunded") return verdict.kind;
	if (receipt.state === "disputed") return "disputed";
	if (isContested(receipt)) return "contested";
	if (verdict.kind === "unchecked") return "unchecked";
	if (verdict.kind === "unverified" && claim?.audit !== "approved") return "unverified";
	return checked.checkers > 0 ? null : "unverified";
}
