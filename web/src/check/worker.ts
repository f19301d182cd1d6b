//! Verifies a file in a thread of its own: a file that takes long to refuse cannot freeze the page.

import { readAnchor, Refusal, type Report, type Step, verifySteps } from '@assay/verifier';

/** What the page asks. */
export interface Order {
	file: Uint8Array;
	anchor: string | null;
	settled: boolean;
}

/** What the thread answers: each step, and the report; or that the anchor is none. */
export type Said = { step: Step } | { report: Report; milliseconds: number } | { badAnchor: string };

const say = (said: Said) => self.postMessage(said);

async function check({ file, anchor, settled }: Order): Promise<void> {
	const begin = performance.now();
	let trusted: ReturnType<typeof readAnchor> | null = null;
	try {
		trusted = anchor === null ? null : readAnchor(anchor);
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
		return say({ badAnchor: error.message });
	}
	const steps = verifySteps(file, trusted, { now: Math.floor(Date.now() / 1000), settled });
	for (;;) {
		const { done, value } = await steps.next();
		if (done) return say({ report: value, milliseconds: performance.now() - begin });
		say({ step: value });
	}
}

// What a promise is refused with would stay in this thread, and the page would wait for a minute.
self.onmessage = ({ data }: MessageEvent<Order>) => void check(data).catch(reportError);
