/** Builds a state's trie from its entries: for the root of a chain specification. */

import { blake2, bytesToHex } from "./bytes.js";
import { Writer } from "./scale.js";

/** Longest value that a node holds itself. */
const MAX_INLINE_VALUE = 32;
const NODE_BYTES = 32;

/** A key in hex digits, which are its nibbles, and its value. */
type Entry = [string, Uint8Array];
/** Receives what is named by its hash: a node, with the digits that lead to it, or a value, with its key. */
export type Emit = (hash: Uint8Array, data: Uint8Array, at: string, isValue: boolean) => void;

/** Returns the root of the state with these entries, each key once. */
export function trieRoot(entries: [Uint8Array, Uint8Array][], emit: Emit = () => {}): Uint8Array {
	const sorted = entries.map(([key, value]): Entry => [bytesToHex(key), value]);
	sorted.sort(([one], [other]) => (one < other ? -1 : 1));
	return keep(sorted.length === 0 ? Uint8Array.of(0) : node(sorted, 0, emit), "", false, emit);
}

function keep(data: Uint8Array, at: string, isValue: boolean, emit: Emit): Uint8Array {
	const hash = blake2(data);
	emit(hash, data, at, isValue);
	return hash;
}

/** Returns the node of sorted entries whose keys share their first digits up to `from`. */
function node(entries: Entry[], from: number, emit: Emit): Uint8Array {
	const [first, value] = entries[0]!;
	const last = entries.at(-1)![0];
	let end = from;
	while (end < first.length && first[end] === last[end]) end++;
	const below = first.length === end ? entries.slice(1) : entries;
	const own = first.length === end ? value : null;
	const out = new Writer();
	start(out, first.slice(from, end), own, below.length > 0);
	const groups = Array.from({ length: 16 }, (_, i) => below.filter(([key]) => key[end] === i.toString(16)));
	const present = groups.reduce((bits, group, i) => bits | (Number(group.length > 0) << i), 0);
	if (below.length > 0) out.integer(present, 2);
	if (own !== null && own.length > MAX_INLINE_VALUE) out.bytes(keep(own, first, true, emit));
	else if (own !== null) out.vector(own);
	for (const group of groups.filter((group) => group.length > 0)) {
		const child = node(group, end + 1, emit);
		out.vector(child.length < NODE_BYTES ? child : keep(child, group[0]![0].slice(0, end + 1), false, emit));
	}
	return out.end();
}

/** Writes a node's kind, and its part of the key. */
function start(out: Writer, digits: string, value: Uint8Array | null, branch: boolean): void {
	const hashed = value !== null && value.length > MAX_INLINE_VALUE;
	if (branch) size(out, hashed ? 0x10 : value !== null ? 0xc0 : 0x80, hashed ? 4 : 2, digits.length);
	else size(out, hashed ? 0x20 : 0x40, hashed ? 3 : 2, digits.length);
	const even = digits.length % 2 === 0 ? digits : `0${digits}`;
	for (let i = 0; i < even.length; i += 2) out.u8(Number.parseInt(even.slice(i, i + 2), 16));
}

function size(out: Writer, kind: number, bits: number, length: number): void {
	const most = 0xff >> bits;
	if (length < most) return void out.u8(kind | length);
	out.u8(kind | most);
	let rest = length - most;
	for (; rest >= 255; rest -= 255) out.u8(255);
	out.u8(rest);
}
