/** Proofs of storage: a walk through the nodes of a trie of layout V1. */

import { blake2, equal, hex } from "./bytes.js";
import { ensure, Refusal } from "./refusal.js";
import { Reader, Undecodable } from "./scale.js";

const HASH_BYTES = 32;
const BRANCHES = 16;

/** What a node holds: bytes, the hash of bytes, or nothing. */
type Value = { bytes: Uint8Array } | { hash: Uint8Array } | null;

interface Node {
	partial: number[];
	value: Value;
	/** The children of a branch: hashes of nodes, or nodes that are shorter than a hash. None of a leaf. */
	children: (Uint8Array | null)[];
}

/** Nodes of a trie with this root, and values that are stored apart. All have to be used. */
export class Proof {
	private readonly nodes = new Map<string, Uint8Array>();
	private readonly used = new Set<string>();

	constructor(private readonly root: Uint8Array, nodes: Uint8Array[]) {
		for (const node of nodes) this.nodes.set(hex(blake2(node)), node);
		ensure(this.nodes.size === nodes.length, "bad_state", "a node twice");
	}

	/** Returns what is stored under a key; null if it is proved that nothing is. */
	get(key: Uint8Array): Uint8Array | null {
		try {
			return this.walk(nibblesOf(key));
		} catch (error) {
			if (error instanceof Undecodable) throw new Refusal("bad_state", error.message);
			throw error;
		}
	}

	/** Checks that no node is left that no walk used. */
	end(): void {
		ensure(this.used.size === this.nodes.size, "bad_state", "a node that nothing leads to");
	}

	private walk(key: number[]): Uint8Array | null {
		let data = this.find(this.root);
		// The empty trie has one node, a zero byte.
		if (equal(data, Uint8Array.of(0))) return null;
		for (;;) {
			const { partial, value, children } = decode(data);
			if (!partial.every((nibble, i) => nibble === key[i])) return null;
			const rest = key.slice(partial.length);
			const branch = rest[0];
			if (branch === undefined) return value === null ? null : "hash" in value ? this.find(value.hash) : value.bytes;
			const child = children[branch] ?? null;
			if (child === null) return null;
			data = child.length === HASH_BYTES ? this.find(child) : child;
			key = rest.slice(1);
		}
	}

	private find(hash: Uint8Array): Uint8Array {
		const name = hex(hash);
		const node = this.nodes.get(name);
		ensure(node !== undefined, "bad_state", `node ${name} is missing`);
		this.used.add(name);
		return node;
	}
}

function nibblesOf(bytes: Uint8Array): number[] {
	return Array.from(bytes).flatMap((byte) => [byte >> 4, byte & 15]);
}

/** The kinds of nodes by the first bits of their header: how many these are, and what follows. */
const KINDS = [
	{ mask: 0b1100_0000, is: 0b0100_0000, bits: 2, branch: false, value: "inline" },
	{ mask: 0b1100_0000, is: 0b1000_0000, bits: 2, branch: true, value: "none" },
	{ mask: 0b1100_0000, is: 0b1100_0000, bits: 2, branch: true, value: "inline" },
	{ mask: 0b1110_0000, is: 0b0010_0000, bits: 3, branch: false, value: "hashed" },
	{ mask: 0b1111_0000, is: 0b0001_0000, bits: 4, branch: true, value: "hashed" },
] as const;

function decode(data: Uint8Array): Node {
	const reader = new Reader(data);
	const first = reader.u8();
	const kind = KINDS.find(({ mask, is }) => (first & mask) === is);
	if (kind === undefined) throw new Undecodable("an unknown kind of node");
	const partial = takePartial(reader, takeSize(reader, first, 0xff >> kind.bits));
	const present = kind.branch ? reader.u16() : 0;
	if (kind.branch && present === 0) throw new Undecodable("a branch without children");
	const value = takeValue(reader, kind.value);
	const children = Array.from({ length: kind.branch ? BRANCHES : 0 }, (_, i) =>
		(present >> i) & 1 ? takeChild(reader) : null,
	);
	reader.end();
	return { partial, value, children };
}

/** Reads the number of nibbles: what the header has no room for follows in bytes, of which all but the last are 255. */
function takeSize(reader: Reader, first: number, most: number): number {
	let size = first & most;
	if (size < most) return size;
	for (;;) {
		const more = reader.u8();
		size += more;
		if (more < 255) return size;
	}
}

/** Reads nibbles. The first byte of an odd number of them has one, after four zero bits. */
function takePartial(reader: Reader, size: number): number[] {
	const nibbles = nibblesOf(reader.bytes(Math.ceil(size / 2)));
	if (size % 2 === 1 && nibbles.shift() !== 0) throw new Undecodable("padding that is not zero");
	return nibbles;
}

function takeValue(reader: Reader, kind: "inline" | "none" | "hashed"): Value {
	if (kind === "none") return null;
	return kind === "hashed" ? { hash: reader.bytes(HASH_BYTES) } : { bytes: reader.vector() };
}

function takeChild(reader: Reader): Uint8Array {
	const child = reader.vector();
	if (child.length === 0 || child.length > HASH_BYTES) throw new Undecodable("a child of another length than a node has");
	return child;
}
