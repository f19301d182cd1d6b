// Runs the JavaScript of README.md and docs/dapp.md as it is there, except for the address.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startNode } from './support/node.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const LIMIT = { timeout: 150_000 };

let node;
before(async () => {
	node = await startNode();
}, LIMIT);
after(() => node?.stop());

function run(file) {
	return new Promise((resolve) => {
		execFile(process.execPath, [file], { cwd: here('.'), timeout: 120_000 }, (error, stdout, stderr) =>
			resolve({ error, stdout, stderr }),
		);
	});
}

for (const name of ['README.md', 'docs/dapp.md']) {
	const text = readFileSync(here(`../../${name}`), 'utf8');
	const blocks = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
	test(`${name} shows code`, () => assert.ok(blocks.length > 0));
	blocks.forEach((code, index) => {
		test(`${name}: block ${index + 1} runs`, LIMIT, async () => {
			// Beside this file, so that it finds the packages.
			const file = here(`./.block-${name.replace(/\W/g, '-')}-${index}.mjs`);
			writeFileSync(file, code.replaceAll('ws://127.0.0.1:9944', node.url));
			try {
				const { error, stdout, stderr } = await run(file);
				if (error) assert.fail(`${stdout}\n${stderr}\n${await node.tail()}`);
				assert.ok(stdout.trim().length > 0, 'it prints something');
				assert.ok(!stdout.includes('DOES NOT HOLD'), stdout);
			} finally {
				rmSync(file, { force: true });
			}
		});
	});
}
