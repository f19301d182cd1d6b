/** The verification: eight steps from a file and an anchor to one outcome. */

import { ageOf, type Anchor, checkAnchor } from "./anchor.js";
import { equal, hex } from "./bytes.js";
import { checkContents, type Checked, whyNotChecked } from "./contents.js";
import { type Finality, readFile, type ReceiptFile } from "./file.js";
import { checkDecodes, checkJustification } from "./grandpa.js";
import { type Authority, type Header, nextAuthorities, readHeader } from "./header.js";
import { later } from "./outcome.js";
import { isFinal, type Receipt, WINDOW } from "./receipt.js";
import { ensure, type Reason, Refusal } from "./refusal.js";
import { assuranceOf } from "./sentences.js";
import { checkState } from "./state.js";
import { Proof } from "./trie.js";

/** FINAL, NOT FINAL or UNVERIFIABLE. */
export type Outcome = "FINAL" | "NOT FINAL" | "UNVERIFIABLE";
/** The steps in their order. */
export const STEPS = [
	"file", "contents", "verdict", "anchor", "handovers", "justification", "state", "window",
] as const;
export type StepId = (typeof STEPS)[number];

/** What a step found. */
export interface Step {
	id: StepId;
	/** What the outcome can be at best after it. */
	outcome: Outcome;
	reason: Reason | null;
	/** What exactly was refused, for people. */
	detail: string | null;
}

export interface Options {
	/** The time, in seconds since 1970. */
	now: number;
	/** Overrides the anchor's `max_age`: seconds, or null for any age. */
	maxAge?: number | null | undefined;
	/** Whether an answer has to be settled. */
	settled?: boolean | undefined;
}

/** What is known of a file. */
export interface Report {
	outcome: Outcome;
	/** Why it is not FINAL: the first reason of those that make it what it is. */
	reason: Reason | null;
	detail: string | null;
	/** Every step that was reached. */
	steps: Step[];
	/** Whether nothing about the receipt can change any more. Like all that follows, nothing if it is UNVERIFIABLE. */
	settled: boolean;
	/** The block before which an objection is possible; null if none is. */
	until: number | null;
	/** The finalized block in whose state the receipt is proved. */
	block: { number: number; hash: string } | null;
	/** Seconds since the anchor's block was made; null without an anchor, and if it has no time. */
	anchor_age: number | null;
	/** Fields of the receipt that nothing in the chain's state proves. */
	not_proved: string[];
	/** What the answer is worth, in sentences; null if the receipt is inconsistent. */
	assurance: string | null;
	/** Whether the executor has signed a contradiction. */
	contradiction: Checked["contradiction"];
}

const NOT_FINAL: ReadonlySet<Reason> = new Set([
	"unchecked", "unverified", "overturned", "refunded", "disputed", "contested", "no_evidence", "not_settled",
]);
const RANKS: Outcome[] = ["FINAL", "NOT FINAL", "UNVERIFIABLE"];

/** Verifies a receipt file. Whatever the file is, it returns a report. */
export function verify(file: string | Uint8Array, anchor: Anchor | null, options: Options): Report {
	const steps = run(file, anchor, options);
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
	}
}

/** Verifies a receipt file, with a pause after each step in which a page can show it. Returns the report at the end. */
export async function* verifySteps(
	file: string | Uint8Array, anchor: Anchor | null, options: Options,
): AsyncGenerator<Step, Report> {
	const steps = run(file, anchor, options);
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
		yield value;
		await new Promise((resolve) => setTimeout(resolve));
	}
}

function* run(file: string | Uint8Array, anchor: Anchor | null, options: Options): Generator<Step, Report> {
	const report: Report = {
		outcome: "FINAL", reason: null, detail: null, steps: [], settled: false, until: null, block: null,
		anchor_age: null, not_proved: [], assurance: null, contradiction: null,
	};
	const verification = new Verification(file, anchor, options, report);
	for (const id of STEPS) {
		const step = taken(id, () => verification[id]());
		report.steps.push(step);
		if (RANKS.indexOf(step.outcome) > RANKS.indexOf(report.outcome)) {
			[report.outcome, report.reason, report.detail] = [step.outcome, step.reason, step.detail];
		}
		yield step;
		// Of an answer that nobody checked the evidence is checked too: it may contradict the file.
		if (step.outcome !== "FINAL" && id !== "verdict") break;
	}
	// Nobody shall rely on what a file says that contradicts itself.
	if (report.outcome !== "UNVERIFIABLE") return report;
	return { ...report, settled: false, until: null, block: null, not_proved: [], assurance: null, contradiction: null };
}

function taken(id: StepId, check: () => void): Step {
	try {
		check();
		return { id, outcome: "FINAL", reason: null, detail: null };
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
		const outcome = NOT_FINAL.has(error.reason) ? "NOT FINAL" : "UNVERIFIABLE";
		return { id, outcome, reason: error.reason, detail: error.detail };
	}
}

/** What the steps hand on to each other. */
class Verification {
	private parsed!: ReceiptFile;
	private checked!: Checked;
	private finality!: Finality;
	private trusted!: Anchor;
	private authorities!: Authority[];
	/** The last block of which it is known that it is final. */
	private last!: { number: number; hash: Uint8Array };
	private block!: Header;

	constructor(
		private readonly input: string | Uint8Array,
		private readonly given: Anchor | null,
		private readonly options: Options,
		private readonly report: Report,
	) {}

	file(): void {
		this.parsed = readFile(this.input);
	}

	contents(): void {
		const { receipt } = this.parsed;
		this.checked = checkContents(this.parsed);
		this.report.settled = isFinal(receipt.state);
		this.report.assurance = assuranceOf(receipt, this.checked);
		this.report.contradiction = this.checked.contradiction;
	}

	verdict(): void {
		const why = whyNotChecked(this.parsed.receipt, this.checked);
		if (why !== null) throw new Refusal(why);
	}

	anchor(): void {
		const { finality } = this.parsed;
		this.report.anchor_age = this.given === null ? null : ageOf(this.given, this.options.now);
		ensure(finality !== null, "no_evidence");
		this.finality = finality;
		this.trusted = checkAnchor(this.parsed, finality, this.given, this.options.now, this.options.maxAge);
	}

	handovers(): void {
		const { handovers, set_id } = this.finality;
		const first = set_id - BigInt(handovers.length);
		this.authorities = this.trusted.authorities;
		this.last = this.trusted;
		for (const [i, { header, justification }] of handovers.entries()) {
			const block = readHeader(header);
			const set = first + BigInt(i);
			if (set < this.trusted.set_id) {
				checkDecodes(justification);
				continue;
			}
			ensure(block.number > this.last.number, "bad_order", `block ${block.number} is not after ${this.last.number}`);
			checkJustification(justification, block, set, this.authorities);
			this.authorities = nextAuthorities(block);
			this.last = block;
		}
	}

	justification(): void {
		const { header, justification, set_id } = this.finality;
		const block = readHeader(header);
		const { read_at } = this.parsed;
		ensure(read_at.finalized && read_at.number === block.number && equal(read_at.hash, block.hash), "read_at");
		ensure(block.number >= this.trusted.number, "before_anchor", `block ${block.number}`);
		const { last } = this;
		const goesOn = block.number > last.number || (block.number === last.number && equal(block.hash, last.hash));
		ensure(goesOn, "bad_order", `block ${block.number} is not after ${last.number}`);
		checkJustification(justification, block, set_id, this.authorities);
		this.block = block;
		this.report.block = { number: block.number, hash: hex(block.hash) };
	}

	state(): void {
		const { receipt, accumulator } = this.parsed;
		const proof = new Proof(this.block.stateRoot, this.finality.state);
		const not_proved = checkState(proof, receipt, this.checked.claim, accumulator);
		this.report.not_proved = this.parsed.stream === null ? not_proved : [...not_proved, "stream.key"];
	}

	window(): void {
		this.report.until = objectionsUntil(this.parsed.receipt, this.block.number);
		ensure(this.options.settled !== true || this.report.settled, "not_settled");
	}
}

/** Returns the block before which an objection is possible, seen from a block; null if none is. */
function objectionsUntil({ state, verdict_at, claim }: Receipt, now: number): number | null {
	const until = later(verdict_at, WINDOW);
	return !isFinal(state) && claim?.dispute === null && now < until ? until : null;
}
