/**
 * Descriptions of types, each with both of its forms: how it is read from JSON, and how a chain encodes it in SCALE.
 * One description per type, so that no field can be in one form and not in the other.
 */

import { readAccount } from "./account.js";
import { fromHex, utf8ToBytes } from "./bytes.js";
import type { Json } from "./json.js";
import { Refusal } from "./refusal.js";
import { Writer } from "./scale.js";

/** Both forms of a type. */
export interface Codec<T> {
	/** Reads the JSON form. Refuses what has another shape or is beyond a limit as `malformed`. */
	read(json: Json): T;
	/** Writes the SCALE form. */
	write(value: T, out: Writer): void;
	/** What stands for a field that is missing, and is never written. Without it, a field has to be there. */
	absent?: T;
}

/** The type that a codec describes. */
export type Of<C> = C extends Codec<infer T> ? T : never;

function malformed(what: string): never {
	throw new Refusal("malformed", what);
}

/** Reads a part and names its place in what it refuses. */
function within<T>(place: string | number, read: () => T): T {
	try {
		return read();
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
		throw new Refusal(error.reason, `${place}/${error.detail ?? ""}`);
	}
}

function small(bytes: number): Codec<number> {
	const max = 2 ** (8 * bytes) - 1;
	return {
		read: (json) =>
			typeof json === "number" && json <= max ? json : malformed(`an integer up to ${max} expected`),
		write: (value, out) => out.integer(value, bytes),
	};
}

export const u8 = small(1);
export const u32 = small(4);

export const u64: Codec<bigint> = {
	read: (json) => (typeof json === "number" ? BigInt(json) : malformed("an integer expected")),
	write: (value, out) => out.u64(value),
};

export const bool: Codec<boolean> = {
	read: (json) => (typeof json === "boolean" ? json : malformed("true or false expected")),
	write: (value, out) => out.u8(Number(value)),
};

/** UTF-8 text of at most so many bytes. */
export function text(max: number): Codec<string> {
	return {
		read: (json) => {
			if (typeof json !== "string") return malformed("a text expected");
			return json.length <= max && utf8ToBytes(json).length <= max ? json : malformed(`more than ${max} bytes`);
		},
		write: (value, out) => out.vector(utf8ToBytes(value)),
	};
}

/** An amount of u128: a string of decimal digits in JSON. */
export const amount: Codec<bigint> = {
	read: (json) => {
		const value = typeof json === "string" && /^(?:0|[1-9][0-9]{0,38})$/.test(json) ? BigInt(json) : null;
		return value !== null && value < 1n << 128n ? value : malformed("an amount in decimal digits expected");
	},
	write: (value, out) => out.integer(value, 16),
};

/** A fixed number of bytes: hex digits in JSON. */
export function fixed(length: number): Codec<Uint8Array> {
	return {
		read: (json) => {
			const bytes = typeof json === "string" && json.length <= 2 * length + 2 ? fromHex(json) : null;
			return bytes?.length === length ? bytes : malformed(`${2 * length} hex digits expected`);
		},
		write: (value, out) => out.bytes(value),
	};
}

export const hash32 = fixed(32);

/** At most so many bytes: hex digits in JSON. */
export function blob(max: number): Codec<Uint8Array> {
	return {
		read: (json) => {
			const bytes = typeof json === "string" && json.length <= 2 * max + 2 ? fromHex(json) : null;
			return bytes !== null && bytes.length <= max ? bytes : malformed(`at most ${max} bytes in hex digits expected`);
		},
		write: (value, out) => out.vector(value),
	};
}

export const account: Codec<Uint8Array> = {
	read: (json) => (typeof json === "string" ? readAccount(json) : null) ?? malformed("an account expected"),
	write: (value, out) => out.bytes(value),
};

/** At most so many items. */
export function list<T>(item: Codec<T>, max: number): Codec<T[]> {
	return {
		read: (json) => {
			if (!Array.isArray(json)) return malformed("a list expected");
			if (json.length > max) return malformed(`more than ${max} items`);
			return json.map((value, i) => within(i, () => item.read(value)));
		},
		write: (values, out) => {
			out.compact(values.length);
			for (const value of values) item.write(value, out);
		},
	};
}

/** Something whose field is missing if there is nothing. It is in files only, not on chains. */
export function optional<T>(item: Codec<T>): Codec<T | null> & { absent: null } {
	return { read: item.read, write: option(item).write, absent: null };
}

/** Something or null. */
export function option<T>(item: Codec<T>): Codec<T | null> {
	return {
		read: (json) => (json === null ? null : item.read(json)),
		write: (value, out) => {
			out.u8(Number(value !== null));
			if (value !== null) item.write(value, out);
		},
	};
}

/** Fields in the order in which SCALE has them. JSON may have them in any order, and no others. */
export function struct<F extends Record<string, Codec<any>>>(fields: F): Codec<{ [K in keyof F]: Of<F[K]> }> {
	type T = { [K in keyof F]: Of<F[K]> };
	const names: (keyof F & string)[] = Object.keys(fields);
	return {
		read: (json) => {
			if (!(json instanceof Map)) return malformed("an object expected");
			for (const key of json.keys()) {
				if (!Object.hasOwn(fields, key)) malformed(`unknown field ${JSON.stringify(key.slice(0, 64))}`);
			}
			const value: Partial<T> = {};
			for (const name of names) {
				const field: Codec<T[typeof name]> = fields[name]!;
				const given = json.get(name);
				if (given !== undefined) value[name] = within(name, () => field.read(given));
				else if (field.absent !== undefined) value[name] = field.absent;
				else malformed(`no field \`${name}\``);
			}
			return value as T;
		},
		write: (value, out) => {
			for (const name of names) fields[name]!.write(value[name], out);
		},
	};
}

/** One of some names: a string in JSON, its position in SCALE. */
export function oneOf<const N extends string>(...names: N[]): Codec<N> {
	return {
		read: (json) =>
			names.find((name) => name === json) ?? malformed(`one of ${names.join(", ")} expected`),
		write: (value, out) => out.u8(names.indexOf(value)),
	};
}

type Variants = Record<string, Codec<any> | null>;
/** A variant with its name, and its value if it has one. */
export type Variant<V extends Variants> = {
	[K in keyof V]: V[K] extends Codec<infer T> ? { kind: K; value: T } : { kind: K };
}[keyof V];

/** One of some variants, in the order of their SCALE positions. In JSON a string, or an object of one field. */
export function oneVariant<V extends Variants>(variants: V): Codec<Variant<V>> {
	const names = Object.keys(variants);
	return {
		read: (json) => {
			const single = json instanceof Map && json.size === 1 ? [...json][0]! : [json, undefined];
			const [name, inner] = single;
			const known = typeof name === "string" && Object.hasOwn(variants, name);
			const codec = known ? variants[name]! : undefined;
			if (!known || (codec === null) !== (inner === undefined)) return malformed(`one of ${names.join(", ")} expected`);
			const value = codec ? { kind: name, value: within(name, () => codec.read(inner as Json)) } : { kind: name };
			return value as Variant<V>;
		},
		write: (value, out) => {
			const kind = value.kind as string;
			out.u8(names.indexOf(kind));
			variants[kind]?.write((value as { value: unknown }).value, out);
		},
	};
}

/** Returns the SCALE form. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
	const out = new Writer();
	codec.write(value, out);
	return out.end();
}

/** Returns whether two values have the same SCALE form, so are the same. */
export function same<T>(codec: Codec<T>, one: T, other: T): boolean {
	const [a, b] = [encode(codec, one), encode(codec, other)];
	return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
