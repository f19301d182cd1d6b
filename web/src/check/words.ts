//! The steps of a verification and its refusals in words, each with what to do.

import type { Reason, StepId } from '@assay/verifier';

/** What each step checks. */
export const STEP_WORDS: Record<StepId, [string, string]> = {
	file: ['The file', 'It is a receipt file, within its limits.'],
	contents: ['Its contents', 'Every hash fits: question, answer, job, claim, seats and votes.'],
	verdict: ['The verdict', 'Others than the executor have checked the answer.'],
	anchor: ['The anchor', 'The proof begins at validators that you trust.'],
	handovers: ['The validators', 'Each set of validators has named the next one, with more than two thirds of the votes.'],
	justification: ['The block', 'More than two thirds of them have finalized the block.'],
	state: ['The chain’s state', 'The state of that block stores exactly this receipt.'],
	window: ['Objections', 'Whether somebody can still object.'],
};

const DAMAGED = 'Get the file again, from another node if need be.';
const FORGED = `Do not trust this file. ${DAMAGED}`;
const OTHER_ANCHOR = 'Choose the anchor of the right chain, or a newer file.';

/** Why a file is refused, and the next step. */
export const REASON_WORDS: Record<Reason, [string, string]> = {
	too_long: ['the file has more than 8 MiB', 'Choose a receipt file.'],
	not_json: ['it is not JSON', 'Choose a receipt file, as “Save the receipt file” makes one.'],
	format: ['it has another format', 'Get the file again from a node of this version.'],
	malformed: ['it is not shaped as a receipt file', FORGED],
	inconsistent: ['it contradicts itself', FORGED],
	unchecked: ['no verifier was asked for, so nobody checked the answer', 'Ask again with verifiers.'],
	unverified: ['too few verifiers checked the answer', 'Ask again, or wait for an audit and get the file again.'],
	overturned: ['the answer was found false', 'Do not use the answer. Ask again; the requester was refunded.'],
	refunded: ['there is no answer; the requester was refunded', 'Ask again.'],
	disputed: ['the answer is disputed now', 'Wait for the decision, and get the file again.'],
	contested: ['an objection to the answer stayed undecided', 'Ask again, with more verifiers.'],
	no_evidence: ['the file has no evidence of finality', 'Get the file again from a node, once the verdict is finalized.'],
	no_anchor: ['there is no anchor to begin at', 'Choose an anchor file, or open this page from a server of the chain.'],
	other_chain: ['it is of another chain than the anchor', OTHER_ANCHOR],
	old_anchor: ['the anchor is too old: its validators may have withdrawn their stake', 'Get a new anchor from somebody you trust: “assay anchor”.'],
	gap: ['the evidence begins after the anchor', 'Ask a node for a file whose evidence begins earlier, or choose a newer anchor.'],
	before_anchor: ['the evidence ends before the anchor', 'Get the file again from a node, or choose an older anchor.'],
	bad_header: ['a header of a block is malformed', FORGED],
	bad_order: ['its blocks are not in the order in which the chain made them', FORGED],
	no_change: ['a handover names no next validators', FORGED],
	forced_change: ['the validators were changed by force, without finality', 'Choose an anchor from after that change.'],
	bad_authorities: ['the next validators are malformed', FORGED],
	bad_justification: ['the validators’ votes are malformed', FORGED],
	wrong_block: ['the votes are for another block', FORGED],
	unknown_voter: ['somebody voted who is no validator', FORGED],
	duplicate_vote: ['a validator’s vote is there twice', FORGED],
	bad_signature: ['a validator’s signature does not fit', FORGED],
	not_descendant: ['a vote is for a block that does not follow from this one', FORGED],
	unused_ancestry: ['it has headers that no vote needs', FORGED],
	too_few_votes: ['two thirds of the votes or fewer stand behind the block', FORGED],
	read_at: ['the block is another than the file says', FORGED],
	bad_state: ['the proof of the state does not lead to the block', FORGED],
	not_stored: ['the chain does not store this receipt', FORGED],
	other_receipt: ['the chain stores another receipt', FORGED],
	not_settled: ['it is not settled yet', 'Wait until it is, and get the file again.'],
};

/** What each outcome means. */
export const OUTCOME_WORDS = {
	FINAL: 'The chain’s validators have finalized this receipt, and others than the executor have checked the answer.',
	'NOT FINAL': 'Nothing contradicts the file, but it does not show a final, checked answer:',
	UNVERIFIABLE: 'This file proves nothing:',
} as const;

/** Says what a part of a receipt is that does not fit. */
export function mismatch(detail: string): string {
	const known: Record<string, string> = {
		input_hash: 'the question is not the one that was asked',
		output_hash: 'the answer is not the one that was checked',
		job: 'the job’s name does not fit',
		leaf: 'its place in the list of receipts does not fit',
		seal: 'the executor’s seal does not fit',
	};
	return known[detail] ?? detail;
}
