/**
 * A strict reader of JSON.
 *
 * `JSON.parse` keeps the last of two equal keys, rounds integers above 2^53 and lets lone surrogates through, and the
 * libraries that replace it accept at least one of these. Two programs that read one file differently can be made to
 * disagree about it, so this one reads each value in one way or refuses it.
 */

import { Refusal } from "./refusal.js";

/** A value. Numbers are integers from 0 to 2^53 - 1. Objects are maps, so that no key has a meaning of its own. */
export type Json = null | boolean | number | string | Json[] | Map<string, Json>;

export const MAX_DEPTH = 32;
/** Most of the characters `[`, `{`, `,` and `:` outside of texts: no file has half as many, and each takes memory. */
const MAX_MARKS = 1 << 20;
const INTEGER = /(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
const ESCAPES: Record<string, string> = {
	'"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
};

/** Reads a text that is one JSON value and nothing else. Refuses every other as `not_json`. */
export function readJson(text: string): Json {
	const parser = new Parser(text);
	const value = parser.value(0);
	parser.end();
	return value;
}

class Parser {
	private at = 0;
	private marks = 0;

	constructor(private readonly text: string) {}

	private fail(what: string): never {
		throw new Refusal("not_json", `${what} at character ${this.at}`);
	}

	/** Skips white space and returns the next character, empty at the end. */
	private next(): string {
		for (;;) {
			const char = this.text.charAt(this.at);
			if (char !== " " && char !== "\n" && char !== "\t" && char !== "\r") return char;
			this.at++;
		}
	}

	/** Goes on behind one of the characters that part values. */
	private mark(): void {
		if (++this.marks > MAX_MARKS) this.fail(`more than ${MAX_MARKS} values`);
		this.at++;
	}

	end(): void {
		if (this.next() !== "") this.fail("something follows the value");
	}

	value(depth: number): Json {
		const char = this.next();
		switch (char) {
			case "{": return this.object(this.below(depth));
			case "[": return this.array(this.below(depth));
			case '"': return this.string();
			case "t": return this.word("true", true);
			case "f": return this.word("false", false);
			case "n": return this.word("null", null);
			default: return this.number();
		}
	}

	private below(depth: number): number {
		if (depth >= MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} levels`);
		this.mark();
		return depth + 1;
	}

	private word<T>(word: string, value: T): T {
		if (!this.text.startsWith(word, this.at)) this.fail("a value expected");
		this.at += word.length;
		return value;
	}

	private object(depth: number): Map<string, Json> {
		const fields = new Map<string, Json>();
		if (this.next() === "}") {
			this.at++;
			return fields;
		}
		do {
			if (this.next() !== '"') this.fail("a key expected");
			const key = this.string();
			if (this.next() !== ":") this.fail("`:` expected");
			this.mark();
			const value = this.value(depth);
			if (fields.has(key)) this.fail(`the key ${JSON.stringify(key.slice(0, 64))} a second time`);
			fields.set(key, value);
		} while (this.goesOn("}"));
		return fields;
	}

	private array(depth: number): Json[] {
		const items: Json[] = [];
		if (this.next() === "]") {
			this.at++;
			return items;
		}
		do items.push(this.value(depth));
		while (this.goesOn("]"));
		return items;
	}

	private goesOn(close: string): boolean {
		const char = this.next();
		if (char !== "," && char !== close) this.fail(`\`,\` or \`${close}\` expected`);
		if (char === ",") this.mark();
		else this.at++;
		return char === ",";
	}

	/** Reads a number: what every reader of JSON keeps exactly. */
	private number(): number {
		INTEGER.lastIndex = this.at;
		const found = INTEGER.exec(this.text)?.[0];
		const value = Number(found);
		if (found === undefined || !Number.isSafeInteger(value)) this.fail("a value, or an integer up to 2^53 - 1, expected");
		this.at += found.length;
		return value;
	}

	private string(): string {
		const parts: string[] = [];
		let from = ++this.at;
		for (;;) {
			const code = this.text.charCodeAt(this.at);
			if (code === 0x22) {
				parts.push(this.text.slice(from, this.at++));
				const read = parts.length === 1 ? parts[0]! : parts.join("");
				if (!isWellFormed(read)) this.fail("half a character");
				return read;
			}
			// NaN, past the end, is not at least a space either.
			if (!(code >= 0x20)) this.fail("a string that does not end, or a control character in it,");
			if (code === 0x5c) {
				parts.push(this.text.slice(from, this.at), this.escape());
				from = this.at;
			} else {
				this.at++;
			}
		}
	}

	private escape(): string {
		const char = this.text.charAt(this.at + 1);
		const digits = this.text.slice(this.at + 2, this.at + 6);
		if (char === "u" && /^[0-9a-fA-F]{4}$/.test(digits)) {
			this.at += 6;
			return String.fromCharCode(Number.parseInt(digits, 16));
		}
		const plain = Object.hasOwn(ESCAPES, char) ? ESCAPES[char] : undefined;
		if (plain === undefined) this.fail("an unknown escape");
		this.at += 2;
		return plain;
	}
}

/** Returns whether every surrogate has its other half. */
export function isWellFormed(text: string): boolean {
	return !/\p{Surrogate}/u.test(text);
}
