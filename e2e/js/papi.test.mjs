// Requests and receipts with `polkadot-api`, whose unsafe API takes every type from the node's metadata.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { after, before, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import { cryptoWaitReady } from '@polkadot/util-crypto';
import { Binary, Enum } from 'polkadot-api';
import { getPolkadotSigner } from 'polkadot-api/signer';
import { createWsClient } from 'polkadot-api/ws';
import WebSocket from 'ws';
import { path, read } from './support/documents.mjs';
import { eventually, startNode } from './support/node.mjs';

const UNIT = 1_000_000_000_000n;
const LIMIT = { timeout: 180_000 };
const params = { max_tokens: 64, temperature: 0, top_k: 0, min_p: 0, stop: [] };

let node, client, api, alice, demo;

before(async () => {
	await cryptoWaitReady();
	node = await startNode();
	client = createWsClient(node.url, { websocketClass: WebSocket });
	api = client.getUnsafeApi();
	const pair = new Keyring({ type: 'sr25519' }).addFromUri('//Alice');
	alice = getPolkadotSigner(pair.publicKey, 'Sr25519', (bytes) => pair.sign(bytes));
	[demo] = await api.apis.AssayApi.models(undefined, 1, { at: 'best' });
	assert.ok(demo, 'a development chain has a model');
}, LIMIT);

after(async () => {
	client?.destroy();
	await node?.stop();
});

/// Signs and submits; resolves to the events once a best block holds the transaction.
async function submit(call) {
	const [{ hash }] = await client.getBestBlocks();
	const { events, ok, dispatchError } = await new Promise((resolve, reject) => {
		const watch = call.signSubmitAndWatch(alice, { at: hash }).subscribe({
			next(step) {
				if (step.type === 'txBestBlocksState' && step.found) {
					watch.unsubscribe();
					resolve(step);
				}
			},
			error: reject,
		});
	});
	if (!ok) throw new Error(`${dispatchError.value.type}.${dispatchError.value.value.type}`);
	return events;
}

test('a request becomes a receipt on which storage and runtime API agree', LIMIT, async () => {
	const prompt = 'What is a verifier?';
	const quote = await api.apis.AssayApi.quote(Enum('Model', demo.id), Binary.fromText(prompt).length, 64, 2, { at: 'best' });
	assert.ok(quote.success, quote.value.type);
	const call = api.tx.Jobs.request({
		target: Enum('Model', demo.id),
		input: text(prompt),
		params,
		verifiers: 2,
		max_fee: quote.value.fee_ceiling,
	});
	const events = await submit(call);
	const requested = events.find((event) => event.type === 'Jobs' && event.value.type === 'Requested');
	const job = requested.value.value.job;

	const receipt = await eventually('the job has a verdict', 90, () =>
		api.apis.AssayApi.receipt(job, { at: 'best' }),
	);
	assert.equal(receipt.verdict.type, 'Confirmed');
	assert.deepEqual([receipt.listing, receipt.listing_named], [demo.listings[0].listing, false]);
	assert.equal(receipt.state.type, 'Window');
	const record = receipt.claim;
	assert.equal(record.seats.length, 2);
	assert.ok(record.seats.every((seat) => seat.vote.vote.type === 'Approve' && seat.fault === undefined));
	const view = await api.apis.AssayApi.job(job, { at: 'best' });
	assert.equal(view.state.type, 'Window');
	assert.ok(view.output.tokens.length > 0);
	const stored = await api.query.Verification.Claims.getValue(view.claim, { at: 'best' });
	assert.deepEqual(stored.record.seats, record.seats);
	assert.deepEqual(stored.record.seal, record.seal);

	// The verdict becomes final with its block.
	await eventually('the verdict is finalized', 60, () => api.apis.AssayApi.receipt(job, { at: 'finalized' }));
});

const text = (prompt) => Enum('Text', Binary.fromText(prompt));

test('a wrong request is refused by name', LIMIT, async () => {
	const call = (change) =>
		api.tx.Jobs.request({
			target: Enum('Model', demo.id),
			input: text('Hello'),
			params,
			verifiers: 2,
			max_fee: UNIT,
			...change,
		});
	await assert.rejects(submit(call({ max_fee: 1n })), /Jobs\.FeeTooLow/);
	await assert.rejects(submit(call({ input: text('') })), /Jobs\.EmptyInput/);
	await assert.rejects(submit(call({ input: Enum('Chat', Binary.fromText('{}')) })), /Jobs\.BadChat/);
	await assert.rejects(submit(call({ verifiers: 9 })), /Jobs\.TooManyVerifiers/);
	await assert.rejects(submit(call({ target: Enum('Listing', 99) })), /Jobs\.UnknownListing/);
});

const [major, minor] = process.versions.node.split('.').map(Number);
const option = '--experimental-websocket';
const skip = (major < 20 || (major === 20 && minor < 10)) && `Node.js ${process.version} has no ${option}`;

test('the command that docs/dapp.md gives for typed descriptors reads a node', { ...LIMIT, skip }, async () => {
	const shown = read('docs/dapp.md').match(/^NODE_OPTIONS=(\S+) npx papi (.*)$/m);
	assert.equal(shown?.[1], option);
	const cwd = await mkdtemp(join(tmpdir(), 'assay-papi-'));
	try {
		// Only the generation of code is left out: it installs a package.
		const args = [...shown[2].replace('ws://127.0.0.1:9944', node.url).split(' '), '--skip-codegen'];
		await promisify(execFile)(path('e2e/js/node_modules/.bin/papi'), args, { cwd, env: { ...process.env, NODE_OPTIONS: option } });
		const { entries } = JSON.parse(await readFile(join(cwd, '.papi/polkadot-api.json'), 'utf8'));
		assert.equal(entries.assay.wsUrl, node.url);
		assert.ok((await readFile(join(cwd, entries.assay.metadata))).length > 100_000);
	} finally {
		await rm(cwd, { recursive: true, force: true });
	}
});

test('the limits of a chain are constants that a dApp can read', async () => {
	const limits = await api.constants.Jobs.Params();
	assert.ok(limits.queue_blocks > 0 && limits.max_waiting_jobs >= 1_000);
	assert.ok((await api.constants.Jobs.TMax()) > 0);
	const verification = await api.constants.Verification.Params();
	assert.ok(verification.rates.check_price > 0n && verification.slash_delay > 0);
});
