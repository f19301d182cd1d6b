/** Accounts as people write them: SS58 with prefix 42, the generic Substrate network. */

import { blake2b } from "@noble/hashes/blake2b";
import { base58 } from "@scure/base";
import { concatBytes, utf8ToBytes } from "./bytes.js";

const PREFIX = 42;
const ACCOUNT_BYTES = 32;
const CHECKSUM_BYTES = 2;
/** An account has 48 characters; longer texts are not worth decoding. */
const MAX_CHARS = 64;

function checksum(body: Uint8Array): Uint8Array {
	return blake2b(concatBytes(utf8ToBytes("SS58PRE"), body)).subarray(0, CHECKSUM_BYTES);
}

/** Reads what {@link showAccount} writes; null if it is something else. */
export function readAccount(text: string): Uint8Array | null {
	if (text.length > MAX_CHARS || !/^[1-9A-HJ-NP-Za-km-z]*$/.test(text)) return null;
	const account = base58.decode(text).slice(1, -CHECKSUM_BYTES);
	return account.length === ACCOUNT_BYTES && showAccount(account) === text ? account : null;
}

/** Returns the one form of an account. */
export function showAccount(account: Uint8Array): string {
	const body = concatBytes(Uint8Array.of(PREFIX), account);
	return base58.encode(concatBytes(body, checksum(body)));
}
