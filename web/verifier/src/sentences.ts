/** What an answer is worth, in the sentences that `assay verify` writes. */

import { type Assurance, assure, type Evidence, evidenceOf, isWithoutJury } from "./assurance.js";
import type { Checked } from "./contents.js";
import { later } from "./outcome.js";
import {
	approves, type Claim, type Dispute, type Electorate, isAuditor, isContested, isFinal, type Receipt, WINDOW,
} from "./receipt.js";
import { number, passing, percent, stake, worth } from "./words.js";

/** Blocks from the verdict to the lottery of the audit. */
const AUDIT_AFTER = 20;
const NOT_CLAIMED =
	"Not claimed: anything at a third or more of corrupt stake; that the machines are independent of each other; " +
	"that nobody passed the result on.";

/** Says what the answer of a consistent receipt is worth. */
export function assuranceOf(receipt: Receipt, checked: Checked): string {
	return sentences(receipt, checked).join(" ");
}

function sentences(receipt: Receipt, checked: Checked): string[] {
	const { claim, verdict } = receipt;
	if (claim === null || verdict.kind === "refunded") return [summary(receipt, checked)];
	const { dispute } = claim;
	if (verdict.kind === "overturned") return dispute === null ? [summary(receipt, checked)] : overturned(dispute);
	if (dispute !== null && receipt.state === "disputed") return disputed(dispute);
	if (dispute !== null && isContested(receipt)) return [...head(receipt, claim, checked), contested(dispute)];
	const said = head(receipt, claim, checked);
	const evidence = evidenceOf(receipt, claim);
	const numbers = assure(claim, evidence);
	const [sentences, claims] = claimed(receipt, claim, checked, evidence, numbers);
	said.push(...sentences, end(receipt, claim));
	if (claims) said.push(NOT_CLAIMED);
	return said;
}

/** Returns what follows from what is assumed, and whether anything is claimed. */
function claimed(
	{ verdict }: Receipt, claim: Claim, checked: Checked, evidence: Evidence, numbers: Assurance,
): [string[], boolean] {
	switch (verdict.kind) {
		case "confirmed":
			if (evidence.verifiers > 0) return chances(claim, evidence, numbers);
			return checked.upheld
				? [["No verifier's seat stands behind it; a false decision takes more than a third of that stake."], false]
				: [["Nothing is claimed of it."], false];
		case "unchecked":
			return [[byAuditAlone(numbers)], false];
		default:
			return evidence.audited ? chances(claim, evidence, numbers) : [["Nothing is claimed of it."], false];
	}
}

/** Says in one sentence what a receipt states. */
function summary({ verdict }: Receipt, { contradiction }: Checked): string {
	const why = { queue_time_over: "no provider was free in the quoted time", no_output: "no executor published one in time",
		undecided: "what was published was rejected, and the electorate did not decide" };
	const said = verdict.kind === "refunded"
		? `There is no answer: ${why[verdict.value]}. The requester was refunded.`
		: "The electorate found this answer false. The requester was refunded.";
	if (contradiction === null) return said;
	return contradiction === "of_itself"
		? `${said} The executor contradicted itself: it signed two drafts that differ.`
		: `${said} The executor contradicted itself: its answer differs from the draft that it signed.`;
}

function electorate(all: Electorate): string {
	const of = `${number(all.members, "provider")} with ${stake(all.stake)}`;
	return all.members <= 1 ? of : `${of}, of which the largest holds ${percent(share(all.largest, all.stake))}`;
}

function share(part: bigint, whole: bigint): number {
	return whole === 0n ? 0 : Number(part) / Number(whole);
}

/** Returns what was done to the answer, without any number that presumes something. */
function head(receipt: Receipt, claim: Claim, checked: Checked): string[] {
	const said: string[] = [];
	if (receipt.verdict.kind === "unchecked") said.push("Nobody was asked to check this answer.");
	else if (receipt.verdict.kind === "unverified") said.push(unverified(claim));
	else said.push(...confirmed(claim, checked));
	const audited = audit(receipt, claim);
	if (audited !== null) said.push(audited);
	if (claim.dispute !== null && checked.upheld) {
		const { approve, reject, stake: all } = claim.dispute;
		said.push(
			`It was disputed, and the electorate, which recomputed it, upheld it with ${stake(approve)} against ` +
			`${stake(reject)}, of ${stake(all)}.`,
		);
	}
	return said;
}

function confirmed(claim: Claim, checked: Checked): string[] {
	const said = [whoAgrees(claim, checked)];
	const falseOnes = claim.seats.filter((seat) => seat.fault === "false_approval").length;
	if (falseOnes > 0) {
		const are = falseOnes === 1 ? "is" : "are";
		said.push(`${number(falseOnes, "further approval")} did not fit what was opened and ${are} not counted.`);
	}
	if (claim.tranches.length > 1) {
		said.push(`Seats were drawn ${claim.tranches.length} times, because some verifiers did not vote in time.`);
	}
	if (claim.root === null && checked.providers > 0) {
		said.push("Nobody has opened the claim yet; then each approval can be held against its root.");
	}
	return said;
}

function whoAgrees(claim: Claim, { providers: heads, approvals: seats }: Checked): string {
	const drawn = `drawn after the answer from ${electorate(claim.electorate)},`;
	if (heads === 0) return claim.verifiers === 0 ? "No verifier was asked for." : "No approval of a verifier is left.";
	if (seats === 1) return `1 verifier, ${drawn} recomputed it and agrees on every bit.`;
	if (heads === 1) {
		return `All ${seats} seats of verifiers, ${drawn} went to one provider, which recomputed it and agrees on every bit.`;
	}
	if (heads === seats) return `${heads} verifiers, ${drawn} recomputed it and agree on every bit.`;
	return `${seats} seats of verifiers, ${drawn} went to ${heads} providers, which recomputed it and agree on every bit.`;
}

function unverified(claim: Claim): string {
	const approving = claim.seats.filter((seat) => !isAuditor(seat) && approves(seat));
	const asked = number(claim.verifiers, "verifier");
	if (claim.root === null && approving.some((seat) => seat.fault === "lapse")) {
		return `Of ${asked} asked for, some approved this answer, but nobody opened the claim: what they approved is not known.`;
	}
	const agree = approving.filter((seat) => seat.fault === null).length;
	return `${asked} asked for, but too few checked this answer in time: ${agree} of the seats agree.`;
}

function audit(receipt: Receipt, claim: Claim): string | null {
	switch (claim.audit) {
		case "undecided":
			return receipt.state === "window" ? "Whether it will be audited is not drawn yet." : null;
		case "spared":
			return null;
		case "due":
		case "open":
			return "An audit of it is under way.";
		case "approved":
			return receipt.verdict.kind === "unverified"
				? "An auditor, drawn because of that, recomputed it and agrees on every bit."
				: "An auditor, drawn later, recomputed it too and agrees on every bit.";
		case "rejected":
			return "An auditor or a verifier rejected it.";
		case "not_done":
			return "It was to be audited, and no auditor voted in time.";
		case "nobody":
			return "It was to be audited, and nobody was left to do it.";
	}
}

function overturned({ approve, reject, stake: all }: Dispute): string[] {
	return [
		`The electorate found this answer false, with ${stake(reject)} against ${stake(approve)}, of ${stake(all)}.`,
		"The requester was refunded.",
	];
}

function disputed({ objector, round }: Dispute): string[] {
	const how = objector === null ? "A verifier or an auditor rejected this answer" : "Somebody objected to this answer";
	const now = round === 0
		? "the dispute waits until others of the same model are over"
		: `the electorate recomputes it now, in round ${round} of 2`;
	return [`${how}: ${now}.`, "Nothing is claimed of it until then."];
}

function contested({ approve, reject, stake: all }: Dispute): string {
	return (
		`But somebody objected, and the electorate did not decide: ${stake(approve)} were for the answer and ` +
		`${stake(reject)} against it, of ${stake(all)}. It is contested, and nothing is claimed of it.`
	);
}

/** Returns the last word: whether anything can change. */
function end(receipt: Receipt, claim: Claim): string {
	if (isFinal(receipt.state)) return "It is settled: nothing about it can change any more.";
	if (claim.dispute !== null) return "It is not settled yet; nobody can object to it again.";
	const until = later(receipt.verdict_at, WINDOW);
	const open = `It is not settled yet: anyone who is bonded, and who asked, may object before block ${until}`;
	if (claim.audit !== "undecided") return `${open}.`;
	return `${open}; the audit's lottery is drawn from block ${later(receipt.verdict_at, AUDIT_AFTER)}.`;
}

/** Says what follows from what is assumed, and whether anything is claimed. */
function chances(claim: Claim, evidence: Evidence, numbers: Assurance): [string[], boolean] {
	const assumed =
		`If ${percent(numbers.alpha)} of that stake were corrupt or lazy, and the same cartel made as large a share of ` +
		"the blocks";
	if (numbers.epsilon >= 1) return [[`${assumed}, nothing could be claimed of it.`], false];
	return [[`${assumed}, ${passing(numbers.epsilon)} would have passed.`, deterrence(claim, evidence, numbers)], true];
}

/** Says how much a lie had to be worth to pay. */
function deterrence(claim: Claim, evidence: Evidence, numbers: Assurance): string {
	const { executor, stake: all } = claim.electorate;
	if (!numbers.jury) {
		const why = isWithoutJury(executor, all)
			? `this executor, which holds ${percent(share(executor, all))} of the stake`
			: "the executor against so much corrupt stake";
		return `There is no jury: the others could not convict ${why}, so nothing it could lose deters a lie.`;
	}
	const patient = evidence.settled ? worth(numbers.deterred_patient) : "nothing before the settlement";
	return (
		`A lie had to be worth more than ${worth(numbers.deterred)} to pay; for an executor that waits for blocks of its ` +
		`own, as it can in ${percent(numbers.foreknowledge)} of its jobs, ${patient}.`
	);
}

/** Says what deters a lie that no verifier was to find. */
function byAuditAlone(numbers: Assurance): string {
	if (numbers.audit <= 0 || !numbers.jury) return "Nothing is claimed of it.";
	return (
		`Nothing is claimed of it but this: with ${percent(numbers.alpha)} of the stake corrupt, an audit that nobody ` +
		`could foresee would have found a lie with a chance of ${percent(numbers.audit)}, so that it had to be worth more ` +
		`than ${worth(numbers.deterred_patient)} to pay.`
	);
}
