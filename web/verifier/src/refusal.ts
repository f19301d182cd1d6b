/** Why a file is refused. */

/** What a step found wrong. Every name but those of NOT FINAL makes a file unverifiable. */
export type Reason =
	// file
	| "too_long" | "not_json" | "format" | "malformed"
	// contents
	| "inconsistent"
	// verdict
	| "unchecked" | "unverified" | "overturned" | "refunded" | "disputed" | "contested"
	// anchor
	| "no_evidence" | "no_anchor" | "other_chain" | "old_anchor" | "gap" | "before_anchor"
	// handovers
	| "bad_header" | "bad_order" | "no_change" | "forced_change" | "bad_authorities"
	// justification
	| "bad_justification" | "wrong_block" | "unknown_voter" | "duplicate_vote" | "bad_signature" | "not_descendant"
	| "unused_ancestry" | "too_few_votes" | "read_at"
	// state
	| "bad_state" | "not_stored" | "other_receipt"
	// window
	| "not_settled";

/** Ends a step. */
export class Refusal extends Error {
	constructor(readonly reason: Reason, readonly detail: string | null = null) {
		super(detail === null ? reason : `${reason}: ${detail}`);
	}
}

/** Refuses unless something holds. */
export function ensure(holds: boolean, reason: Reason, detail: string | null = null): asserts holds {
	if (!holds) throw new Refusal(reason, detail);
}

/** Refuses as inconsistent, with the name of what is, unless something holds. */
export function consistent(holds: boolean, what: string): asserts holds {
	ensure(holds, "inconsistent", what);
}
