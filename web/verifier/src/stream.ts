/** Evidence of a stream: whether its executor signed what cannot be true together. */

import { RistrettoPoint } from "@noble/curves/ed25519";
import { verify } from "@scure/sr25519";
import { blake2, equal, utf8ToBytes } from "./bytes.js";
import { encodeToken, type Output, type Stream, type StreamToken } from "./receipt.js";
import { Writer } from "./scale.js";
import { consistent } from "./refusal.js";

/** Two drafts of one claim that differ, or a draft with which the published answer does not go on. */
export type Contradiction = "of_itself" | "of_its_answer";
/** Most signed chunks that evidence has: two are enough for a contradiction. */
const MAX_CHUNKS = 16;

type Chunk = Stream["chunks"][number];

/** Checks that evidence is about this claim and signed by its key; returns the contradiction that it shows, if any. */
export function checkStream(
	genesis: Uint8Array, claim: Uint8Array, output: Output, stream: Stream,
): Contradiction | null {
	consistent(equal(stream.claim, claim), "stream_claim");
	consistent(stream.chunks.length <= MAX_CHUNKS, "stream_length");
	consistent(isKey(stream.key), "stream_key");
	const chain = new Chain(genesis, claim);
	for (const [i, chunk] of stream.chunks.entries()) {
		consistent(isSigned(chain.message(chunk), chunk.signature, stream.key), `stream_signature ${i}`);
	}
	let ofItself = false;
	for (const [i, chunk] of stream.chunks.entries()) {
		const after = chain.over(chunk.draft ?? []);
		const hashes = chunk.draft === null || (chunk.draft.length === chunk.tokens && equal(after.at(-1)!, chunk.hash));
		consistent(hashes, `stream_draft ${i}`);
		ofItself ||= stream.chunks.some((other) => differs(chunk, after, other));
	}
	if (ofItself) return "of_itself";
	// Whatever was streamed, nothing may be left of it if no token may come next.
	const { finish, tokens } = output;
	const endedEarly = finish.kind === "failed" && finish.value === "grammar" && tokens.length === 0;
	const ofAnswer = stream.chunks.some(({ draft }) => draft !== null && !isBeginning(draft, output));
	return ofAnswer && !endedEarly ? "of_its_answer" : null;
}

/** The chain of hashes over the tokens of one claim's stream. */
class Chain {
	private readonly begin: Uint8Array;

	constructor(private readonly genesis: Uint8Array, private readonly claim: Uint8Array) {
		this.begin = blake2(utf8ToBytes("assay/v2/stream"), genesis, claim);
	}

	/** Returns the hashes after each number of tokens, from none on. */
	over(tokens: StreamToken[]): Uint8Array[] {
		const hashes = [this.begin];
		for (const token of tokens) hashes.push(blake2(hashes.at(-1)!, encodeToken(token)));
		return hashes;
	}

	/** Returns what the inference key signs. */
	message({ hash, tokens }: Chunk): Uint8Array {
		const out = new Writer().bytes(utf8ToBytes("assay/v2/stream-chunk")).bytes(this.genesis).bytes(this.claim);
		return out.bytes(hash).u32(tokens).end();
	}
}

function isKey(key: Uint8Array): boolean {
	try {
		// What the identity seems to have signed, everybody can have signed.
		return !RistrettoPoint.fromHex(key).equals(RistrettoPoint.ZERO);
	} catch {
		return false;
	}
}

function isSigned(message: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean {
	try {
		return verify(message, signature, key);
	} catch {
		// The library throws for what is no signature.
		return false;
	}
}

/** Returns whether a signed draft, with its hashes, is known not to go on with another one that is not longer. */
function differs(longer: Chunk, after: Uint8Array[], shorter: Chunk): boolean {
	const hash = longer.tokens === shorter.tokens ? longer.hash : longer.draft === null ? undefined : after[shorter.tokens];
	return hash !== undefined && !equal(hash, shorter.hash);
}

/** Returns whether an answer goes on with a draft, in its tokens and in its text. */
function isBeginning(draft: StreamToken[], output: Output): boolean {
	const text = draft.map((token) => token.text).join("");
	return draft.every((token, i) => token.id === output.tokens[i]) && output.text.startsWith(text);
}
