// Light clients follow four validators: smoldot by itself, and inside `polkadot-api`. They synchronize, read the runtime API,
// submit a request, and stay with the chain while its validators change twice. Its receipt is then proved from block 0 on.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Keyring } from '@polkadot/api';
import { u8aToHex } from '@polkadot/util';
import { cryptoWaitReady } from '@polkadot/util-crypto';
import { Binary, createClient, Enum } from 'polkadot-api';
import { getPolkadotSigner } from 'polkadot-api/signer';
import { getSmProvider } from 'polkadot-api/sm-provider';
import { start as startBundled } from 'polkadot-api/smoldot';
import { createWsClient } from 'polkadot-api/ws';
import { start as startSmoldot } from 'smoldot';
import WebSocket from 'ws';
import { eventually, program, startNode } from './support/node.mjs';

const LIMIT = { timeout: 900_000 };
/// Slots of a session: 45 seconds. Keys that are set in one session are those of the next but one.
const SESSION = 15n;
/// The key of the chain's `EpochDuration`: twox128 of `:EpochDuration:`.
const EPOCH_DURATION = '0x695ec709ce0439fb6d6db345d9653648';
const NAMES = ['alice', 'bob', 'charlie', 'dave'];

const execute = promisify(execFile);
const report = (figure) => process.stderr.write(`${figure}\n`);

let directory, nodes, node, pairs;

async function freePort() {
	const server = createServer();
	await new Promise((done) => server.listen(0, '127.0.0.1', done));
	const { port } = server.address();
	await new Promise((done) => server.close(done));
	return port;
}

/// Writes the specification of the local testnet with short sessions.
async function shortSessions(path) {
	const { stdout } = await execute(program('assay-node'), ['export-chain-spec', '--raw', '--chain', 'local'], { maxBuffer: 1 << 26 });
	const spec = JSON.parse(stdout);
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(SESSION);
	spec.genesis.raw.top[EPOCH_DURATION] = `0x${bytes.toString('hex')}`;
	await writeFile(path, JSON.stringify(spec));
}

before(async () => {
	await cryptoWaitReady();
	const keyring = new Keyring({ type: 'sr25519' });
	pairs = Object.fromEntries(NAMES.map((name) => [name, keyring.addFromUri(`//${name[0].toUpperCase()}${name.slice(1)}`)]));
	directory = await mkdtemp(join(tmpdir(), 'assay-light-'));
	const spec = join(directory, 'spec.json');
	await shortSessions(spec);
	nodes = [];
	let bootnode;
	for (const [at, name] of NAMES.entries()) {
		const port = await freePort();
		const args = ['--chain', spec, `--${name}`, '--validator', '--node-key', `${at + 1}`.padStart(64, '0')];
		// Light clients reach nodes by WebSocket, as browsers have to.
		const address = `/ip4/127.0.0.1/tcp/${port}/ws`;
		if (bootnode) args.push('--bootnodes', bootnode);
		nodes.push(await startNode(args, { listen: address }));
		bootnode ??= `${address}/p2p/${await rpc(nodes[0].url, 'system_localPeerId')}`;
	}
	node = createWsClient(nodes[0].url, { websocketClass: WebSocket });
	await eventually('blocks are finalized', 120, async () => (await node.getFinalizedBlock()).number > 2);
}, LIMIT);

after(async () => {
	node?.destroy();
	await Promise.all((nodes ?? []).map((one) => one.stop()));
	if (directory) await rm(directory, { recursive: true, force: true });
	// A light client that has ended leaves something behind that would keep this process waiting.
	setTimeout(() => process.exit(), 3000).unref();
});

/// Calls a method of a node.
async function rpc(url, method, params = []) {
	const response = await fetch(url.replace('ws:', 'http:'), {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
	});
	const { result, error } = await response.json();
	if (error) throw new Error(`${method}: ${error.message}`);
	return result;
}

/// Returns the specification that `assay` makes for light clients.
async function lightSpec() {
	const { stdout } = await execute(program('assay'), ['chain-spec', '--url', nodes[0].url], { maxBuffer: 1 << 26 });
	assert.ok(JSON.parse(stdout).bootNodes.length > 0, 'it names a node');
	return stdout;
}

const signerOf = (pair) => getPolkadotSigner(pair.publicKey, 'Sr25519', (bytes) => pair.sign(bytes));

/// Submits and resolves to the events once they are finalized.
async function submit(call, pair) {
	const { events, ok, dispatchError } = await call.signAndSubmit(signerOf(pair));
	assert.ok(ok, JSON.stringify(dispatchError, (_, value) => (typeof value === 'bigint' ? `${value}` : value)));
	return events;
}

/// Asks through a client and returns the job once its verdict is finalized.
async function ask(client) {
	const api = client.getUnsafeApi();
	const [model] = await api.apis.AssayApi.models(undefined, 1);
	const prompt = 'What is a verifier?';
	const quote = await api.apis.AssayApi.quote(Enum('Model', model.id), prompt.length, 64, 2);
	assert.ok(quote.success, quote.value.type);
	const call = api.tx.Jobs.request({
		target: Enum('Model', model.id),
		input: Enum('Text', Binary.fromText(prompt)),
		params: { max_tokens: 64, temperature: 0, top_k: 0, min_p: 0, stop: [] },
		verifiers: 2,
		max_fee: quote.value.fee_ceiling,
	});
	const events = await submit(call, pairs.alice);
	const { job } = events.find((event) => event.type === 'Jobs' && event.value.type === 'Requested').value.value;
	const receipt = await eventually('the verdict is finalized', 120, () => api.apis.AssayApi.receipt(job));
	assert.equal(receipt.verdict.type, 'Confirmed');
	return job;
}

/// Verifies a job's receipt with no node, from block 0 of the specification. Returns what `assay verify` says.
async function verify(job) {
	const id = typeof job === 'string' ? job : job.asHex();
	const file = join(directory, 'receipt.json');
	await writeFile(file, JSON.stringify(await rpc(nodes[1].url, 'assay_receiptProof', [id])));
	const { stdout } = await execute(program('assay'), ['--json', 'verify', file, '--anchor', join(directory, 'spec.json')]);
	return { ...JSON.parse(stdout), file: JSON.parse(await readFile(file, 'utf8')) };
}

/// Gives a validator new keys, which are in force two sessions later.
async function rotate(at, api) {
	const name = NAMES[at];
	const { keys, proof } = await rpc(nodes[at].url, 'author_rotateKeysWithOwner', [u8aToHex(pairs[name].publicKey)]);
	await submit(api.tx.Session.set_keys({ keys: sessionKeys(keys), proof: Binary.fromHex(proof) }), pairs[name]);
}

/// Splits a validator's keys as the runtime names them.
function sessionKeys(hex) {
	const key = (n) => `0x${hex.slice(2 + 64 * n, 66 + 64 * n)}`;
	return { babe: key(0), grandpa: key(1), authority_discovery: key(2) };
}

test('light clients follow the chain while its validators change twice', LIMIT, async (t) => {
	const spec = await lightSpec();
	const smoldot = startBundled();
	const begin = Date.now();
	const client = createClient(getSmProvider(() => smoldot.addChain({ chainSpec: spec })));
	t.after(async () => {
		client.destroy();
		await smoldot.terminate();
	});
	const first = await client.getFinalizedBlock();
	report(`polkadot-api/smoldot: block ${first.number} is finalized ${(Date.now() - begin) / 1000} s after its start`);
	assert.ok(Date.now() - begin < 30_000);

	const api = client.getUnsafeApi();
	const receipt = await verify(await ask(client));
	assert.equal(receipt.outcome, 'FINAL');

	const set = (of) => of.query.Grandpa.CurrentSetId.getValue();
	const atFirst = await set(api);
	for (const at of [1, 2]) {
		await rotate(at, api);
		const wanted = atFirst + BigInt(at);
		await eventually(`the light client sees set ${wanted}`, 400, async () => (await set(api)) >= wanted);
	}
	const later = await verify(await ask(client));
	assert.equal(later.outcome, 'FINAL');
	assert.ok(later.file.finality.handovers.length >= 2, 'it proves both handovers');

	await t.test('one that starts afterwards does too, by itself', LIMIT, () => alone());
});

/// Follows the chain with smoldot's own package.
async function alone() {
	const smoldot = startSmoldot();
	try {
		const spec = await lightSpec();
		const { lightSyncState, genesis } = JSON.parse(spec);
		assert.ok(lightSyncState && genesis.stateRootHash && spec.length < 20_000, 'it begins at a finalized block');
		const begin = Date.now();
		const chain = await smoldot.addChain({ chainSpec: spec });
		chain.sendJsonRpc(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'chainHead_v1_follow', params: [false] }));
		for (;;) {
			const { params } = JSON.parse(await chain.nextJsonRpcResponse());
			if (params?.result.event !== 'initialized') continue;
			report(`smoldot: a finalized block ${(Date.now() - begin) / 1000} s after its start`);
			assert.ok(params.result.finalizedBlockHashes.length > 0);
			assert.ok(Date.now() - begin < 30_000);
			return;
		}
	} finally {
		await smoldot.terminate();
	}
}
