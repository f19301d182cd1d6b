/** Draws, votes and faults of the seats. */

import { equal, hex } from "./bytes.js";
import { same } from "./codec.js";
import { approval, drawId, drawOf } from "./names.js";
import { approves, type Claim, isAuditor, MAX_SEATS, rejects, type Seat, seatVote } from "./receipt.js";
import { consistent } from "./refusal.js";

/** Seats that replace one that lapsed. */
export const REPLACEMENTS = 2;

/** Returns the number of different providers in some seats. */
export function providers(seats: Seat[]): number {
	return new Set(seats.map((seat) => hex(seat.provider))).size;
}

/**
 * Returns whether a verifier's seat lapsed: it was late, and others replace it. A claim that nobody opened marks its
 * approvals with the same fault.
 */
export function hasLapsed(seat: Seat): boolean {
	return !isAuditor(seat) && !approves(seat) && seat.fault !== null;
}

/** Checks that the seats are those of the draws, in their order, and none of them the executor's. */
export function checkDraws(claim: Claim): void {
	let last = 0;
	for (const [i, seat] of claim.seats.entries()) {
		consistent(seat.tranche >= last && drawOf(claim, seat.tranche) !== undefined, `seat ${i}`);
		consistent(!equal(seat.provider, claim.executor), `executor ${i}`);
		if (isAuditor(seat)) {
			// An auditor is drawn alone, and among those who have not approved.
			const approved = claim.seats.some(
				(other) => isParty(other) && equal(other.provider, seat.provider),
			);
			consistent(seat.tranche !== last && !approved, `auditor ${i}`);
		}
		last = seat.tranche;
	}
	checkNumbers(claim);
}

/** Returns whether a verifier stands behind the claim with its approval. */
function isParty(seat: Seat): boolean {
	return !isAuditor(seat) && approves(seat) && (seat.fault === null || seat.fault === "false_claim");
}

/** Checks the number of seats in each tranche: as many as were asked for, then two for each that lapsed. */
function checkNumbers(claim: Claim): void {
	let replaced = 0;
	let all = 0;
	for (let tranche = 1; tranche <= claim.tranches.length; tranche++) {
		const drawn = claim.seats.filter((seat) => seat.tranche === tranche).length;
		all += drawn;
		// A draw from an empty electorate has no seats.
		let fits = drawn === claim.verifiers || drawn === 0;
		if (tranche > 1) {
			replaced += Math.ceil(drawn / REPLACEMENTS);
			const lapsed = claim.seats.filter((seat) => seat.tranche < tranche && hasLapsed(seat)).length;
			fits = drawn % REPLACEMENTS === 0 && replaced <= lapsed;
		}
		consistent(fits && all <= MAX_SEATS, `tranche ${tranche}`);
	}
	consistent(claim.verifiers > 0 || claim.tranches.length === 0, "tranche 1");
}

/** Checks that every vote is one that its provider could give, and that every approval fits the opened root. */
export function checkVotes(claim: Claim, id: Uint8Array): void {
	for (const [i, seat] of claim.seats.entries()) {
		const cast = seat.vote;
		if (cast === null) continue;
		const own = claim.seats.filter((other) => equal(other.provider, seat.provider));
		// Who is late may still reject, as the holder of any later seat.
		const inTime = cast.tranche <= seat.tranche || rejects(seat);
		const ofAuditor = isAuditor(seat) && approves(seat);
		const seated = own.some((other) => other.tranche === cast.tranche);
		consistent(seated && inTime && (!ofAuditor || cast.tranche === seat.tranche), `vote ${i}`);
		const twice = own.some(
			({ vote }) => vote !== null && vote.tranche === cast.tranche && !same(seatVote, vote, cast),
		);
		consistent(!twice, `vote ${i}`);
		if (claim.root === null) continue;
		const fits = fitsRoot(claim, id, seat, claim.root);
		if (seat.fault === null) consistent(fits, `approval ${i}`);
		if (seat.fault === "false_approval") consistent(!fits, `fault ${i}`);
	}
}

function fitsRoot(claim: Claim, id: Uint8Array, { provider, vote }: Seat, root: Uint8Array): boolean {
	if (vote?.vote.kind !== "approve") return true;
	const draw = drawId(id, claim, vote.tranche);
	return draw !== null && equal(approval(draw, provider, root), vote.vote.value);
}

/** Checks that every fault follows from the vote and from the dispute, and that none is missing. */
export function checkFaults(claim: Claim): void {
	const decision = claim.dispute?.decision ?? null;
	for (const [i, seat] of claim.seats.entries()) {
		consistent(canHaveFault(seat, decision, claim.root !== null), `fault ${i}`);
	}
}

function canHaveFault({ vote, fault }: Seat, decision: "overturned" | "upheld" | null, opened: boolean): boolean {
	if (fault === "lapse") return true;
	if (vote === null) return fault === null;
	if (vote.vote.kind === "reject") {
		return fault === (decision === "upheld" ? "false_rejection" : null);
	}
	return fault === "false_approval" ? opened : fault === (decision === "overturned" ? "false_claim" : null);
}
