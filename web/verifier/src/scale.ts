/** SCALE: a writer of what is hashed or compared, and a strict reader of what untrusted files bring. */

import { concatBytes } from "./bytes.js";

const U32_MAX = 0xffff_ffff;

/** Collects an encoding. */
export class Writer {
	private readonly parts: Uint8Array[] = [];

	bytes(bytes: Uint8Array): this {
		this.parts.push(bytes);
		return this;
	}

	/** Writes a little-endian integer. */
	integer(value: number | bigint, length: number): this {
		const bytes = new Uint8Array(length);
		let rest = BigInt(value);
		for (let i = 0; i < length; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
		return this.bytes(bytes);
	}

	u8(value: number): this {
		return this.bytes(Uint8Array.of(value));
	}

	u32(value: number): this {
		const bytes = new Uint8Array(4);
		new DataView(bytes.buffer).setUint32(0, value, true);
		return this.bytes(bytes);
	}

	u64(value: number | bigint): this {
		return this.integer(value, 8);
	}

	/** Writes a length, of at most 32 bits. */
	compact(value: number): this {
		if (value < 1 << 6) return this.u8(value << 2);
		if (value < 1 << 14) return this.integer((value << 2) | 1, 2);
		if (value < 2 ** 30) return this.integer(value * 4 + 2, 4);
		return this.u8(3).u32(value);
	}

	/** Writes bytes after their length. */
	vector(bytes: Uint8Array): this {
		return this.compact(bytes.length).bytes(bytes);
	}

	end(): Uint8Array {
		return concatBytes(...this.parts);
	}
}

/** What does not decode. */
export class Undecodable extends Error {}

/** Reads an encoding. Throws {@link Undecodable} only. */
export class Reader {
	private at = 0;

	constructor(private readonly data: Uint8Array) {}

	left(): number {
		return this.data.length - this.at;
	}

	bytes(length: number): Uint8Array {
		if (length > this.left()) throw new Undecodable("the encoding is too short");
		return this.data.subarray(this.at, (this.at += length));
	}

	integer(length: number): bigint {
		let value = 0n;
		for (const byte of this.bytes(length).slice().reverse()) value = (value << 8n) | BigInt(byte);
		return value;
	}

	u8(): number {
		return this.bytes(1)[0]!;
	}

	bool(): boolean {
		const byte = this.u8();
		if (byte > 1) throw new Undecodable("no boolean");
		return byte === 1;
	}

	u16(): number {
		return Number(this.integer(2));
	}

	u32(): number {
		return Number(this.integer(4));
	}

	u64(): bigint {
		return this.integer(8);
	}

	/** Reads a number of at most 32 bits in its only form. */
	compact(): number {
		const first = this.u8();
		const mode = first & 3;
		if (mode === 3) {
			const value = this.u32();
			if (first !== 3 || value < 2 ** 30) throw new Undecodable("a number in another than its shortest form");
			return value;
		}
		const more = mode === 0 ? 0 : mode === 1 ? 1 : 3;
		const value = ((first + Number(this.integer(more)) * 0x100) - mode) / 4;
		const least = mode === 0 ? 0 : mode === 1 ? 1 << 6 : 1 << 14;
		if (value < least || value > U32_MAX) throw new Undecodable("a number in another than its shortest form");
		return value;
	}

	/** Reads bytes after their length. */
	vector(): Uint8Array {
		return this.bytes(this.compact());
	}

	/** Reads items after their number. Each takes at least `least` bytes, so that no number makes a long list. */
	list<T>(least: number, item: (reader: Reader) => T): T[] {
		const length = this.compact();
		if (length * least > this.left()) throw new Undecodable("a list is longer than the encoding");
		return Array.from({ length }, () => item(this));
	}

	option<T>(item: (reader: Reader) => T): T | null {
		return this.bool() ? item(this) : null;
	}

	end(): void {
		if (this.left() !== 0) throw new Undecodable("bytes follow the encoding");
	}
}

/** Decodes all of some bytes; null if they do not decode, or something follows. */
export function decodeAll<T>(data: Uint8Array, read: (reader: Reader) => T): T | null {
	const reader = new Reader(data);
	try {
		const value = read(reader);
		reader.end();
		return value;
	} catch (error) {
		if (error instanceof Undecodable) return null;
		throw error;
	}
}
