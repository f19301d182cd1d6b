//! The chain as this page reaches it: by a light client in this browser, or by a node.

import type { PolkadotClient } from 'polkadot-api';
import { createWsClient, WsEvent } from 'polkadot-api/ws';
import { type Choice, urlProblem } from '../settings';
import { callOnce } from './rpc';

/** What the page calls; the metadata gives it its types when it runs. */
// biome-ignore lint: polkadot-api's unsafe API has no static types.
export type Api = any;

/** A connection. */
export interface Connection {
	choice: Choice;
	client: PolkadotClient;
	api: Api;
	/** Name of the chain. */
	chain: string;
	genesis: string;
	/** Whether the keys of the chain's accounts are public. */
	development: boolean;
	close: () => void;
}

const DEVELOPMENT = ['Development', 'Local'];

/** Connects; `status` is told what happens. */
export async function connect(choice: Choice, status: (text: string) => void): Promise<Connection> {
	if (choice.by === 'light') {
		status('The light client is loaded.');
		const { startLightClient } = await import('./light');
		const { client, chainType, close } = await startLightClient(status);
		return finish(choice, client, chainType, close);
	}
	const problem = urlProblem(choice.url);
	if (problem) throw new Error(problem);
	status(`Connecting to ${choice.url}.`);
	const chainType = await callOnce<unknown>(choice.url, 'system_chainType');
	const client = createWsClient(choice.url, {
		onStatusChanged: ({ type }) => {
			if (type === WsEvent.ERROR || type === WsEvent.CLOSE) status(`The connection to ${choice.url} is lost; trying again.`);
		},
	});
	return finish(choice, client, chainType, () => client.destroy());
}

async function finish(choice: Choice, client: PolkadotClient, type: unknown, close: () => void): Promise<Connection> {
	try {
		const { name, genesisHash } = await client.getChainSpecData();
		await client.getFinalizedBlock();
		return {
			choice,
			client,
			api: client.getUnsafeApi(),
			chain: name,
			genesis: genesisHash,
			development: DEVELOPMENT.includes(String(type)),
			close,
		};
	} catch (error) {
		close();
		throw error;
	}
}
