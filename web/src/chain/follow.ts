//! A job from its request to its final state, read at each new block.

import type { Connection } from './connection';
import { message } from './errors';
import type { Execution, Job, Receipt } from './views';

/** What is known of a job. */
export interface Progress {
	job: Job | null;
	/** Who makes the draft, while nothing is published. */
	execution: Execution | null;
	receipt: Receipt | null;
	/** Whether the block of the verdict is finalized. */
	finalized: boolean;
	/** Why nothing newer is known. */
	problem: string | null;
}

/** Failures in a row that are no news. */
const TOLERATED = 3;

export const NOTHING_YET: Progress = { job: null, execution: null, receipt: null, finalized: false, problem: null };

/** Follows a job; returns a function that stops it. */
export function followJob({ api, client }: Connection, id: string, news: (progress: Progress) => void): () => void {
	let busy = false;
	let stopped = false;
	let progress = NOTHING_YET;
	let failures = 0;
	const read = async (best: string, finalized: string) => {
		const job: Job | null = (await api.apis.AssayApi.job(id, { at: best })) ?? null;
		const next: Progress = { ...progress, job, execution: null, problem: null };
		if (job?.executor && !job.output && !job.verdict) {
			next.execution = (await api.apis.AssayApi.execution(id, { at: best })) ?? null;
		}
		if (job?.verdict || !job) {
			const final: Receipt | undefined = await api.apis.AssayApi.receipt(id, { at: finalized });
			next.receipt = final ?? (await api.apis.AssayApi.receipt(id, { at: best })) ?? null;
			next.finalized = final !== undefined;
		}
		return next;
	};
	const watch = client.bestBlocks$.subscribe({
		next(blocks) {
			const [best, finalized] = [blocks[0], blocks.at(-1)];
			if (busy || stopped || !best || !finalized) return;
			busy = true;
			read(best.hash, finalized.hash)
				.then((next) => {
					failures = 0;
					return next;
				})
				// A block may be dropped in the meantime: then the next one is asked.
				.catch((error) => ({ ...progress, problem: ++failures < TOLERATED ? null : message(error) }))
				.then((next) => {
					busy = false;
					progress = next;
					if (!stopped) news(next);
				});
		},
		error: (error) => news({ ...progress, problem: message(error) }),
	});
	return () => {
		stopped = true;
		watch.unsubscribe();
	};
}
