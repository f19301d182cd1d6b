// A real chain, `assay serve` before it, and a real browser on its page.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { eventually, program, startNode } from '../../../e2e/js/support/node.mjs';

const DIST = process.env.ASSAY_PAGE ?? fileURLToPath(new URL('../../dist', import.meta.url));
const NAMES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/// The browser's program, or why there is none.
export const browserPath = process.env.CHROMIUM ?? NAMES.find((path) => existsSync(path));
export const noBrowser = browserPath ? false : 'NOT TESTED: no Chromium is installed here (apt-get install chromium)';

/// Starts `assay serve` before a node. Returns its address and a function that stops it.
async function serve(node) {
	const data = await mkdtemp(join(tmpdir(), 'assay-page-'));
	const args = ['serve', '--url', node.url, '--listen', '127.0.0.1:0', '--data', data, '--page', DIST];
	const child = spawn(program('assay'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
	const kill = () => child.kill('SIGKILL');
	process.once('exit', kill);
	const gone = new Promise((resolve) => child.once('exit', resolve));
	let said = '';
	const url = await new Promise((resolve, reject) => {
		const take = (text) => {
			said += text;
			const found = said.match(/asked at (http:\/\/127\.0\.0\.1:\d+)/);
			if (found) resolve(found[1]);
		};
		child.stdout.on('data', take);
		child.stderr.on('data', take);
		void gone.then(() => reject(new Error(`assay serve exited:\n${said}`)));
	});
	return {
		url,
		async stop() {
			child.kill('SIGINT');
			const late = setTimeout(kill, 15_000);
			await gone;
			clearTimeout(late);
			process.removeListener('exit', kill);
			await rm(data, { recursive: true, force: true });
		},
	};
}

/// Starts a chain, its gateway and a browser.
export async function start() {
	// Browsers reach a peer only by WebSocket.
	const node = await startNode(['--dev', '--enable-offchain-indexing', 'true', '--listen-addr', '/ip4/127.0.0.1/tcp/0/ws']);
	const world = { node, stop: async () => {
		await world.browser?.close();
		await world.server?.stop();
		await node.stop();
	} };
	try {
		world.server = await serve(node);
		// Light clients start once a block is finalized.
		await eventually('a block is finalized', 180, async () => (await fetch(`${world.server.url}/page/chain-spec.json`)).ok);
		world.browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
	} catch (error) {
		await world.stop();
		throw error;
	}
	return world;
}

/// Opens the page in a browser of its own. `by` is how it reaches the chain. What goes wrong in it fails the test: `errors`
/// has every error of its scripts, everything that its policy refused, and every request to somewhere else.
export async function open({ browser, node, server }, { by = 'node', width = 1280, height = 900, scheme = 'light', at = '#/ask' } = {}) {
	const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, acceptDownloads: true });
	const choice = JSON.stringify({ by, url: node.url });
	await context.addInitScript((kept) => localStorage.setItem('assay.connection', kept), choice);
	const page = await context.newPage();
	const errors = [];
	page.on('pageerror', (error) => errors.push(error.message));
	page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
	page.on('request', (request) => {
		const { origin, protocol } = new URL(request.url());
		if (protocol !== 'blob:' && origin !== new URL(server.url).origin) errors.push(`a request to ${request.url()}`);
	});
	page.on('websocket', (socket) => {
		if (new URL(socket.url()).hostname !== '127.0.0.1') errors.push(`a connection to ${socket.url()}`);
	});
	await page.goto(`${server.url}/${at}`);
	return { context, page, errors };
}

/// Waits until the form has a price and an account.
export async function ready(page) {
	await page.locator('#model option').first().waitFor({ state: 'attached', timeout: 120_000 });
	await page.locator('button[type=submit]:has-text("Sign and ask"):enabled').waitFor({ timeout: 60_000 });
}

/// Asks a question and waits until its verdict is finalized. Returns the states of the answer that were seen on the way,
/// `streamed` for a draft that was there before its publication.
export async function ask(page, question) {
	await page.evaluate(() => {
		window.seen = new Set();
		new MutationObserver(() => {
			const badge = document.querySelector('.answer .badge')?.textContent;
			const published = document.querySelector('.stages li:nth-child(3).good');
			if (badge) window.seen.add(badge);
			if (badge && !published && document.querySelector('.answer .text')?.textContent) window.seen.add('streamed');
		}).observe(document.body, { childList: true, subtree: true, characterData: true });
	});
	await page.fill('#question', question);
	await ready(page);
	await page.click('button:has-text("Sign and ask")');
	await page.locator('button:has-text("Save the receipt file")').waitFor({ timeout: 240_000 });
	return page.evaluate(() => [...window.seen]);
}

/// Saves the receipt file of the job that is shown, and returns its text.
export async function save(page) {
	const [download] = await Promise.all([
		page.waitForEvent('download', { timeout: 120_000 }),
		page.click('button:has-text("Save the receipt file")'),
	]);
	const chunks = [];
	for await (const chunk of await download.createReadStream()) chunks.push(chunk);
	return Buffer.concat(chunks).toString();
}

/// Gives the page a receipt file, and returns the outcome when it has another file's or none yet.
export async function check(page, text, name = 'receipt.json') {
	await page.setInputFiles('#file', { name, mimeType: 'application/json', buffer: Buffer.from(text) });
	await page.locator('h2', { hasText: name }).waitFor();
	const outcome = page.getByTestId('outcome');
	await outcome.waitFor({ timeout: 60_000 });
	return outcome.textContent();
}

/// Fails if something went wrong in a page, and closes it.
export async function close({ context, errors }) {
	await context.close();
	assert.deepEqual(errors, []);
}
