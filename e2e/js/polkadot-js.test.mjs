// Models, requests and receipts with `@polkadot/api` from npm: no custom types, no bundled metadata.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { hexToU8a, stringToHex, stringToU8a, u8aConcat, u8aToHex } from '@polkadot/util';
import { blake2AsU8a } from '@polkadot/util-crypto';
import { read } from './support/documents.mjs';
import { eventually, startNode } from './support/node.mjs';

const UNIT = 1_000_000_000_000n;
const LIMIT = { timeout: 180_000 };
const params = { max_tokens: 64, temperature: 0, top_k: 0, min_p: 0, stop: [] };

let node, provider, api, alice, bob, demo;

before(async () => {
	node = await startNode();
	provider = new WsProvider(node.url);
	const signedExtensions = { AuthorizeCall: { extrinsic: {}, payload: {} } };
	api = await ApiPromise.create({ provider, noInitWarn: true, signedExtensions });
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
			.signAndSend(signer, { nonce: -1 }, ({ status, events, dispatchError, isError }) => {
				if (dispatchError) {
					const known = dispatchError.isModule && api.registry.findMetaError(dispatchError.asModule);
					reject(new Error(known ? `${known.section}.${known.name}` : dispatchError.toString()));
				} else if (status.isInBlock || status.isFinalized) {
					resolve(events.map(({ event }) => event));
				} else if (isError) {
					reject(new Error(`the pool reports: ${status.type}`));
				}
			})
			.catch(reject);
	});
}

const find = (events, section, method) => events.find((event) => event.section === section && event.method === method);

// A text, or a conversation.
const inputOf = (prompt) => (typeof prompt === 'string' ? { Text: stringToHex(prompt) } : { Chat: stringToHex(JSON.stringify(prompt)) });

async function request(prompt, { target = { Model: demo.id }, verifiers = 2, fee = UNIT * 1000n, sampling = params } = {}) {
	const events = await submit(api.tx.jobs.request(target, inputOf(prompt), sampling, verifiers, fee), bob);
	return find(events, 'jobs', 'Requested').data.job;
}

test('the runtime API and its types come with the metadata', () => {
	for (const call of ['models', 'model', 'listing', 'providersOf', 'quote', 'job', 'execution', 'receipt']) {
		assert.equal(typeof api.call.assayApi[call], 'function', call);
	}
	for (const pallet of ['models', 'providers', 'jobs', 'verification']) assert.ok(api.tx[pallet], pallet);
});

test('the RPC methods are those that docs/dapp.md describes', async () => {
	const { methods } = await provider.send('rpc_methods', []);
	const documented = new Set(read('docs/dapp.md').match(/\bassay_\w+(?=\()|\bassay_un\w+\b/g));
	assert.deepEqual(methods.filter((name) => name.startsWith('assay_')).sort(), [...documented].sort());
});

// The demo model's manifest with another name: another model.
function renamed(name) {
	const file = new URL('../../demo-model/assay-demo/registration.json', import.meta.url);
	const manifest = hexToU8a(JSON.parse(readFileSync(file, 'utf8')).manifest);
	const text = stringToU8a(name);
	const rest = manifest.slice(4 + 1 + (manifest[4] >> 2));
	return u8aConcat(manifest.slice(0, 4), new Uint8Array([text.length << 2]), text, rest);
}

test('a registered model is in storage, in an event, and in the runtime API', LIMIT, async () => {
	const name = `Test ${Date.now()}`;
	const manifest = renamed(name);
	const id = derived('assay/v1/model', manifest);
	const terms = { prices: { price_in: 1, price_out: 2 }, royalty: 10_000 };
	const register = () => api.tx.models.register(u8aToHex(manifest), terms);
	const events = await submit(register(), alice);
	assert.equal(find(events, 'models', 'Registered').data.model.toHex(), id);
	const { listing, owner, deposit } = find(events, 'models', 'Listed').data;
	assert.equal(owner.toString(), alice.address);
	assert.ok(deposit.toBigInt() > 0n);

	const record = (await api.query.models.models(id)).unwrap();
	assert.equal(record.facts.name.toUtf8(), name);
	const view = (await api.call.assayApi.model(id)).unwrap();
	assert.equal(view.name.toString(), name);
	assert.equal(view.parameters.toBigInt(), demo.parameters.toBigInt(), 'read from the manifest');
	assert.equal(view.providers.toNumber(), 0);

	// Somebody else lists the same model, at other prices.
	const other = await submit(api.tx.models.list(id, { ...terms, royalty: 0 }, 0), bob);
	const second = find(other, 'models', 'Listed').data.listing;
	const shown = (await api.call.assayApi.listing(second)).unwrap();
	assert.equal(shown.owner.toString(), bob.address);
	assert.equal(shown.model.toHex(), id);
	assert.ok(shown.takesCheckedJobs.isFalse, 'nobody serves it');

	await assert.rejects(submit(register(), alice), /models\.AlreadyRegistered/);
	await assert.rejects(submit(api.tx.models.retire(listing), bob), /models\.NotOwner/);
	await assert.rejects(submit(api.tx.models.updatePrice(listing, UNIT, 2), alice), /models\.PriceStepTooLarge/);
	await assert.rejects(request('Hello', { target: { Model: id } }), /jobs\.NoProvider/);
	await submit(api.tx.models.retire(listing), alice);
	await assert.rejects(request('Hello', { target: { Listing: listing } }), /jobs\.RetiredListing/);
});

// The hashes follow from public data, computed here in another language than the chain's.
const derived = (context, data) => u8aToHex(blake3(data, { context: stringToU8a(context) }));
const named = (context, ...parts) =>
	blake2AsU8a(u8aConcat(stringToU8a(context), ...parts.map((part) => part.toU8a?.() ?? part)));

/// Follows a job's subscription to its end. Resolves to the last notification.
function follow(job) {
	return new Promise((resolve, reject) => {
		const params = [job.toHex()];
		provider
			.subscribe('assay_job', 'assay_subscribeJob', params, (error, status) => {
				if (error) reject(error);
				else if (status.ended) resolve(status);
			})
			.catch(reject);
	});
}

test('a request becomes a receipt on which storage, runtime API, events and RPC agree', LIMIT, async () => {
	const prompt = 'What is a receipt?';
	const quote = (await api.call.assayApi.quote({ Model: demo.id }, stringToU8a(prompt).length, 64, 2)).asOk;
	assert.ok(quote.feeCeiling.toBigInt() > 0n && quote.seatFee.toBigInt() > 0n && quote.tMax.toNumber() > 0);
	assert.equal(quote.electorate.members.toNumber(), 4);
	assert.equal(quote.willing.toBigInt(), quote.electorate.stake.toBigInt(), 'all execute at the price');
	const [listing] = demo.listings;
	assert.equal(quote.listing.toNumber(), listing.listing.toNumber());
	assert.ok(listing.takesCheckedJobs.isTrue);

	const job = await request(prompt, { fee: quote.feeCeiling.toBigInt() });
	const open = (await api.call.assayApi.job(job)).unwrap();
	assert.equal(open.input.asText.toUtf8(), prompt);
	assert.ok(!open.state.isSettled);
	const followed = follow(job);
	const receipt = await eventually('the job has a verdict', 90, async () => {
		const found = await api.call.assayApi.receipt(job);
		return found.isSome && found.unwrap();
	});

	assert.ok(receipt.verdict.isConfirmed, receipt.verdict.toString());
	assert.ok(receipt.state.isWindow && receipt.closedAt.isNone, receipt.state.toString());
	const record = receipt.claim.unwrap();
	assert.equal(record.seats.length, 2);
	for (const seat of record.seats) {
		assert.ok(seat.fault.isNone && seat.vote.unwrap().vote.isApprove);
		assert.notEqual(seat.provider.toHex(), record.executor.toHex());
	}
	assert.ok(receipt.fee.toBigInt() > 0n && receipt.fee.toBigInt() <= quote.feeCeiling.toBigInt());

	// Until it is settled, what is known of the answer is its claim.
	const view = (await api.call.assayApi.job(job)).unwrap();
	const claim = view.claim.unwrap();
	const stored = (await api.query.verification.claims(claim)).unwrap();
	assert.equal(stored.origin.toHex(), job.toHex());
	for (const field of ['executor', 'drawn', 'outputHash', 'seal', 'seats', 'tranches']) {
		assert.equal(stored.record[field].toHex(), record[field].toHex(), field);
	}
	assert.equal(view.seats.toHex(), record.seats.toHex());

	const output = (await api.query.jobs.outputs(job)).unwrap();
	assert.ok(output.text.toUtf8().length > 0);
	assert.equal(view.output.unwrap().toHex(), output.toHex());
	assert.equal(receipt.inputHash.toHex(), derived('assay/v1/input', stringToU8a(prompt)));
	assert.equal(record.outputHash.toHex(), derived('assay/v1/output', output.toU8a()));
	const { requester, count, model, inputHash } = receipt;
	const jobId = named('assay/v2/job', api.genesisHash, requester, count, model, inputHash, receipt.params);
	assert.equal(job.toHex(), u8aToHex(jobId));
	const { attempt, drawn, executor } = record;
	const draw = [api.genesisHash, jobId, attempt, drawn.block, drawn.beacon, executor, model];
	const execution = named('assay/v2/execution', ...draw);
	assert.equal(claim.toHex(), u8aToHex(named('assay/v2/claim', execution)));

	// The events and calls of the providers are in the blocks, and decode.
	const seen = { events: new Set(), calls: new Set() };
	for (let at = receipt.requestedAt.toNumber(); at <= receipt.verdictAt.toNumber(); at++) {
		const hash = await api.rpc.chain.getBlockHash(at);
		const { block } = await api.rpc.chain.getBlock(hash);
		for (const { method } of block.extrinsics) seen.calls.add(`${method.section}.${method.method}`);
		const events = await (await api.at(hash)).query.system.events();
		for (const { event } of events) seen.events.add(`${event.section}.${event.method}`);
	}
	for (const name of ['Requested', 'Drawn', 'Published']) {
		assert.ok(seen.events.has(`jobs.${name}`), `no event ${name} among ${[...seen.events]}`);
	}
	for (const name of ['Published', 'SeatsDrawn', 'Voted', 'VerdictReached']) {
		assert.ok(seen.events.has(`verification.${name}`), `no event ${name} among ${[...seen.events]}`);
	}
	for (const name of ['jobs.request', 'jobs.publish', 'verification.submit']) {
		assert.ok(seen.calls.has(name), `no call ${name} among ${[...seen.calls]}`);
	}

	// The subscription ends when the verdict is final.
	const { ended, ...last } = await followed;
	assert.ok(last.finalized && ended === 'final', `${ended}: ${JSON.stringify(last)}`);
	assert.deepEqual([last.job, last.claim, last.state], [job.toHex(), claim.toHex(), 'window']);
	assert.deepEqual(await provider.send('assay_jobStatus', [job.toHex()]), last);

	// An objection names the output that is said to be false.
	const other = `0x${'07'.repeat(32)}`;
	const object = (...args) => submit(api.tx.verification.object(...args), bob);
	await assert.rejects(object(claim, other), /verification\.OtherOutput/);
	await assert.rejects(object(other, record.outputHash), /verification\.UnknownClaim/);
});

test('a conversation is answered, and its hash binds its JSON', LIMIT, async () => {
	const turn = (role, content) => ({ role, content });
	const chat = { messages: [turn('user', 'What is Assay?'), turn('assistant', 'A chain.'), turn('user', 'What is a receipt?')] };
	const job = await request(chat);
	const receipt = await eventually('the job has a verdict', 90, async () => {
		const found = await api.call.assayApi.receipt(job);
		return found.isSome && found.unwrap();
	});
	assert.ok(receipt.verdict.isConfirmed, receipt.verdict.toString());
	assert.equal(receipt.inputHash.toHex(), derived('assay/v1/chat', stringToU8a(JSON.stringify(chat))));
	const { input, output } = (await api.call.assayApi.job(job)).unwrap();
	assert.deepEqual(JSON.parse(input.asChat.toUtf8()), chat);
	assert.ok(output.unwrap().text.toUtf8().length > 0);
});

test('a conversation of which the template leaves out a part is refused by its name, for nothing', LIMIT, async () => {
	const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
	const job = await request({ messages: [{ role: 'user', content: 'What is Assay?' }], tools });
	const receipt = await eventually('the job has a verdict', 90, async () => {
		const found = await api.call.assayApi.receipt(job);
		return found.isSome && found.unwrap();
	});
	assert.equal(receipt.fee.toBigInt(), 0n);
	const { finish, text } = (await api.query.jobs.outputs(job)).unwrap();
	assert.equal(finish.asFailed.type, 'PartLeftOut');
	assert.equal(text.toUtf8(), 'tools[0]');
});

test('a wrong request is refused by name', LIMIT, async () => {
	const unknown = `0x${'07'.repeat(32)}`;
	const cases = [
		['UnknownModel', ['Hello', { target: { Model: unknown } }]],
		['UnknownListing', ['Hello', { target: { Listing: 99 } }]],
		['EmptyInput', ['']],
		['BadChat', [{ messages: [] }]],
		['BadChat', [{ messages: [{ role: 'user', content: 'Hello' }], temperature: 0 }]],
		['FeeTooLow', ['Hello', { fee: 1n }]],
		['TooManyVerifiers', ['Hello', { verifiers: 9 }]],
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
	assert.equal(await error({ Model: `0x${'07'.repeat(32)}` }, 5, 64, 2), 'UnknownModel');
	assert.equal(await error({ Model: demo.id }, 0, 64, 2), 'EmptyInput');
	assert.equal(await error({ Model: demo.id }, 5, 64, 9), 'TooManyVerifiers');
	const fee = async (verifiers) => (await api.call.assayApi.quote({ Model: demo.id }, 5, 64, verifiers)).asOk.feeCeiling.toBigInt();
	const [none, one, eight] = [await fee(0), await fee(1), await fee(8)];
	assert.ok(none > 0n && eight - none === 8n * (one - none), 'each check costs the same');
});

test('views of what does not exist are empty', async () => {
	const nothing = `0x${'07'.repeat(32)}`;
	assert.ok((await api.call.assayApi.job(nothing)).isNone);
	assert.ok((await api.call.assayApi.receipt(nothing)).isNone);
	assert.ok((await api.call.assayApi.model(nothing)).isNone);
	assert.ok((await api.call.assayApi.listing(99)).isNone);
	assert.equal((await api.call.assayApi.providersOf(nothing)).length, 0);
	assert.equal((await api.call.assayApi.providersOf(demo.id)).length, 4);
});
