// A receipt file is held against what was asked, whatever the node that made it says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { load } from '../support/load.mjs';

const { askedAs, difference, rememberSigned } = await load('check/asked.ts');
const { paramsOf } = await load('chain/ask.ts');
const { canonical, developmentAccounts } = await load('chain/accounts.ts');

const golden = (name) => JSON.parse(readFileSync(new URL(`../../../receipt/tests/golden/${name}.json`, import.meta.url)));
const file = golden('confirmed');
const { genesis, receipt } = file;
const params = paramsOf({ maxTokens: receipt.params.max_tokens });
const signed = { requester: receipt.requester, model: receipt.model, text: file.input.text, params, verifiers: receipt.claim.verifiers };
// The vector was asked with a stop string, the page asks without.
file.receipt.params.stop = [];
const asked = { genesis, job: receipt.job, signed };

function changed(edit) {
	const copy = structuredClone(file);
	edit(copy, copy.receipt);
	return copy;
}

test('a file of what was asked does not differ', () => {
	assert.equal(difference(file, asked), null);
	assert.equal(difference(file, { ...asked, signed: null }), null);
	// Nothing was published, so there is no claim that names verifiers.
	assert.equal(difference(changed((_, receipt) => (receipt.claim = null)), asked), null);
});

test('a file of anything else is named by what differs', () => {
	const zero = `0x${'00'.repeat(32)}`;
	for (const [edit, words] of [
		[(file) => (file.genesis = zero), /another chain/],
		[(_, receipt) => (receipt.job = zero), /another job/],
		[(_, receipt) => (receipt.requester = developmentAccounts()[0].address), /another account/],
		[(_, receipt) => (receipt.model = zero), /model/],
		[(file) => (file.input.text += ' '), /question/],
		[(file) => (file.input = { chat: file.input.text }), /question/],
		[(_, receipt) => (receipt.params.max_tokens += 1), /limits/],
		[(_, receipt) => (receipt.params.temperature = 1), /limits/],
		[(_, receipt) => (receipt.params.stop = [[46]]), /limits/],
		[(_, receipt) => delete receipt.params, /limits/],
		[(_, receipt) => (receipt.claim.verifiers += 1), /verifiers/],
	]) {
		assert.match(difference(changed(edit), asked) ?? 'nothing', words);
	}
	for (const none of [null, 7, [], {}, { genesis }, { genesis, receipt: null }, { genesis, receipt: 'x' }]) {
		assert.match(difference(none, asked) ?? 'nothing', /another/, JSON.stringify(none));
	}
});

test('of a job that was not asked here only its name is known', () => {
	const { job } = receipt;
	assert.equal(askedAs(genesis, job).signed, null);
	rememberSigned(genesis, job, signed);
	assert.deepEqual(askedAs(genesis, job), asked);
	assert.equal(askedAs(`0x${'00'.repeat(32)}`, job).signed, null, 'another chain has other jobs');
});

test('an account has one form, whatever network a wallet shows it for', () => {
	const [{ address }] = developmentAccounts();
	assert.equal(canonical('15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5'), address);
	assert.equal(canonical(address), address);
});
