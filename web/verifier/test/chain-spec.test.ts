import assert from "node:assert/strict";
import test from "node:test";
import { Twox128 } from "@polkadot-api/substrate-bindings";
import { blake2, concatBytes, hex, utf8ToBytes } from "../src/bytes.js";
import { AUTHORITIES, UNBONDING_PERIOD } from "../src/chain-spec.js";
import { readChainSpec } from "../src/index.js";
import { Refusal } from "../src/refusal.js";
import { Writer } from "../src/scale.js";

/** Returns a specification with so many entries, and the authorities and a program besides. */
function spec(entries: number, more: object = {}): any {
	const top: Record<string, string> = {};
	for (let i = 0; i < entries; i++) {
		const key = hex(blake2(Uint8Array.of(i & 255, i >> 8))).slice(0, 4 + 2 * (i % 32));
		top[key] = hex(new Uint8Array(i % 3 === 0 ? i % 70 : i % 5).fill(i));
	}
	top[hex(AUTHORITIES)] = `0x04${"11".repeat(32)}0100000000000000`;
	top["0x"] = "0x01";
	top["0x3a636f6465"] = hex(new Uint8Array(300_000).fill(7));
	return { name: "Made-up", chainType: "Live", genesis: { raw: { top, childrenDefault: {} } }, ...more };
}

test("places in the state are hashes of their names", () => {
	const hash = (name: string) => Twox128(utf8ToBytes(name));
	assert.equal(hex(AUTHORITIES), hex(concatBytes(hash("Grandpa"), hash("Authorities"))));
	assert.equal(hex(UNBONDING_PERIOD), hex(concatBytes(hash("Providers"), hash("UnbondingPeriod"))));
});

test("block 0 of a specification is the one that the Rust crate computes", () => {
	const known: [number, string][] = [
		[1, "0x8ba4cbb692400b3b132d197aedead10d0facb6e76d75beb998b053cdeb616232"],
		[17, "0x9c74a9ce1e253dc4aceedd6d01196b4af0c158735ce0a2a3fbaae9e1a5b8c499"],
		[2000, "0x4f11ce17e3972536f8c399cad52e259893b432449d55d0dfbd86baa8b91b2b45"],
	];
	for (const [entries, genesis] of known) {
		const anchor = readChainSpec(JSON.stringify(spec(entries)));
		assert.deepEqual([hex(anchor.genesis), hex(anchor.hash), anchor.number, anchor.set_id], [genesis, genesis, 0, 0n]);
		assert.deepEqual([anchor.chain, anchor.time, anchor.max_age], ["Made-up", null, 604_800n]);
		assert.deepEqual(anchor.authorities, [{ key: new Uint8Array(32).fill(0x11), weight: 1n }]);
	}
	for (const chainType of ["Development", "Local"]) {
		assert.equal(readChainSpec(JSON.stringify(spec(1, { chainType }))).max_age, null);
	}
});

test("Polkadot's block 0 follows from the root of its state", () => {
	const stateRootHash = "0x29d0d972cd27cbc511e9589fcb7a4506d5eb6a9e8df205f00472e5ab354a4e17";
	const light = checkpoint(7);
	const anchor = readChainSpec(JSON.stringify({ name: "Polkadot", genesis: { stateRootHash }, lightSyncState: light }));
	assert.equal(hex(anchor.genesis), "0x91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3");
});

test("an anchor is good for as long as the genesis keeps bonds", () => {
	const of = (period: string, more = {}) => {
		const json = spec(1, more);
		json.genesis.raw.top[hex(UNBONDING_PERIOD)] = period;
		return readChainSpec(JSON.stringify(json)).max_age;
	};
	assert.equal(of("0xa0860100"), 300_000n);
	assert.equal(of("0xffffffff"), 3n * 0xffffffffn);
	assert.equal(of("0xa0860100", { chainType: "Local" }), null);
	for (const period of ["0x", "0xa08601", "0xa086010000"]) assert.throws(() => of(period), Refusal);
	// Without the state of block 0 it is not known: it is at least the fewest that a genesis may set.
	const genesis = { stateRootHash: hex(new Uint8Array(32).fill(1)) };
	assert.equal(readChainSpec(JSON.stringify(spec(1, { genesis, lightSyncState: checkpoint(7) }))).max_age, 259_200n);
});

function checkpoint(number: number): object {
	const claim = new Writer().u8(2).u32(3).u64(600_000_000).u32(9).end();
	const out = new Writer().bytes(new Uint8Array(32)).compact(number).bytes(new Uint8Array(64)).compact(2);
	out.u8(6).bytes(utf8ToBytes("BABE")).vector(claim).u8(5).bytes(utf8ToBytes("BABE")).vector(new Uint8Array(64));
	const set = new Writer().compact(1).bytes(new Uint8Array(32).fill(8)).u64(5).u64(12).bytes(Uint8Array.of(0, 0, 0)).end();
	return { finalizedBlockHeader: hex(out.end()), grandpaAuthoritySet: hex(set) };
}

test("a checkpoint goes before block 0", () => {
	const { number, time, set_id, authorities } = readChainSpec(JSON.stringify(spec(3, { lightSyncState: checkpoint(77) })));
	assert.deepEqual([number, time, set_id, authorities[0]?.weight], [77, 1_800_000_000n, 12n, 5n]);
});

test("specifications from which no anchor follows are refused", () => {
	const top = spec(1).genesis.raw.top;
	const bad: unknown[] = [
		"", "{", "[]", "null", "1", {}, { genesis: { runtime: {} } }, { ...spec(1), name: 1 }, { ...spec(1), name: "x".repeat(257) },
		spec(1, { genesis: { raw: { top: { ...top, [hex(AUTHORITIES)]: "0x04" } } } }),
		spec(1, { genesis: { raw: { top: { "0x": "0x01" } } } }), spec(1, { genesis: { raw: { top: { ...top, "0xzz": "0x" } } } }),
		spec(1, { genesis: { raw: { top: { ...top, "0x00": "0x123" } } } }),
		spec(1, { genesis: { raw: { top: { ...top, [`0x${"00".repeat(1025)}`]: "0x" } } } }),
		spec(1, { genesis: { raw: { top, childrenDefault: { "0x00": {} } } } }), spec(1, { genesis: { stateRootHash: "0x12" } }),
		spec(1, { genesis: { stateRootHash: hex(new Uint8Array(32)) } }), spec(1, { lightSyncState: {} }),
		spec(1, { lightSyncState: { ...checkpoint(1), finalizedBlockHeader: "0x00" } }),
		spec(1, { lightSyncState: { ...checkpoint(1), grandpaAuthoritySet: "0x04" } }), spec(1, { lightSyncState: checkpoint(0) }),
	];
	for (const one of bad) {
		const text = typeof one === "string" ? one : JSON.stringify(one);
		assert.throws(() => readChainSpec(text), Refusal, text.slice(0, 100));
	}
	assert.throws(() => readChainSpec(" ".repeat((64 << 20) + 1)), Refusal);
});
