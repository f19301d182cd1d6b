//! A draft while its executor makes it: signed tokens from a node, each signature checked here.

import { blake2b256, sr25519 } from '@polkadot-labs/hdkd-helpers';
import { Rpc, RpcError } from './rpc';
import type { Execution } from './views';

const MAX_CHUNK_TOKENS = 64;
const MAX_TOKENS = 4_096;
const MAX_CHARS = 64 * 1024;
const NOT_EXECUTOR = 20_005;

interface Token {
	id: number;
	text: string;
}

interface Chunk {
	claim: string;
	first: number;
	tokens: Token[];
	hash: string;
	signature: string;
}

const encoder = new TextEncoder();

/** Returns the bytes of a text of 0x and hex digits; throws for another number of bytes. */
export function fromHex(text: string, length: number): Uint8Array {
	if (!new RegExp(`^0x[0-9a-f]{${2 * length}}$`, 'i').test(text)) throw new Error('malformed hex');
	return Uint8Array.from({ length }, (_, i) => Number.parseInt(text.slice(2 + 2 * i, 4 + 2 * i), 16));
}

function concat(...parts: Uint8Array[]): Uint8Array {
	const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
	let at = 0;
	for (const part of parts) {
		out.set(part, at);
		at += part.length;
	}
	return out;
}

function u32(n: number): Uint8Array {
	const out = new Uint8Array(4);
	new DataView(out.buffer).setUint32(0, n, true);
	return out;
}

/** Returns the length of a text as SCALE writes it. */
function compact(n: number): Uint8Array {
	if (n < 1 << 6) return Uint8Array.of(n << 2);
	const mode = n < 1 << 14 ? 1 : 2;
	return u32(n * 4 + mode).slice(0, mode === 1 ? 2 : 4);
}

function push(hash: Uint8Array, { id, text }: Token): Uint8Array {
	const utf8 = encoder.encode(text);
	return blake2b256(concat(hash, u32(id), compact(utf8.length), utf8));
}

/** A draft as far as it is known: a chain of hashes over its tokens, signed by its executor. */
export class Draft {
	text = '';
	tokens = 0;
	#hash: Uint8Array;

	constructor(
		readonly genesis: Uint8Array,
		readonly claim: string,
		readonly key: Uint8Array,
	) {
		this.#hash = blake2b256(concat(encoder.encode('assay/v2/stream'), genesis, fromHex(claim, 32)));
	}

	/** Adds a chunk, or returns why it is not one of this draft. */
	take(chunk: Chunk): string | null {
		const { tokens } = chunk;
		if (chunk.claim !== this.claim) return 'it is of another draw';
		if (!Array.isArray(tokens) || tokens.length === 0 || tokens.length > MAX_CHUNK_TOKENS) return 'its tokens are not 1 to 64';
		if (chunk.first !== this.tokens || this.tokens + tokens.length > MAX_TOKENS) return 'it does not follow the last one';
		let hash = this.#hash;
		let text = this.text;
		for (const token of tokens) {
			if (!Number.isInteger(token.id) || typeof token.text !== 'string') return 'a token of it is malformed';
			hash = push(hash, token);
			text += token.text;
		}
		if (text.length > MAX_CHARS) return 'its text is longer than an answer can be';
		const count = this.tokens + tokens.length;
		const claim = fromHex(this.claim, 32);
		const signed = concat(encoder.encode('assay/v2/stream-chunk'), this.genesis, claim, hash, u32(count));
		if (!sr25519.verify(fromHex(chunk.signature, 64), signed, this.key)) return 'it is not signed by the executor';
		[this.#hash, this.text, this.tokens] = [hash, text, count];
		return null;
	}
}

/** What became of a stream. */
export interface Drafted {
	text: string;
	/** Why there is no more of it, for people; null while it goes on or when it is complete. */
	note: string | null;
}

const ENDS: Record<string, string> = {
	replaced: 'The executor was replaced; its successor begins again.',
	refunded: 'The job was refunded.',
	failed: 'The executor’s engine gave up; another attempt follows.',
	expired: 'The stream has expired.',
};

function refusal(error: unknown): string {
	if (error instanceof RpcError && error.code === NOT_EXECUTOR) {
		return 'Another node makes the draft; this one does not stream it. The answer appears when it is published.';
	}
	return `No draft: ${error instanceof Error ? error.message : 'the node refuses it'} The answer appears when it is published.`;
}

/** Streams the draft of a job from a node; returns a function that stops it. */
export function streamDraft(
	url: string,
	genesis: string,
	job: string,
	execution: Execution,
	news: (drafted: Drafted) => void,
): () => void {
	if (!execution.key) return () => {};
	const draft = new Draft(fromHex(genesis, 32), execution.claim, fromHex(execution.key, 32));
	const rpc = new Rpc(url);
	let stopped = false;
	const end = (note: string | null) => {
		if (stopped) return;
		stopped = true;
		news({ text: draft.text, note });
		rpc.close();
	};
	rpc.onClose = () => end('The connection was lost.');
	const take = (notice: unknown) => {
		if (stopped) return;
		const { ended } = notice as { ended?: string };
		if (ended !== undefined) return end(ended === 'complete' ? null : (ENDS[ended] ?? 'The stream ended.'));
		let problem: string | null;
		try {
			problem = draft.take(notice as Chunk);
		} catch {
			problem = 'it is malformed';
		}
		if (problem) return end(`The rest of the draft is not shown: ${problem}.`);
		news({ text: draft.text, note: null });
	};
	rpc.subscribe('assay_streamJob', [job, 0], take).catch((error) => end(refusal(error)));
	return () => {
		stopped = true;
		rpc.close();
	};
}
