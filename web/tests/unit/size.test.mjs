// The built page is small without its light client, which is loaded only when it is chosen.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { test } from 'node:test';

const LIMIT = 250 * 1024;
const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const LIGHT_CLIENT = /(^|\/)(smoldot_worker|light)-/;

test('the page has at most 250 KB gzipped without the light client', (t) => {
	const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
	const sizes = files.map(({ parentPath, path, name }) => [name, gzipSync(readFileSync(join(parentPath ?? path, name)), { level: 9 }).length]);
	const sum = (which) => sizes.filter(([name]) => LIGHT_CLIENT.test(name) === which).reduce((all, [, size]) => all + size, 0);
	t.diagnostic(`page: ${(sum(false) / 1024).toFixed(1)} KB gzipped; light client: ${(sum(true) / 1024).toFixed(1)} KB`);
	assert.ok(sum(false) > 10_000, 'the page is built');
	assert.ok(sum(true) > 1_000_000, 'the light client is in files of its own');
	assert.ok(sum(false) <= LIMIT, sizes.join('\n'));
});

test('the first load names neither the light client nor anything elsewhere', () => {
	const html = readFileSync(join(dist, 'index.html'), 'utf8');
	assert.doesNotMatch(html, /smoldot|light-/);
	assert.doesNotMatch(html, /https?:\/\//);
});
