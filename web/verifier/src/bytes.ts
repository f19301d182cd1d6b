/** Bytes as hex digits and as text, and the hashes that chains of this kind use. */

import { blake2b } from "@noble/hashes/blake2b";
import { blake3 } from "@noble/hashes/blake3";
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils";

export { bytesToHex, concatBytes, hexToBytes, utf8ToBytes };

/** Returns the 32-byte BLAKE2b hash. */
export function blake2(...parts: Uint8Array[]): Uint8Array {
	return blake2b(concatBytes(...parts), { dkLen: 32 });
}

/** Returns BLAKE3 in key-derivation mode: a hash for one purpose never stands for another. */
export function derive(context: string, data: Uint8Array): Uint8Array {
	return blake3(data, { context: utf8ToBytes(context) });
}

export function equal(one: Uint8Array, other: Uint8Array): boolean {
	return one.length === other.length && one.every((byte, i) => byte === other[i]);
}

/** Returns the hash as people compare it. */
export function hex(bytes: Uint8Array): string {
	return `0x${bytesToHex(bytes)}`;
}

/** Reads what {@link hex} writes; null if it is something else. */
export function fromHex(text: string): Uint8Array | null {
	return text.length % 2 === 0 && /^0x[0-9a-f]*$/.test(text) ? hexToBytes(text.slice(2)) : null;
}

/** Reads UTF-8; null if it is malformed. A byte order mark stays a character. */
export function fromUtf8(bytes: Uint8Array): string | null {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		return null;
	}
}
