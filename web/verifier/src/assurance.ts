/**
 * What a receipt is worth, in numbers, if a fifth of the stake is corrupt: the chance that a false answer passes, and the
 * value that deters a lie. `primitives/src/assurance.rs` gives the reasons.
 */

import { approvals, type Claim, DRAW_DELAY, type Receipt } from "./receipt.js";

/** The share that is assumed corrupt, and the share of blocks that the same cartel makes. */
const ALPHA = 0.2;
/** The probability of an audit. */
const AUDIT_RATE = 0.05;
/** The part of a slashed bond that a liar really loses. */
const EFFECTIVE_SLASH = 0.45;
/** Honest members that are assumed to be absent from a jury. */
const ABSENT = 0.1;
/** Blocks that an executor has to wait for a slot that suits it. */
const EXECUTION_BLOCKS = 40;

/** What a claim is worth. Amounts are in base units. */
export interface Assurance {
	/** The corrupt share of the model's electorate, α. */
	alpha: number;
	/** The chance that a false claim would have passed the seats; 1 if nothing is claimed. */
	epsilon: number;
	/** The chance that an audit nobody could foresee hits an honest seat; 0 before the settlement. */
	audit: number;
	/** What a liar would lose. */
	at_stake: number;
	/** A lie of an executor that cannot know its verifiers pays only above this value. */
	deterred: number;
	/** A lie of an executor that waits for blocks of its own pays only above this value. */
	deterred_patient: number;
	/** The share of its jobs in which an executor could wait like that. */
	foreknowledge: number;
	/** Whether a jury could convict the executor. */
	jury: boolean;
}

/** What the assurance of a claim depends on. */
export interface Evidence {
	/** The seats that have approved, and count. */
	verifiers: number;
	/** Whether the seats' quorum has been reached. */
	checked: boolean;
	/** Whether an audit that was certain approved. */
	audited: boolean;
	settled: boolean;
}

/** Returns what a receipt with a claim states. */
export function evidenceOf(receipt: Receipt, claim: Claim): Evidence {
	const confirmed = receipt.verdict.kind === "confirmed";
	const holds = !["overturned", "refunded", "disputed"].includes(receipt.state);
	return {
		// Replaced seats brought more approvals than were asked for; silenced ones are in the tranches.
		verifiers: confirmed ? Math.min(claim.verifiers, approvals(claim).length) : 0,
		checked: confirmed && holds,
		audited: claim.audit === "approved" && receipt.verdict.kind === "unverified" && holds,
		settled: receipt.state === "settled",
	};
}

/** Returns the assurance of a claim. */
export function assure(claim: Claim, evidence: Evidence): Assurance {
	const { executor, stake } = claim.electorate;
	const jury = ALPHA < (1 - ABSENT) / (3 - ABSENT) && !isWithoutJury(executor, stake);
	const checked = evidence.checked && evidence.verifiers > 0;
	let epsilon = checked ? passes(evidence.verifiers, claim.tranches.length, EXECUTION_BLOCKS) : 1;
	if (evidence.audited) epsilon *= passes(1, 1, 1);
	const audit = evidence.settled ? AUDIT_RATE * (1 - ALPHA) * power(1 - ALPHA, 8) : 0;
	// One bond stands for all claims that are open at once. A conviction brings the others before an auditor for certain,
	// so of many lies only those settle whose auditor is corrupt too.
	const open = claim.open_claims + 1;
	const claims = evidence.settled ? Math.max(open * passes(1, 1, 1), 1) : open;
	const at_stake = jury ? (EFFECTIVE_SLASH * Number(claim.slashable)) / claims : 0;
	return {
		alpha: ALPHA,
		epsilon,
		audit,
		at_stake,
		deterred: at_stake * (1 / epsilon - 1),
		deterred_patient: (at_stake * audit) / (1 - audit),
		foreknowledge: checked ? foreknowledge(evidence.verifiers) : 1,
		jury,
	};
}

/** Returns whether nobody could convict an executor: all others together are no more than twice as heavy. */
export function isWithoutJury(executor: bigint, all: bigint): boolean {
	return all - executor <= 2n * executor;
}

/** Returns the chance that all seats of a claim are corrupt, with what the authors of blocks do at the draw. */
function passes(verifiers: number, tranches: number, executionBlocks: number): number {
	let each = ALPHA;
	for (let tranche = 1; tranche < tranches; tranche++) each = ALPHA + (1 - ALPHA) * each * each;
	// With very few blocks there is little to wait for.
	const patience = executionBlocks > 1 ? 1.5 * Math.min(40 * ALPHA, 1) : 0;
	return Math.min(power(each, verifiers) * ((1 + patience) / (1 - 2.4 * ALPHA)), 1);
}

/** Returns the share of jobs in which an executor that waits for blocks of its own finds a draw that it likes. */
function foreknowledge(verifiers: number): number {
	const one = 18 * power(ALPHA, DRAW_DELAY + 1) * power(ALPHA, verifiers);
	return 1 - power(1 - Math.min(one, 1), EXECUTION_BLOCKS);
}

/** Multiplies one by one: `Math.pow` rounds in each engine's own way. */
function power(base: number, exponent: number): number {
	let product = 1;
	for (let i = 0; i < exponent; i++) product *= base;
	return product;
}
