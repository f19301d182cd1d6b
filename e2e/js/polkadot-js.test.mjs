// Models, requests and receipts with `@polkadot/api` from npm: no custom types, no bundled metadata.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { hexToU8a, stringToHex, u8aToHex } from '@polkadot/util';
import { eventually, startNode } from './support/node.mjs';

const UNIT = 1_000_000_000_000n;
const LIMIT = { timeout: 180_000 };
const params = { max_tokens: 64, temperature: 0, top_k: 0, min_p: 0, stop: [] };

let node, api, alice, bob, demo;

before(async () => {
	node = await startNode();
	api = await ApiPromise.create({ provider: new WsProvider(node.url), noInitWarn: true });
	const keyring = new Keyring({ type: 'sr25519' });
	alice = keyring.addFromUri('//Alice');
	bob = keyring.addFromUri('//Bob');
	[demo] = await api.call.assayApi.models(null, 1);
	assert.ok(demo, 'a development chain has a model');
}, LIMIT);

after(async () => {
	await api?.disconnect();
	await node?.stop();
});

/// Signs and submits; resolves to the events of the transaction once a block holds it, or rejects with the error's name.
function submit(call, signer) {
	return new Promise((resolve, reject) => {
		call
			.signAndSend(signer, { nonce: -1 }, ({ status, events, dispatchError }) => {
				if (dispatchError) {
					const known = dispatchError.isModule && api.registry.findMetaError(dispatchError.asModule);
					reject(new Error(known ? `${known.section}.${known.name}` : dispatchError.toString()));
				} else if (status.isInBlock) {
					resolve(events.map(({ event }) => event));
				} else if (status.isInvalid || status.isDropped || status.isUsurped) {
					reject(new Error(`the transaction was refused: ${status.type}`));
				}
			})
			.catch(reject);
	});
}

const find = (events, section, method) => events.find((event) => event.section === section && event.method === method);

async function request(prompt, { model = demo.id, size = 4, fee = UNIT * 1000n, sampling = params } = {}) {
	const events = await submit(api.tx.jobs.request(model, stringToHex(prompt), sampling, size, fee), bob);
	return find(events, 'jobs', 'Requested').data.job;
}

test('the runtime API and its types come with the metadata', () => {
	for (const call of ['models', 'model', 'providersOf', 'quote', 'job', 'receipt']) {
		assert.equal(typeof api.call.assayApi[call], 'function', call);
	}
	for (const pallet of ['models', 'providers', 'jobs']) assert.ok(api.tx[pallet], pallet);
});

test('a registered model is in storage, in an event, and in the runtime API', LIMIT, async () => {
	const id = u8aToHex(blake3(`a model of ${Date.now()}`));
	const registration = {
		id,
		name: 'Test model',
		architecture: 'llama',
		profile: 'C1W8',
		parameters: 1_000_000,
		weightBytes: 1_060_000,
		priceIn: 1,
		priceOut: 2,
		royalty: 10_000,
		contextLength: 256,
		promptOverhead: 8,
		parent: demo.id,
	};
	const snake = Object.fromEntries(
		Object.entries(registration).map(([key, value]) => [key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), value]),
	);
	const events = await submit(api.tx.models.register(snake), alice);
	const registered = find(events, 'models', 'Registered');
	assert.equal(registered.data.model.toHex(), id);
	assert.equal(registered.data.owner.toString(), alice.address);
	assert.ok(registered.data.deposit.toBigInt() > 0n);

	const record = (await api.query.models.models(id)).unwrap();
	assert.equal(record.terms.priceOut.toBigInt(), 2n);
	assert.equal(record.name.toUtf8(), 'Test model');
	const view = (await api.call.assayApi.model(id)).unwrap();
	assert.equal(view.name.toString(), 'Test model');
	assert.equal(view.terms.owner.toString(), alice.address);
	assert.equal(view.parent.unwrap().toHex(), demo.id.toHex());
	assert.equal(view.providers.toNumber(), 0);

	await assert.rejects(submit(api.tx.models.register(snake), alice), /models\.AlreadyRegistered/);
	await assert.rejects(submit(api.tx.models.retire(id), bob), /models\.NotOwner/);
	await assert.rejects(request('Hello', { model: id }), /jobs\.TooFewProviders/);
});

test('a request becomes a receipt on which storage, runtime API and events agree', LIMIT, async () => {
	const prompt = 'What is a receipt?';
	const quote = (await api.call.assayApi.quote(demo.id, prompt.length, 64, 4)).asOk;
	assert.ok(quote.feeCeiling.toBigInt() > 0n && quote.tMax.toNumber() > 0);
	assert.equal(quote.candidates.toNumber(), 4);

	const job = await request(prompt, { fee: quote.feeCeiling.toBigInt() });
	const open = (await api.call.assayApi.job(job)).unwrap();
	assert.equal(open.input.toUtf8(), prompt);
	const receipt = await eventually('the job has a receipt', 90, async () => {
		const found = await api.call.assayApi.receipt(job);
		return found.isSome && found.unwrap();
	});

	assert.ok(receipt.verdict.isConfirmed, receipt.verdict.toString());
	assert.equal(receipt.committee.length, 4);
	const { traceRoot, outputHash, digest } = receipt.answer.unwrap();
	for (const seat of receipt.committee) {
		assert.ok(seat.fault.isNone);
		assert.equal(seat.vote.unwrap().asConfirm.traceRoot.toHex(), traceRoot.toHex());
	}
	assert.ok(receipt.fee.toBigInt() > 0n && receipt.fee.toBigInt() <= quote.feeCeiling.toBigInt());

	const stored = (await api.query.jobs.receipts(job)).unwrap();
	assert.equal(stored.toHex(), receipt.toHex());

	// The hashes follow from public data, computed here in another language than the chain's.
	const output = (await api.query.jobs.outputs(job)).unwrap();
	assert.ok(output.text.toUtf8().length > 0);
	const derived = (context, data) => u8aToHex(blake3(data, { context: new TextEncoder().encode(context) }));
	assert.equal(receipt.inputHash.toHex(), derived('assay/v1/input', new TextEncoder().encode(prompt)));
	assert.equal(outputHash.toHex(), derived('assay/v1/output', output.toU8a()));
	const subject = [job, receipt.model, receipt.inputHash, receipt.params, receipt.seed, outputHash, traceRoot];
	const bytes = Buffer.concat(subject.map((part) => part.toU8a()));
	assert.equal(digest.toHex(), derived('assay/v1/digest', hexToU8a(u8aToHex(bytes))));

	// The events and calls of the providers are in the blocks, and decode.
	const seen = { events: new Set(), calls: new Set() };
	for (let at = receipt.requestedAt.toNumber(); at <= receipt.concludedAt.toNumber(); at++) {
		const hash = await api.rpc.chain.getBlockHash(at);
		const { block } = await api.rpc.chain.getBlock(hash);
		for (const { method } of block.extrinsics) seen.calls.add(`${method.section}.${method.method}`);
		const events = await (await api.at(hash)).query.system.events();
		for (const { event } of events) if (event.section === 'jobs') seen.events.add(event.method);
	}
	for (const name of ['Requested', 'Drawn', 'Published', 'Committed', 'Revealed', 'Concluded']) {
		assert.ok(seen.events.has(name), `no event ${name} among ${[...seen.events]}`);
	}
	for (const name of ['jobs.request', 'jobs.publish', 'jobs.vote']) {
		assert.ok(seen.calls.has(name), `no call ${name} among ${[...seen.calls]}`);
	}
	const view = (await api.call.assayApi.job(job)).unwrap();
	assert.ok(view.phase.isConcluded);
	assert.equal(view.output.unwrap().toHex(), output.toHex());
});

test('a wrong request is refused by name', LIMIT, async () => {
	const unknown = `0x${'07'.repeat(32)}`;
	const cases = [
		['UnknownModel', ['Hello', { model: unknown }]],
		['EmptyInput', ['']],
		['FeeTooLow', ['Hello', { fee: 1n }]],
		['BadCommitteeSize', ['Hello', { size: 5 }]],
		['TooFewProviders', ['Hello', { size: 7 }]],
		['BadParams', ['Hello', { sampling: { ...params, max_tokens: 0 } }]],
	];
	const held = async () => (await api.query.system.account(bob.address)).data.reserved.toBigInt();
	const before = await held();
	for (const [name, args] of cases) {
		await assert.rejects(request(...args), new RegExp(`jobs\\.${name}$`), name);
	}
	assert.equal(await held(), before, 'a refused request holds nothing');
});

test('a quote names the error that a request would meet', async () => {
	const error = async (...args) => (await api.call.assayApi.quote(...args)).asErr.toString();
	assert.equal(await error(`0x${'07'.repeat(32)}`, 5, 64, 4), 'UnknownModel');
	assert.equal(await error(demo.id, 0, 64, 4), 'EmptyInput');
	assert.equal(await error(demo.id, 5, 64, 6), 'BadCommitteeSize');
	assert.equal(await error(demo.id, 5, 64, 7), 'TooFewProviders');
	assert.ok((await api.call.assayApi.quote(demo.id, 5, 64, 1)).isOk);
});

test('views of what does not exist are empty', async () => {
	const nothing = `0x${'07'.repeat(32)}`;
	assert.ok((await api.call.assayApi.job(nothing)).isNone);
	assert.ok((await api.call.assayApi.receipt(nothing)).isNone);
	assert.ok((await api.call.assayApi.model(nothing)).isNone);
	assert.equal((await api.call.assayApi.providersOf(nothing)).length, 0);
	assert.equal((await api.call.assayApi.providersOf(demo.id)).length, 4);
});
