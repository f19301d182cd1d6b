// What people read: amounts, errors, stages.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../support/load.mjs';

const { asy, bytes, duration, name, short } = await load('format.ts');
const { chainError, message, noAnswer, refund } = await load('chain/errors.ts');
const { urlProblem, rememberedChoice } = await load('settings.ts');
const { stages } = await load('parts/progress.tsx');
const { REASON_WORDS, STEP_WORDS } = await load('check/words.ts');

test('amounts are exact', () => {
	assert.equal(asy(0n), '0 ASY');
	assert.equal(asy(1n), '0.000000000001 ASY');
	assert.equal(asy(6_370_000_000n), '0.00637 ASY');
	assert.equal(asy(1_234_567_000_000_000_000n), '1 234 567 ASY');
	assert.equal(asy(40_000_500_000_000_000n), '40 000.5 ASY');
	assert.equal(bytes(1_071_234n), '1.1 MB');
	assert.equal(duration(59), '59 seconds');
	assert.equal(duration(3 * 86_400 + 5), '3 days');
	assert.equal(short('0x0123456789abcdef0123456789abcdef'), '0x01234567…abcdef');
});

test('a name cannot pretend to be another or fill the page', () => {
	assert.equal(name('demo'), 'demo');
	assert.equal(name('a\u202Eomed\u202C\nb\u200B'), 'aomedb');
	assert.equal(name('\u200B'), '(no name)');
	assert.equal(name('x'.repeat(500)).length, 80);
	assert.equal(name('模型 ünï'), '模型 ünï');
});

test('errors of the chain have their name and a next step', () => {
	const dispatch = { type: 'Module', value: { type: 'Jobs', value: { type: 'FeeTooLow', value: undefined } } };
	assert.match(chainError(dispatch), /^Jobs\.FeeTooLow: .*ask again/);
	assert.match(chainError({ type: 'NoProvider' }), /^NoProvider: .*later/);
	assert.match(chainError({ type: 'Module', value: { type: 'Jobs', value: { type: 'New' } } }), /^Jobs\.New: See “Errors”/);
	const invalid = Object.assign(new Error('{…}'), { error: { type: 'Invalid', value: { type: 'Payment' } } });
	assert.match(message(invalid), /^Payment: The account cannot pay/);
	assert.match(message(undefined), /Reload/);
	assert.match(noAnswer('PromptTooLong'), /shorter/);
	assert.match(refund('NoOutput'), /money back/);
});

test('only addresses of nodes are taken', () => {
	for (const good of ['ws://127.0.0.1:9944', 'wss://node.example.org/rpc']) assert.equal(urlProblem(good), null, good);
	for (const bad of ['', 'node', 'http://127.0.0.1:9944', 'javascript:alert(1)']) assert.ok(urlProblem(bad), bad);
	// Without storage, as here, nothing is remembered and the light client is chosen.
	assert.deepEqual(rememberedChoice({ chain: '', node: 'ws://a', anchor: null }), { by: 'light', url: 'ws://a' });
});

const job = { requested_at: 7, attempt: 1, seats: [], verifiers: 2 };
const at = (progress) =>
	stages({ job: null, execution: null, receipt: null, finalized: false, problem: null, ...progress }).map(({ kind }) => kind);

test('the stages of a job follow from what the chain says', () => {
	assert.deepEqual(at({}), ['now', 'waits', 'waits', 'waits', 'waits']);
	assert.deepEqual(at({ job }), ['good', 'now', 'waits', 'waits', 'waits']);
	const output = { tokens: [1], input_tokens: 1 };
	const executed = { ...job, executor: '5F', output };
	assert.deepEqual(at({ job: executed }), ['good', 'good', 'good', 'now', 'waits']);
	const confirmed = { ...executed, verdict: { type: 'Confirmed' } };
	assert.deepEqual(at({ job: confirmed }), ['good', 'good', 'good', 'good', 'now']);
	assert.deepEqual(at({ job: confirmed, finalized: true }), ['good', 'good', 'good', 'good', 'good']);
	const refunded = { ...job, verdict: { type: 'Refunded', value: { type: 'NoOutput' } } };
	assert.deepEqual(at({ job: refunded, finalized: true }), ['good', 'good', 'good', 'bad', 'good']);
});

test('every step and every refusal has words and a next step', async () => {
	const { STEPS } = await import('@assay/verifier');
	assert.deepEqual(Object.keys(STEP_WORDS), [...STEPS]);
	for (const [reason, [text, next]] of Object.entries(REASON_WORDS)) {
		assert.ok(text.length > 5 && /^[A-Z].*[.”]$/.test(next), reason);
	}
});
