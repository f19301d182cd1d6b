// Drafts are shown only as far as their executor has signed them.

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { sr25519CreateDerive } from '@polkadot-labs/hdkd';
import { blake2b256, DEV_MINI_SECRET } from '@polkadot-labs/hdkd-helpers';
import { load } from '../support/load.mjs';

globalThis.crypto ??= webcrypto; // Node.js 18 has it under another name only

const { Draft } = await load('chain/draft.ts');
const executor = sr25519CreateDerive(DEV_MINI_SECRET)('//Alice');
const stranger = sr25519CreateDerive(DEV_MINI_SECRET)('//Bob');
const genesis = new Uint8Array(32).fill(1);
const claim = `0x${'02'.repeat(32)}`;

// The chain of hashes as docs/dapp.md defines it, written a second time.
const bytes = (...parts) => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
const u32 = (n) => {
	const out = Buffer.alloc(4);
	out.writeUInt32LE(n);
	return out;
};
const length = (n) => (n < 64 ? Buffer.of(n * 4) : Buffer.of((n * 4 + 1) & 255, (n * 4 + 1) >> 8));
const claimBytes = Buffer.from(claim.slice(2), 'hex');

function chunks(groups, pair = executor) {
	let hash = blake2b256(bytes('assay/v2/stream', genesis, claimBytes));
	let tokens = 0;
	return groups.map((group) => {
		const first = tokens;
		for (const { id, text } of group) {
			const utf8 = Buffer.from(text);
			hash = blake2b256(bytes(hash, u32(id), length(utf8.length), utf8));
			tokens += 1;
		}
		const signature = pair.sign(bytes('assay/v2/stream-chunk', genesis, claimBytes, hash, u32(tokens)));
		const hex = (of) => `0x${Buffer.from(of).toString('hex')}`;
		return { claim, first, tokens: group, hash: hex(hash), signature: hex(signature) };
	});
}

const TEXT = [[{ id: 1, text: 'The ' }, { id: 2, text: '' }], [{ id: 70_000, text: `stored ${'x'.repeat(70)} ünïcode` }]];
const draft = () => new Draft(genesis, claim, executor.publicKey);

test('signed chunks become the text', () => {
	const read = draft();
	for (const chunk of chunks(TEXT)) assert.equal(read.take(chunk), null);
	assert.equal(read.text, TEXT.flat().map(({ text }) => text).join(''));
	assert.equal(read.tokens, 3);
});

test('what is not signed by the executor is not shown', () => {
	const [first, second] = chunks(TEXT);
	for (const [name, wrong] of Object.entries({
		text: { ...first, tokens: [{ id: 1, text: 'Tha ' }, { id: 2, text: '' }] },
		id: { ...first, tokens: [{ id: 3, text: 'The ' }, { id: 2, text: '' }] },
		split: { ...first, tokens: [{ id: 1, text: 'The' }, { id: 2, text: ' ' }] },
		'another key': chunks(TEXT, stranger)[0],
		'another draw': { ...first, claim: `0x${'03'.repeat(32)}` },
		'a gap': second,
		'too many tokens': { ...first, tokens: Array.from({ length: 65 }, () => ({ id: 1, text: '' })) },
		'no tokens': { ...first, tokens: [] },
		'no text': { ...first, tokens: [{ id: 1 }] },
	})) {
		const read = draft();
		assert.ok(read.take(wrong), name);
		assert.equal(read.text, '', name);
	}
	assert.throws(() => draft().take({ ...first, signature: '0x' }));
});
