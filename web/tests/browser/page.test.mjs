// The page in a real browser before a real chain: asks, receives, checks, and refuses what was changed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask, check, close, noBrowser, open, ready, save, start } from '../support/page.mjs';

const LIMIT = { timeout: 300_000, skip: noBrowser };
const SYNC_LIMIT = 10_000;
const CHECK_LIMIT = 300;
let world;
let file;

before(async () => {
	if (!noBrowser) world = await start();
}, { timeout: 180_000 });
after(() => world?.stop());

/// Returns how long the page says that its check took.
const milliseconds = async (page) => Number((await page.locator('.outcome .note').textContent()).match(/in (\d+) ms/)[1]);

/// Replaces something in what nodes answer on connections that the page opens from now on.
const lie = (page, from, to) => page.evaluate(([from, to]) => {
	window.HonestSocket ??= WebSocket;
	window.WebSocket = class extends window.HonestSocket {
		set onmessage(take) {
			super.onmessage = ({ data }) => take({ data: data.replace(from, to) });
		}
	};
}, [from, to]);

test('a question becomes an answer whose receipt the page verifies', LIMIT, async () => {
	const tab = await open(world);
	const { page } = tab;
	const seen = await ask(page, 'What is a receipt?');
	for (const state of ['streamed', 'unchecked draft', 'checked']) assert.ok(seen.includes(state), `the answer was shown as ${seen} only`);
	assert.equal(await page.locator('.answer .badge').textContent(), 'checked');
	assert.ok((await page.getByTestId('answer').textContent()).length > 10);
	const words = await page.locator('.stages .word').allTextContents();
	assert.deepEqual(words, ['done', 'done', 'done', 'done', 'done']);
	file = await save(page);
	assert.equal(JSON.parse(file).format, 5);
	const { receipt, input } = JSON.parse(file);
	const lies = [
		[`"job":"${receipt.job}"`, `"job":"0x${'00'.repeat(32)}"`, 'it is of another job'],
		[`"text":${JSON.stringify(input.text)}`, '"text":"What is a verifier?"', 'the question is another'],
	];
	for (const [from, to, words] of lies) {
		await lie(page, from, to);
		await page.click('button:has-text("Save the receipt file")');
		await page.locator('section[aria-label="Receipt file"] .problem', { hasText: words }).waitFor({ timeout: 30_000 });
	}
	await lie(page, '', '');
	await page.click('button:has-text("Check the receipt")');
	await page.getByTestId('outcome').waitFor({ timeout: 60_000 });
	assert.equal(await page.getByTestId('outcome').textContent(), 'FINAL');
	assert.match(await page.locator('main').textContent(), /It is about what you asked.*need not be trusted/);
	await close(tab);
});

test('a changed letter is refused by shape and by words', LIMIT, async (t) => {
	const tab = await open(world, { at: '#/check' });
	const { page } = tab;
	assert.equal(await check(page, file), 'FINAL');
	// The first check compiles its code; a person waits for the second one no less, so both count.
	assert.equal(await check(page, file, 'again.json'), 'FINAL');
	const took = await milliseconds(page);
	t.diagnostic(`verified in ${took} ms`);
	assert.ok(took <= CHECK_LIMIT, `${took} ms`);
	const { output, input } = JSON.parse(file);
	for (const [name, from, part] of [['answer.json', output.text, 'The answer'], ['question.json', input.text, 'the question']]) {
		const letter = from[0] === 'Z' ? 'Y' : 'Z';
		const changed = file.replace(JSON.stringify(from), JSON.stringify(letter + from.slice(1)));
		assert.notEqual(changed, file);
		assert.equal(await check(page, changed, name), 'UNVERIFIABLE');
		const said = await page.locator('.outcome').textContent();
		assert.match(said, new RegExp(`${part.split(' ')[1]} is not the one`), said);
		assert.match(said, /What to do: Do not trust this file/);
		assert.equal(await page.locator('[data-step=contents] .word').textContent(), 'fails');
		assert.equal(await page.locator('[data-step=contents] .shape.bad').count(), 1);
	}
	await close(tab);
});

test('evidence that was changed, cut or left out is never FINAL', LIMIT, async () => {
	const tab = await open(world, { at: '#/check' });
	const { page } = tab;
	const change = (edit) => {
		const json = JSON.parse(file);
		edit(json.finality, json);
		return JSON.stringify(json);
	};
	const flip = (hex) => `${hex.slice(0, -1)}${hex.endsWith('0') ? '1' : '0'}`;
	const cases = {
		header: [(of) => (of.header = flip(of.header)), 'UNVERIFIABLE'],
		signature: [(of) => (of.justification = of.justification.replace(/[0-9a-f]{8}$/, (end) => flip(end))), 'UNVERIFIABLE'],
		set: [(of) => (of.set_id += 1), 'UNVERIFIABLE'],
		state: [(of) => of.state.pop(), 'UNVERIFIABLE'],
		nothing: [(_, json) => delete json.finality, 'NOT FINAL'],
		fee: [(_, json) => (json.receipt.model = `0x${'00'.repeat(32)}`), 'UNVERIFIABLE'],
	};
	for (const [name, [edit, outcome]] of Object.entries(cases)) {
		assert.equal(await check(page, change(edit), `${name}.json`), outcome, name);
	}
	for (const [name, text] of [['empty', ''], ['html', '<script>alert(1)</script>'], ['deep', '['.repeat(100_000)]]) {
		assert.equal(await check(page, text, `${name}.json`), 'UNVERIFIABLE', name);
	}
	await close(tab);
});

test('a check needs no network once the page is open', LIMIT, async () => {
	const tab = await open(world, { at: '#/check' });
	await tab.page.locator('#file').waitFor();
	await tab.page.waitForLoadState('networkidle');
	await tab.context.setOffline(true);
	assert.equal(await tab.page.evaluate(() => navigator.onLine), false);
	// Each check takes a thread of its own, so a second one must not need the server either.
	for (const name of ['first.json', 'second.json', 'third.json']) assert.equal(await check(tab.page, file, name), 'FINAL');
	assert.equal(await check(tab.page, file.replace('"confirmed"', '"unchecked"'), 'forged.json'), 'UNVERIFIABLE');
	await close(tab);
});

test('another anchor is another trust', LIMIT, async () => {
	const tab = await open(world, { at: '#/check' });
	const { page } = tab;
	const config = await (await page.request.get(`${world.server.url}/page/config.json`)).json();
	const other = { ...config.anchor, authorities: [{ key: `0x${'11'.repeat(32)}`, weight: 1 }] };
	await page.locator('summary').first().click();
	await page.setInputFiles('#anchor', { name: 'other.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(other)) });
	await page.getByText('the anchor of the file other.json').waitFor();
	assert.equal(await check(page, file), 'UNVERIFIABLE');
	await page.click('button:has-text("Use the server’s anchor")');
	await page.getByText('as the server of this page has it').waitFor();
	assert.equal(await check(page, file, 'again.json'), 'FINAL');
	await close(tab);
});

test('texts of others are text', LIMIT, async () => {
	const tab = await open(world);
	const { page } = tab;
	const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
	await ask(page, evil);
	await page.click('.card:has(#job) summary');
	assert.ok((await page.locator('.card:has(#job)').textContent()).includes(evil));
	const html = file.replace(/"text": *"/, (found) => `${found}<img src=x onerror='document.title=3'>`);
	await page.goto(`${world.server.url}/#/check`);
	assert.equal(await check(page, html), 'UNVERIFIABLE');
	assert.equal(await page.locator('main img, main script').count(), 0);
	assert.match(await page.title(), /Assay/);
	await close(tab);
});

test('what the chain would refuse is named before it is signed', LIMIT, async () => {
	const tab = await open(world);
	const { page } = tab;
	await page.fill('#question', 'x'.repeat(60_000));
	const problem = page.locator('.quote .problem');
	await problem.waitFor({ timeout: 30_000 });
	assert.match(await problem.textContent(), /InputTooLong: .*shorter/);
	assert.equal(await page.locator('button:has-text("Sign and ask")').isDisabled(), true);
	await close(tab);
});

test('the light client syncs in ten seconds, asks, and gets a receipt', LIMIT, async (t) => {
	const tab = await open(world, { by: 'light' });
	const { page } = tab;
	const begin = Date.now();
	await page.locator('[data-testid=reach] .badge.good').waitFor({ timeout: 60_000 });
	const whole = Date.now() - begin;
	const [synced] = await page.evaluate(() => performance.getEntriesByName('assay-light-client-synced').map(({ duration }) => duration));
	t.diagnostic(`light client synced in ${Math.round(synced)} ms, the page was connected after ${whole} ms`);
	assert.ok(synced <= SYNC_LIMIT, `${synced} ms`);
	await ask(page, 'Who pays whom?');
	const light = await save(page);
	await page.goto(`${world.server.url}/#/check`);
	assert.equal(await check(page, light), 'FINAL');
	await page.goto(`${world.server.url}/#/models`);
	await page.locator('article').first().waitFor({ timeout: 30_000 });
	await close(tab);
});

test('jobs are listed and found by their name, and providers by their stake', LIMIT, async () => {
	const tab = await open(world, { at: '#/jobs' });
	const { page } = tab;
	const { job } = JSON.parse(file).receipt;
	await page.locator(`a[href="#/jobs/${job}"]`).waitFor({ timeout: 30_000 });
	await page.fill('#find', job);
	await page.keyboard.press('Enter');
	await page.getByTestId('answer').waitFor({ timeout: 30_000 });
	await page.fill('#find', '0x12');
	await page.keyboard.press('Enter');
	await page.locator('.problem').waitFor();
	await page.goto(`${world.server.url}/#/providers`);
	await page.locator('article').first().waitFor({ timeout: 30_000 });
	assert.equal(await page.locator('article').count(), 4);
	assert.match(await page.locator('article').first().textContent(), /Stake100 000 ASY/);
	await close(tab);
});

test('a node that cannot be reached is named, with what to do', LIMIT, async () => {
	const tab = await open(world);
	const { page } = tab;
	await ready(await filled(page));
	await page.click('footer summary');
	await page.fill('#node', 'ws://127.0.0.1:9');
	await page.click('footer button:has-text("Connect")');
	await page.locator('main .problem').waitFor({ timeout: 30_000 });
	assert.match(await page.locator('main .problem').textContent(), /cannot be reached\. Check its address/);
	tab.errors.length = 0; // the browser itself reports the refused connection
	await close(tab);
});

async function filled(page) {
	await page.fill('#question', 'What is a provider?', { timeout: 60_000 });
	return page;
}
