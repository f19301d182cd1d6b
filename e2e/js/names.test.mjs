// Every name that the documents give for something on the chain is in the runtime's metadata, and what a list promises to be
// all is all. Needs no node: cli/metadata.scale is the runtime's.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Metadata, TypeRegistry } from '@polkadot/types';
import { u8aToHex } from '@polkadot/util';
import { blocks, documents, path, prose, quoted, read, rows } from './support/documents.mjs';

const registry = new TypeRegistry();
const stored = new Metadata(registry, u8aToHex(readFileSync(path('cli/metadata.scale'))));
registry.setMetadata(stored, undefined, undefined, true);
const { apis, pallets } = stored.asLatest;
const guide = read('docs/dapp.md');

const named = (list, name) => list.find((entry) => entry.name.toString() === name);
const names = (list) => list.map((entry) => entry.name.toString());
const typeDef = (id) => registry.lookup.getSiType(id).def;
/// Returns the variants of a pallet's calls, events or errors.
const variants = (pallet, kind) => {
	const type = named(pallets, pallet)[kind];
	return type.isSome ? [...typeDef(type.unwrap().type).asVariant.variants] : [];
};
/// Returns the names of the variants of one of `assay_primitives`' types.
const variantsOf = (name) => {
	const { id } = registry.lookup.types.find(({ type }) => /^assay_primitives.*::/.test(type.path.join('::')) && type.path.at(-1)?.toString() === name);
	return names(typeDef(id).asVariant.variants);
};
const call = named(variants('Jobs', 'calls'), 'request');
const params = names(typeDef(named(call.fields, 'params').type).asComposite.fields);

for (const pallet of ['Jobs', 'Verification']) {
	const section = pallet.toLowerCase();
	test(`the table of errors has all of ${section} and no other`, () => {
		const halves = rows(guide, 'n', `\`${section}\``).flatMap(([n, name, , m, other]) => [`${n} ${name}`, `${m} ${other}`]);
		const actual = variants(pallet, 'errors').map(({ index, name }) => `${index} \`${name}\``);
		assert.deepEqual(halves.filter((half) => half.trim()).sort(), actual.sort());
	});
	test(`the table of events has all of ${section} and no other`, () => {
		const listed = rows(guide, `\`${section}\``).flatMap(([cell]) => quoted(cell));
		assert.deepEqual(listed.sort(), names(variants(pallet, 'events')).sort());
	});
}

test('the tables of states and verdicts have all of them', () => {
	assert.deepEqual(rows(guide, 'state').flatMap(([cell]) => quoted(cell)), variantsOf('State'));
	const verdicts = rows(guide, 'verdict');
	assert.deepEqual(verdicts.flatMap(([cell]) => quoted(cell)).sort(), variantsOf('Verdict').sort());
	const [, reasons] = verdicts.find(([cell]) => cell === '`Refunded`');
	assert.deepEqual(quoted(reasons).sort(), variantsOf('RefundReason').sort());
});

test('the views are those of the runtime API, with its arguments', () => {
	const { methods } = named(apis, 'AssayApi');
	const actual = methods.map(({ inputs, name }) => `${name}(${names(inputs).join(', ')})`);
	const listed = [...guide.matchAll(/^- `(\w+\([\w, ]*\))`:/gm)].map(([, view]) => view).filter((view) => !view.startsWith('assay_'));
	assert.deepEqual(listed.sort(), actual.sort());
});

test('a request takes the arguments that the guide names', () => {
	assert.ok(guide.includes(`\`jobs.request(${names(call.fields).join(', ')})\``));
	const listed = rows(guide, 'argument').flatMap(([cell]) => quoted(cell));
	const expected = names(call.fields).flatMap((name) => (name === 'params' ? params.map((field) => `params.${field}`) : [name]));
	assert.deepEqual(listed.sort(), expected.sort());
});

test('the limits in the guide are the constants of the runtime', () => {
	const constant = (pallet, name) => {
		const { type, value } = named(named(pallets, pallet).constants, name);
		return registry.createType(registry.createLookupType(type), value.toU8a(true));
	};
	const limit = (row) => guide.match(new RegExp(`^\\| ${row} \\| (.*) \\|$`, 'm'))?.[1] ?? assert.fail(`no limit: ${row}`);
	const { maxWaitingJobs, queueBlocks, retention } = constant('Jobs', 'Params');
	const blockSeconds = constant('Babe', 'ExpectedBlockTime').toNumber() / 1000;
	const days = (retention.toNumber() * blockSeconds) / 86_400;
	assert.match(limit('blocks'), new RegExp(`^${blockSeconds} s;`));
	assert.match(limit('waiting for an executor'), new RegExp(`^${queueBlocks.toNumber()} blocks,`));
	assert.equal(limit('requests that wait').replaceAll(' ', ''), maxWaitingJobs.toString());
	assert.match(limit('receipts stay'), new RegExp(`^${days} days after`));
	assert.ok(guide.includes(`SS58 prefix ${constant('System', 'SS58Prefix')}`));
});

// A call, event, error, entry or constant as it is written in Rust, in polkadot.js or in a sentence.
const plain = (name) => name.replaceAll('_', '').toLowerCase();
const known = new Map(
	pallets.map((pallet) => {
		const of = pallet.name.toString();
		const items = ['calls', 'events', 'errors'].flatMap((kind) => names(variants(of, kind)));
		if (pallet.storage.isSome) items.push(...names(pallet.storage.unwrap().items));
		items.push(...names(pallet.constants));
		return [plain(of), new Set(items.map(plain))];
	}),
);

test('every event that the guide names exists', () => {
	const events = ['Jobs', 'Verification', 'Payments', 'Providers'].flatMap((pallet) => names(variants(pallet, 'events')));
	const shown = quoted(guide.match(/^## Events$[\s\S]*?(?=^## )/m)[0]).filter((name) => /^[A-Z]\w+$/.test(name));
	assert.ok(shown.length > 20);
	assert.deepEqual(shown.filter((name) => !events.includes(name)), []);
});

for (const name of documents()) {
	test(`what ${name} names of a pallet exists`, () => {
		const unknown = [];
		for (const code of [...quoted(prose(read(name))), ...blocks(read(name), 'js')]) {
			for (const [, pallet, item] of code.matchAll(/(?<![\w.:-])(?:api\.\w+\.)?(\w+)\.(\w+)/g)) {
				const items = known.get(plain(pallet));
				if (items && !/^(rs|md|js|mjs|json|toml|sh|png|svg)$/.test(item) && !items.has(plain(item))) unknown.push(`${pallet}.${item}`);
			}
		}
		assert.deepEqual(unknown, []);
	});
}

test('the packages that the documents install are those that the tests use', () => {
	const { dependencies } = JSON.parse(read('e2e/js/package.json'));
	for (const name of documents()) {
		for (const line of blocks(read(name), 'sh').join('').split('\n').filter((text) => text.startsWith('npm install '))) {
			for (const wanted of line.split(' ').slice(2)) {
				const [, packed, version] = wanted.match(/^(@?[^@]+)@(.+)$/) ?? assert.fail(`${name}: ${wanted} has no version`);
				assert.equal(version, dependencies[packed], `${name}: ${packed}`);
			}
		}
	}
});
