/** Random changes of files, from a seed. For tests only. */

/** A small generator of random numbers (mulberry32): a failure can be repeated. */
export class Random {
	constructor(private state: number) {}

	below(limit: number): number {
		this.state = (this.state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
	}

	pick<T>(items: readonly T[]): T {
		return items[this.below(items.length)]!;
	}
}

/** What parsers stumble over. */
const WORDS = [
	'"', "\\", "{", "}", "[", "]", ",", ":", "null", "true", "-", ".", "e9", "0", "9007199254740992", "\\ud800", "\\u0000", "\ufeff",
	'"__proto__":', '"format":4,', '"a":1,', " ", "\u2028", "0x", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "1e400", "-0",
];
const VALUES: unknown[] = [
	null, true, 0, 1, 127, 128, 255, 256, 4294967295, 4294967296, Number.MAX_SAFE_INTEGER, "", "0x", "0", "1", "x", [], {}, [[]],
	"340282366920938463463374607431768211455", "340282366920938463463374607431768211456", { refunded: "no_output" }, "settled",
	"window", "disputed", "auditing", "confirmed", "unverified", "unchecked", "overturned", "approved", "spared", "lapse",
	"false_claim", "false_approval", "upheld", { __proto__: null }, "5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT",
];

/** Changes characters of a text: replaces, inserts, removes or repeats some. */
export function changeText(text: string, random: Random): string {
	const at = random.below(text.length);
	const to = Math.min(text.length, at + 1 + random.below(random.pick([1, 8, 200])));
	const [before, part, after] = [text.slice(0, at), text.slice(at, to), text.slice(to)];
	switch (random.below(5)) {
		case 0: return before + String.fromCharCode(random.below(random.pick([128, 0x10000]))) + text.slice(at + 1);
		case 1: return before + random.pick(WORDS) + text.slice(at);
		case 2: return before + after;
		case 3: return before + part + part + after;
		default: return before;
	}
}

/** Changes values of a file: some leaf, list or map of it. The file itself stays as it is. */
export function changeValue(json: unknown, random: Random): string {
	const copy: any = structuredClone(json);
	for (let times = 1 + random.below(3); times > 0; times--) {
		const [holder, key] = random.pick(places(copy));
		change(holder, key, random);
	}
	return JSON.stringify(copy);
}

type Place = [any, string | number];

function places(value: any): Place[] {
	if (typeof value !== "object" || value === null) return [];
	return Object.keys(value).flatMap((key): Place[] => [[value, key], ...places(value[key])]);
}

function change(holder: any, key: string | number, random: Random): void {
	const value = holder[key];
	// Cloned: a later change must not change what all files take from, nor put it into itself.
	if (random.below(4) === 0) holder[key] = structuredClone(random.pick(VALUES));
	else if (typeof value === "number") holder[key] = Math.max(0, value + random.pick([-2, -1, 1, 2, 200]));
	else if (typeof value === "string" && value.startsWith("0x")) holder[key] = flipDigit(value, random);
	else if (Array.isArray(value)) changeList(value, random);
	// A name that a list gets is not written.
	else if (random.below(2) === 0 || Array.isArray(holder)) delete holder[key];
	else {
		const name = random.pick(["x", "claim", "dispute", "__proto__", "constructor", "accumulator"]);
		Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true });
	}
}

function flipDigit(digits: string, random: Random): string {
	const at = 2 + random.below(Math.max(1, digits.length - 2));
	const flipped = (Number.parseInt(digits[at] ?? "0", 16) ^ (1 << random.below(4))).toString(16);
	return digits.slice(0, at) + flipped + digits.slice(at + 1);
}

function changeList(list: unknown[], random: Random): void {
	const [one, other] = [random.below(list.length + 1), random.below(list.length + 1)];
	switch (random.below(4)) {
		case 0: list.splice(one, 1); break;
		case 1: list.splice(one, 0, structuredClone(list[other])); break;
		case 2: [list[one], list[other]] = [list[other], list[one]]; break;
		default: list.length = Math.min(list.length, one);
	}
}
