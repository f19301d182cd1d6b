/** The verdict as it follows from seats, audit and dispute; the state that goes with it; and the order of blocks. */

import { equal } from "./bytes.js";
import {
	approves, AUDIT, type Claim, type Dispute, DRAW_DELAY, isAuditor, isFinal, MAX_SEATS, MAX_TRANCHES, type Receipt, rejects,
	WINDOW,
} from "./receipt.js";
import { hasLapsed, REPLACEMENTS } from "./seats.js";
import { consistent } from "./refusal.js";

/** Rounds of a dispute. */
const ROUNDS = 2;

/** Checks that the state goes with the verdict, the end with the state, and the fee with the end. */
export function checkState({ verdict, state, closed_at, fee }: Receipt): void {
	const refunded = verdict.kind === "overturned" || verdict.kind === "refunded";
	const fits = refunded ? state === verdict.kind : ["window", "auditing", "disputed", "settled"].includes(state);
	consistent(fits, "state");
	consistent((closed_at !== null) === isFinal(state), "closed");
	consistent(!refunded || fee === 0n, "fee");
}

/** Returns whether the electorate upheld the claim. */
export function isUpheld(claim: Claim): boolean {
	return claim.dispute?.decision === "upheld";
}

/** Checks that a dispute has a cause, and that its decision follows from its stakes. */
export function checkDispute(receipt: Receipt, claim: Claim): void {
	const rejected = claim.seats.some(rejects);
	const open = receipt.state === "disputed";
	const { dispute } = claim;
	if (dispute === null) return consistent(!rejected && !open, "dispute");
	// An objection is possible only before any rejection, and ends the time for one.
	consistent(rejected !== (dispute.objector !== null), "dispute");
	consistent(dispute.objector === null || !equal(dispute.objector, claim.executor), "dispute");
	consistent(dispute.round <= ROUNDS, "dispute");
	if (open) return consistent(dispute.decision === null, "dispute");
	const done = dispute.decision === null ? dispute.round === ROUNDS : dispute.round >= 1;
	consistent(done && dispute.approve + dispute.reject <= dispute.stake, "dispute");
	consistent(decide(dispute) === dispute.decision, "dispute");
}

/** Returns what stakes decide: more than twice the opposing stake, if at least half of all has voted. */
function decide({ stake, approve, reject }: Dispute): Dispute["decision"] {
	const voted = approve + reject;
	if (voted === 0n || 2n * voted < stake) return null;
	if (reject > 2n * approve) return "overturned";
	return approve > 2n * reject ? "upheld" : null;
}

/** Checks that what became of the audit goes with the auditors' seats and with the state. */
export function checkAudit(receipt: Receipt, claim: Claim): void {
	const drawn = claim.audits.length;
	const auditor = drawn > 0 ? claim.seats.find((seat) => seat.tranche === AUDIT + drawn - 1) : undefined;
	const approved = auditor !== undefined && approves(auditor);
	const silent = auditor !== undefined && auditor.vote === null;
	const disputed = claim.dispute !== null;
	const fits: Record<Claim["audit"], boolean> = {
		undecided: drawn === 0,
		// After a dispute no audit is left to do.
		spared: drawn === 0 || disputed,
		due: !approved || receipt.state === "window",
		open: silent,
		approved,
		rejected: claim.seats.some(rejects),
		not_done: silent,
		nobody: auditor === undefined,
	};
	// A claim that is being audited, and one that is to be, does not settle.
	const { audit } = claim;
	const fitsState =
		receipt.state === "auditing" ? audit === "open" || audit === "due"
		: receipt.state === "window" ? audit !== "open"
		: receipt.state === "settled" ? audit !== "undecided" && audit !== "due" && audit !== "open"
		: true;
	// An answer that too few checked is audited for certain.
	const certain = receipt.verdict.kind === "unverified" && !disputed;
	const skipped = audit === "undecided" || audit === "spared";
	consistent(fits[audit] && fitsState && !(certain && skipped), "audit");
}

/** Checks that the verdict is the one that follows from seats and dispute. */
export function checkVerdict(receipt: Receipt, claim: Claim): void {
	const decision = claim.dispute?.decision ?? null;
	const { verdict, state } = receipt;
	consistent((decision === "overturned") === (verdict.kind === "overturned"), "verdict");
	if (verdict.kind === "confirmed") consistent(state !== "settled" || claim.root !== null, "unopened");
	// A rejection that the electorate did not decide leaves nothing to pay for.
	const isVoid = state === "settled" && decision === null && claim.seats.some(rejects);
	consistent(follows(verdict, claim) && !isVoid, "verdict");
}

function follows(verdict: Receipt["verdict"], claim: Claim): boolean {
	switch (verdict.kind) {
		case "confirmed":
			return isUpheld(claim) || (claim.verifiers > 0 && isComplete(claim));
		case "unchecked":
			return claim.verifiers === 0 && !isUpheld(claim);
		case "unverified":
			if (isUpheld(claim)) return claim.root === null;
			return claim.verifiers > 0 && (isGivenUp(claim) || isWithdrawn(claim));
		case "overturned":
			return true;
		case "refunded":
			consistent(verdict.value === "undecided", "answer");
			return claim.dispute !== null && claim.dispute.objector === null && claim.dispute.decision === null;
	}
}

/** Returns whether every seat that has not lapsed approved, and every one that has was replaced. */
function isComplete(claim: Claim): boolean {
	const live = claim.seats.filter((seat) => !isAuditor(seat) && !hasLapsed(seat));
	const kept = live.every((seat) => approves(seat) && (seat.fault === null || seat.fault === "false_approval"));
	return live.length > 0 && kept && (isReplaced(claim) || endsInAnEmptyDraw(claim));
}

/** Returns whether as many seats were drawn as replace all that lapsed. */
function isReplaced(claim: Claim): boolean {
	const later = claim.seats.filter((seat) => !isAuditor(seat) && seat.tranche > 1).length;
	return later === claim.seats.filter(hasLapsed).length * REPLACEMENTS;
}

function endsInAnEmptyDraw(claim: Claim): boolean {
	const last = claim.tranches.length;
	return last > 0 && !claim.seats.some((seat) => seat.tranche === last);
}

/** Returns whether seats lapsed that no tranche was left for, or nobody could be drawn. */
function isGivenUp(claim: Claim): boolean {
	const all = claim.seats.filter((seat) => !isAuditor(seat)).length;
	const replaced = Math.floor(Math.max(0, all - claim.verifiers) / REPLACEMENTS);
	const left = Math.max(0, claim.seats.filter(hasLapsed).length - replaced);
	const full = claim.tranches.length >= MAX_TRANCHES || all + left * REPLACEMENTS > MAX_SEATS;
	return (left > 0 && full) || endsInAnEmptyDraw(claim);
}

/** Returns whether the verdict of complete seats was taken back: nobody opened the claim, or no approval fits it. */
function isWithdrawn(claim: Claim): boolean {
	const approving = claim.seats.filter((seat) => !isAuditor(seat) && approves(seat));
	return approving.length > 0 && approving.every((seat) => seat.fault !== null);
}

/** Checks that the blocks are in the order in which a job goes through them. */
export function checkBlocks(receipt: Receipt, readAt: number): void {
	const { requested_at, verdict_at, closed_at, claim, state } = receipt;
	consistent(requested_at < verdict_at && verdict_at <= readAt, "blocks");
	if (closed_at !== null) {
		const least = state === "settled" ? later(verdict_at, WINDOW) : verdict_at;
		consistent(verdict_at <= closed_at && closed_at <= readAt && closed_at >= least, "blocks");
	}
	if (claim === null) return;
	const published = claim.published_at;
	consistent(requested_at < claim.drawn.block && claim.drawn.block < published, "blocks");
	// Nobody knew a draw of seats before the publication, or before others had lapsed.
	consistent(verdict_at >= lastOf(claim.tranches, published), "blocks");
	consistent(receipt.verdict.kind !== "unchecked" || verdict_at === published, "blocks");
	const audited = lastOf(claim.audits, verdict_at);
	consistent(closed_at === null || audited <= closed_at, "blocks");
}

/** Returns the block of the last draw; refuses draws that follow each other too soon. */
function lastOf(draws: Claim["tranches"], from: number): number {
	for (const { block } of draws) {
		consistent(block >= later(from, DRAW_DELAY), "blocks");
		from = block;
	}
	return from;
}

/** Adds blocks. Block numbers end at 2^32 - 1. */
export function later(block: number, blocks: number): number {
	return Math.min(block + blocks, 0xffff_ffff);
}
