//! What was asked from this page, and whether a receipt file is about it. The node that returns a file has also named the job,
//! and could name another one: what the person signed is known here only.

import type { Params } from '../chain/ask';

/** What the person signed. */
export interface Signed {
	/** The account that pays, as receipt files have it. */
	requester: string;
	model: string;
	text: string;
	params: Params;
	verifiers: number;
}

/** The job that a file has to be about. */
export interface Asked {
	genesis: string;
	job: string;
	/** Null if the job is not one that was asked since the page was opened. */
	signed: Signed | null;
}

const requests = new Map<string, Signed>();

/** Remembers a request until the page is closed. */
export function rememberSigned(genesis: string, job: string, signed: Signed): void {
	requests.set(`${genesis} ${job}`, signed);
}

/** Returns what is known here of a job. */
export function askedAs(genesis: string, job: string): Asked {
	return { genesis, job, signed: requests.get(`${genesis} ${job}`) ?? null };
}

/** Returns a value that may not be there. */
function at(value: unknown, ...path: string[]): unknown {
	return path.reduce((inner, name) => (inner as Record<string, unknown> | null | undefined)?.[name], value);
}

/** Returns what makes a receipt file one of something else than was asked; null if nothing does. */
export function difference(file: unknown, { genesis, job, signed }: Asked): string | null {
	if (at(file, 'genesis') !== genesis) return 'it is of another chain';
	if (at(file, 'receipt', 'job') !== job) return 'it is of another job';
	if (!signed) return null;
	if (at(file, 'receipt', 'requester') !== signed.requester) return 'another account has asked';
	if (at(file, 'receipt', 'model') !== signed.model) return 'the model is another';
	if (at(file, 'input', 'text') !== signed.text) return 'the question is another';
	const others = Object.entries(signed.params).some(([name, value]) => {
		return JSON.stringify(at(file, 'receipt', 'params', name)) !== JSON.stringify(value);
	});
	if (others) return 'the limits of the answer are others';
	// Who was refunded before anything was published has no claim.
	const verifiers = at(file, 'receipt', 'claim', 'verifiers') ?? signed.verifiers;
	return verifiers === signed.verifiers ? null : 'another number of verifiers was asked for';
}
