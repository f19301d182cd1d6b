//! The light client: smoldot in a worker. Loaded only when it is chosen, because it is ten times as large as the page.

import { createClient } from 'polkadot-api';
import { getSmProvider } from 'polkadot-api/sm-provider';
import { startFromWorker } from 'polkadot-api/smoldot/from-worker';
import SmoldotWorker from 'polkadot-api/smoldot/worker?worker';

const MAX_SPEC_CHARS = 8 * 1024 * 1024;
const SYNC_TIMEOUT = 60_000;
const SPEC_PATIENCE = 20_000;

/** Returns what a server says is wrong. */
function said(text: string): string {
	try {
		const message: unknown = JSON.parse(text).error.message;
		return typeof message === 'string' ? ` It says: ${message.slice(0, 400)}.` : '';
	} catch {
		return '';
	}
}

/** Fetches a specification; again for a while if the server says that the node has none yet, as in a chain's first blocks. */
async function fetchSpec(status: (text: string) => void): Promise<Response | null> {
	const until = Date.now() + SPEC_PATIENCE;
	for (;;) {
		const response = await fetch('./page/chain-spec.json').catch(() => null);
		if (response?.status !== 503 || Date.now() > until) return response;
		status('The node has no checkpoint for light clients yet; asking again.');
		await new Promise((wake) => setTimeout(wake, 2_000));
	}
}

async function chainSpec(status: (text: string) => void): Promise<string> {
	const response = await fetchSpec(status);
	const text = response ? await response.text() : '';
	if (!response?.ok || !text.startsWith('{') || text.length > MAX_SPEC_CHARS) {
		const reason = response && !response.ok ? said(text) : '';
		throw new Error(
			`The server of this page has no chain specification for light clients.${reason} Choose a node's URL instead.`,
		);
	}
	return text;
}

/** Starts a light client of the chain whose specification the server of this page has. */
export async function startLightClient(status: (text: string) => void) {
	const spec = await chainSpec(status);
	const chainType: unknown = JSON.parse(spec).chainType;
	const worker = new SmoldotWorker();
	const smoldot = startFromWorker(worker, {
		maxLogLevel: 2,
		logCallback: (level, target, message) => {
			if (level <= 1) console.error(target, message);
		},
	});
	const close = () => {
		void smoldot.terminate().catch(() => {}).finally(() => worker.terminate());
	};
	try {
		status('The light client connects to the network and checks its finality.');
		const begin = performance.now();
		const chain = await smoldot.addChain({ chainSpec: spec });
		const client = createClient(getSmProvider(() => chain));
		const late = new Promise<never>((_, reject) =>
			setTimeout(
				() => reject(new Error('The light client found no peer within a minute. Check that the node listens for WebSocket ' +
					'connections of peers (--listen-addr …/ws), or choose a node’s URL.')),
				SYNC_TIMEOUT,
			),
		);
		await Promise.race([client.getFinalizedBlock(), late]);
		performance.measure('assay-light-client-synced', { start: begin });
		return {
			client,
			chainType,
			close: () => {
				client.destroy();
				close();
			},
		};
	} catch (error) {
		close();
		throw error;
	}
}
