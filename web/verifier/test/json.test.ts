import assert from "node:assert/strict";
import test from "node:test";
import { verify } from "../src/index.js";
import { type Json, readJson } from "../src/json.js";
import { Refusal } from "../src/refusal.js";
import { golden, signed } from "./forge.js";

/** Returns the plain form, for comparison with `JSON.parse`. */
function plain(json: Json): unknown {
	if (json instanceof Map) return Object.fromEntries([...json].map(([key, value]) => [key, plain(value)]));
	return Array.isArray(json) ? json.map(plain) : json;
}

const isRefused = (error: unknown) => error instanceof Refusal && error.reason === "not_json";

test("strict JSON is read as JSON.parse reads it", () => {
	const texts = [
		"{}", "[]", " [ 1 , 2,3 ]\r\n\t", '""', '"\\u0041\\n\\"\\\\\\/\\b\\f\\r\\t"', '"\u2028\u2029\u007f"', '"\\ud83d\\ude00"',
		'"😀"', "0", "10", "9007199254740991", "true", "false", "null", '{"":{"a":[{}]}}', '{"\\u0061":1}', '{"toString":1}',
		'"\\u0000"', '"\uffff\ufeff"', golden("settled"), golden("contested"),
	];
	for (const text of texts) assert.deepEqual(plain(readJson(text)), JSON.parse(text), text);
	assert.deepEqual([...(readJson('{"__proto__":{"x":1}}') as Map<string, Json>).keys()], ["__proto__"]);
	assert.ok(!("x" in {}));
});

test("everything else is refused", () => {
	const texts = [
		"", " ", "{", "[", "{}}", "[1,]", "[,1]", "[1 2]", '{"a":1,}', "{a:1}", "{'a':1}", '{"a"}', '{"a":}', "nul", "nulll",
		"True", "NaN", "Infinity", "undefined", "01", "00", "-0", "-1", "+1", "1.", ".5", "1.0", "1e2", "1E2", "1e-2", "0x1",
		"9007199254740992", "18446744073709551615", "18446744073709551616", "1_0", "0n", "1".repeat(400),
		'"', '"\\"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\n"', '"\t"', '"\u0000"', '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"',
		'"\ud800"', '"\\ude00\\ud83d"', "\ufeff{}", "{}\u0000", "{}\u00a0", "\u2028{}", "\v{}", "// c\n{}", "/**/{}",
		'{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"__proto__":1,"__proto__":2}', '{"\\ud800":1}', "[1][2]", "1 2",
	];
	for (const text of texts) assert.throws(() => readJson(text), isRefused, JSON.stringify(text));
});

test("32 levels are read and 33 are not", () => {
	const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
	assert.ok(Array.isArray(readJson(nested(32))));
	assert.throws(() => readJson(nested(33)), isRefused);
	assert.throws(() => readJson("[".repeat(8 << 20)), isRefused);
	assert.throws(() => readJson('{"a":'.repeat(1 << 20)), isRefused);
});

test("what has too many values is refused before it fills the memory", () => {
	const most = 1 << 20;
	assert.ok(Array.isArray(readJson(`[${"0,".repeat(most - 1)}0]`)));
	assert.ok(readJson(`["${",".repeat(most)}"]`));
	const maps = `[${"{},".repeat(most / 2)}0]`;
	const keys = `{${Array.from({ length: most / 2 + 1 }, (_, i) => `"${i}":0`).join()}}`;
	for (const text of [`[${"0,".repeat(most)}0]`, maps, keys]) {
		assert.throws(() => readJson(text), (error) => isRefused(error) && /more than 1048576 values/.test(String(error)));
	}
});

test("the longest files take no longer than their length", () => {
	const size = 8 * 1024 * 1024;
	const fill = (begin: string, part: string, end: string) =>
		begin + part.repeat(Math.floor((size - begin.length - end.length) / part.length)) + end;
	const texts = [
		fill('["', "\\u0041", '"]'), fill("[", "0,", "0]"), fill("[", "[],", "0]"), fill("", " ", "0"), fill("[", "9", "]"),
		fill('["', "\\\\", '"]'), fill('["', "a", '"]'), fill('["', "😀".repeat(1), '"]').slice(0, size / 4), fill('{"a":"0x', "0", '"}'),
		`{${Array.from({ length: 400_000 }, (_, i) => `"${i}":0`).join()}}`, fill('{"format":5,"finality":{"state":[', '"0x",', '"0x"]}}'),
		golden("settled").replace('"40000000000000000"', fill('"', "0", '"').slice(0, 4 << 20).concat('"')),
		golden("settled").replace(/"requester": "/, fill('"requester": "', "1", "").slice(0, 4 << 20)),
	];
	const drafts = signed("settled", [Array.from({ length: 350_000 }, () => ({ id: 0, text: "" }))]);
	texts.push(JSON.stringify(drafts));
	for (const text of texts) {
		// The time of the processor: other processes may keep it busy.
		const begin = process.cpuUsage();
		const report = verify(text, null, { now: 0 });
		const took = process.cpuUsage(begin).user / 1000;
		assert.notEqual(report.outcome, "FINAL");
		assert.ok(took < 5_000, `${text.slice(0, 20)}… took ${took} ms`);
	}
});

test("a file is too long by its bytes in UTF-8", () => {
	const short = { now: 0 };
	assert.equal(verify(" ".repeat((8 << 20) + 1), null, short).reason, "too_long");
	assert.equal(verify("é".repeat((4 << 20) + 1), null, short).reason, "too_long");
	assert.equal(verify(new Uint8Array((8 << 20) + 1), null, short).reason, "too_long");
	assert.equal(verify(" ".repeat(8 << 20), null, short).reason, "not_json");
	assert.equal(verify("\ud800", null, short).reason, "not_json");
});

test("bytes are read as UTF-8 and nothing else", () => {
	const text = golden("settled");
	const bytes = new TextEncoder().encode(text);
	assert.deepEqual(verify(bytes, null, { now: 0 }), verify(text, null, { now: 0 }));
	for (const bad of [[0xef, 0xbb, 0xbf, ...bytes], [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xff, 0xfe, 0x7b, 0]]) {
		assert.equal(verify(Uint8Array.from(bad), null, { now: 0 }).reason, "not_json");
	}
});

test("there is one way to write each value", () => {
	const text = golden("settled");
	const refusedAs = (reason: string, from: string | RegExp, to: string) => {
		const changed = text.replace(from, to);
		assert.notEqual(changed, text, String(from));
		assert.equal(verify(changed, null, { now: 0 }).reason, reason, `${from} ${to}`);
	};
	for (const format of ["3", "6", "0", "40"]) refusedAs("format", /5/, format);
	for (const format of ['"5"', "null", "[5]", "true"]) refusedAs("malformed", /5/, format);
	refusedAs("malformed", '"format": 5,', "");
	refusedAs("malformed", "{", '{"note": 1,');
	refusedAs("malformed", "{", '{"__proto__": {"format": 5},');
	refusedAs("malformed", "{", '{"constructor": 1,');
	refusedAs("malformed", "{", '{"finality": null,');
	refusedAs("malformed", "{", '{"stream": null,');
	refusedAs("malformed", "0x0707", "0707");
	refusedAs("malformed", "0xbb6f", "0xBB6F");
	refusedAs("malformed", "0x0707", "0X0707");
	refusedAs("malformed", "0x07", "0x");
	refusedAs("malformed", '"fee": "6370000000"', '"fee": "06370000000"');
	refusedAs("malformed", '"fee": "6370000000"', '"fee": 6370000000');
	refusedAs("malformed", '"fee": "6370000000"', '"fee": ""');
	refusedAs("malformed", '"fee": "6370000000"', `"fee": "${(1n << 128n).toString()}"`);
	refusedAs("inconsistent", '"stake": "40000000000000000"', `"stake": "${((1n << 128n) - 1n).toString()}"`);
	refusedAs("malformed", '"confirmed"', '{"confirmed": null}');
	refusedAs("malformed", '"verdict": "confirmed"', '"verdict": {"refunded": "no_output", "x": 1}');
	refusedAs("malformed", '"verdict": "confirmed"', '"verdict": {}');
	refusedAs("malformed", '"verdict": "confirmed"', '"verdict": "refunded"');
	refusedAs("malformed", '"verdict": "confirmed"', '"verdict": "toString"');
	refusedAs("malformed", '"verdict": "confirmed"', '"verdict": {"toString": 1}');
	refusedAs("malformed", '"dispute": null,', "");
	refusedAs("malformed", '"listing": 7', '"listing": 4294967296');
	refusedAs("malformed", '"attempts": 1', '"attempts": 256');
	refusedAs("malformed", /"requester": "[^"]*"/, `"requester": "0x${"07".repeat(32)}"`);
	refusedAs("malformed", /"requester": "[^"]*"/, '"requester": "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"');
	refusedAs("malformed", /"requester": "5C6/, '"requester": "5C7');
	refusedAs("malformed", /"read_at": \{[^}]*\}/, '"read_at": [400, "0x0303030303030303030303030303030303030303030303030303030303030303", true]');
	refusedAs("malformed", /"tokens": \[/, `"tokens": [${"1,".repeat(4096)}`);
	refusedAs("malformed", '"text": "What', `"text": "${"x".repeat(65_536)}What`);
});
