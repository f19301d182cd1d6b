//! A request: its quote, its signature, and the name of its job.

import { Binary, Enum } from 'polkadot-api';
import type { Account } from './accounts';
import type { Connection } from './connection';
import { chainError, message } from './errors';
import type { Quote } from './views';

/** What is asked, and on which terms. */
export interface Terms {
	model: string;
	text: string;
	maxTokens: number;
	verifiers: number;
}

/** How an answer is made, as the chain takes it. */
export interface Params {
	max_tokens: number;
	temperature: number;
	top_k: number;
	min_p: number;
	stop: never[];
}

/** Returns how the answer to a request is made: always with the likeliest tokens. */
export function paramsOf({ maxTokens }: Terms): Params {
	return { max_tokens: maxTokens, temperature: 0, top_k: 0, min_p: 0, stop: [] };
}

/** Returns what a request costs at most; throws an error that says why it would be refused. */
export async function quote({ api }: Connection, terms: Terms): Promise<Quote> {
	const bytes = Binary.fromText(terms.text).length;
	const target = Enum('Model', terms.model);
	const quoted = await api.apis.AssayApi.quote(target, bytes, terms.maxTokens, terms.verifiers, { at: 'best' });
	if (!quoted.success) throw new Error(chainError(quoted.value));
	return quoted.value;
}

/** Returns what an account can spend. */
export async function balance({ api }: Connection, account: string): Promise<bigint> {
	const { data } = await api.query.System.Account.getValue(account, { at: 'best' });
	const { free, frozen, reserved }: Record<'free' | 'frozen' | 'reserved', bigint> = data;
	const kept = frozen > reserved ? frozen - reserved : 0n;
	return free > kept ? free - kept : 0n;
}

const UNKNOWN =
	'It is not known whether the request is in a block. Look under Jobs before you ask again: you might pay twice.';

/** Signs and sends a request. Resolves to its job once a block has it. `signed` is called when it is on its way. */
export function request(connection: Connection, account: Account, terms: Terms, ceiling: bigint, signed: () => void): Promise<string> {
	const { api, client } = connection;
	return new Promise((resolve, reject) => {
		let sent = false;
		// Watched to the end, also after it is in a block: a fork may take it out, and then it is sent again.
		const call = api.tx.Jobs.request({
			target: Enum('Model', terms.model),
			input: Enum('Text', Binary.fromText(terms.text)),
			params: paramsOf(terms),
			verifiers: terms.verifiers,
			max_fee: ceiling,
		});
		const failed = (error: unknown) => {
			const refused = (error as { error?: unknown }).error !== undefined;
			reject(new Error(sent && !refused ? `${UNKNOWN} (${message(error)})` : message(error)));
		};
		void client
			.getBestBlocks()
			.then(([best]) => {
				call.signSubmitAndWatch(account.signer, { at: best?.hash }).subscribe({
					next(step: { type: string; found?: boolean; ok?: boolean; dispatchError?: unknown; events?: unknown[] }) {
						if (step.type === 'signed') signed();
						if (step.type === 'broadcasted') sent = true;
						const inBlock = step.type === 'finalized' || (step.type === 'txBestBlocksState' && step.found);
						if (!inBlock) return;
						// What one fork refuses, another may accept: only a finalized refusal counts.
						if (!step.ok && step.type !== 'finalized') return;
						if (!step.ok) return reject(new Error(chainError(step.dispatchError)));
						const [requested] = api.event.Jobs.Requested.filter(step.events);
						if (requested) resolve(requested.payload.job);
						else reject(new Error(UNKNOWN));
					},
					error: failed,
				});
			})
			.catch(failed);
	});
}
