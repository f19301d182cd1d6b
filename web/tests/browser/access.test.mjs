// The page for everybody: narrow and wide, light and dark, with the keyboard alone, and read aloud.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { ask, check, close, noBrowser, open, ready, save, start } from '../support/page.mjs';

/// These run beside other tests, so what is waited for may take its time.
const LIMIT = { timeout: 600_000, skip: noBrowser };
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const PLACES = ['ask', 'models', 'providers', 'jobs', 'check'];
/// Where pictures for the documents go, if they are wanted: ASSAY_SCREENSHOTS=1.
const PICTURES = process.env.ASSAY_SCREENSHOTS && fileURLToPath(new URL('../../../docs/img', import.meta.url));
let world;
let file;

before(async () => {
	if (noBrowser) return;
	world = await start();
	const tab = await open(world);
	await ask(tab.page, 'What is a receipt?');
	await picture(tab.page, 'page-ask');
	file = await save(tab.page);
	await close(tab);
}, { timeout: 600_000 });
after(() => world?.stop());

async function picture(page, name) {
	if (!PICTURES) return;
	mkdirSync(PICTURES, { recursive: true });
	await page.evaluate(() => {
		document.activeElement?.blur();
		scrollTo(0, 0);
	});
	await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true, clip: await shown(page) });
}

/// Returns the part of the page that a picture shows: the top of it.
async function shown(page) {
	const { width } = page.viewportSize();
	const height = await page.evaluate(() => document.documentElement.scrollHeight);
	return { x: 0, y: 0, width, height: Math.min(height, 1000) };
}

/// Waits until a place shows what it reads from the chain.
async function settled(page, place) {
	const shows = { ask: '.quote', models: 'article', providers: 'article', jobs: 'tbody tr', check: '#file' };
	await page.locator(shows[place]).first().waitFor({ timeout: 120_000 });
}

/// Returns what axe finds wrong that hinders people.
async function violations(page) {
	if (!(await page.evaluate(() => 'axe' in window))) {
		// Through the debugger, because the page's policy allows no script of others.
		const { readFileSync } = await import('node:fs');
		await page.evaluate(readFileSync(AXE, 'utf8'));
	}
	const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
	return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}

const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

for (const width of [320, 360, 768, 1280]) {
	for (const scheme of ['light', 'dark']) {
		test(`${width} px, ${scheme}: everything fits and axe finds nothing`, LIMIT, async () => {
			const tab = await open(world, { width, scheme, height: 800 });
			const { page } = tab;
			const { job } = JSON.parse(file).receipt;
			for (const place of PLACES) {
				await page.goto(`${world.server.url}/#/${place}`);
				await settled(page, place);
				assert.ok((await overflow(page)) <= 0, `${place} is wider than the window`);
				assert.deepEqual(await violations(page), [], place);
			}
			assert.equal(await check(page, file), 'FINAL');
			assert.ok((await overflow(page)) <= 0, 'a checked receipt is wider than the window');
			assert.deepEqual(await violations(page), [], 'a checked receipt');
			if (width === 1280 && scheme === 'light') await picture(page, 'page-receipt-final');
			if (width === 768 && scheme === 'dark') await picture(page, 'page-dark');
			const changed = file.replace(/"text": *"/, (found) => `${found}Not `);
			assert.equal(await check(page, changed, 'changed.json'), 'UNVERIFIABLE');
			assert.deepEqual(await violations(page), [], 'a refused receipt');
			if (width === 1280 && scheme === 'light') await picture(page, 'page-receipt-refused');
			await page.goto(`${world.server.url}/#/jobs/${job}`);
			await page.getByTestId('answer').waitFor({ timeout: 120_000 });
			assert.ok((await overflow(page)) <= 0, 'a job is wider than the window');
			assert.deepEqual(await violations(page), [], 'a job');
			if (width === 360 && scheme === 'light') await picture(page, 'page-phone');
			await close(tab);
		});
	}
}

/// Presses Tab until an element has the focus; fails if it is not reached, or if the focus cannot be seen on the way.
async function tabTo(page, selector) {
	for (let i = 0; i < 60; i++) {
		await page.keyboard.press('Tab');
		const at = await page.evaluate((wanted) => {
			const focused = document.activeElement;
			const { outlineStyle, outlineWidth } = getComputedStyle(focused);
			return { found: focused.matches(wanted), name: focused.outerHTML.slice(0, 80), outline: `${outlineStyle} ${outlineWidth}` };
		}, selector);
		assert.match(at.outline, /^(solid|auto) [1-9]/, `the focus on ${at.name} cannot be seen`);
		if (at.found) return;
	}
	assert.fail(`Tab does not reach ${selector}`);
}

test('with the keyboard alone a question is asked and its receipt is checked', LIMIT, async () => {
	const tab = await open(world);
	const { page } = tab;
	await page.locator('#model option').first().waitFor({ state: 'attached', timeout: 120_000 });
	await page.keyboard.press('Tab');
	assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
	await page.keyboard.press('Enter');
	await tabTo(page, '#question');
	await page.keyboard.type('What is a verifier?');
	await tabTo(page, '#tokens');
	await page.keyboard.press('ArrowDown');
	await ready(page);
	await tabTo(page, 'button[type=submit]');
	await page.keyboard.press('Enter');
	await page.locator('button:has-text("Check the receipt")').waitFor({ timeout: 240_000 });
	// The focus follows the request to its job.
	await tabTo(page, 'section[aria-label="Receipt file"] button.second');
	await page.keyboard.press('Enter');
	await page.getByTestId('outcome').waitFor({ timeout: 120_000 });
	assert.equal(await page.evaluate(() => document.activeElement.textContent), 'FINAL');
	await close(tab);
});

test('what happens is announced, and every state has a word', LIMIT, async () => {
	const tab = await open(world);
	const { page } = tab;
	await page.evaluate(() => {
		window.announced = [];
		new MutationObserver(() => {
			const text = document.querySelector('[aria-live=polite].hidden')?.textContent;
			if (text && window.announced.at(-1) !== text) window.announced.push(text);
		}).observe(document.body, { childList: true, subtree: true, characterData: true });
	});
	await ask(page, 'Who is drawn?');
	const announced = (await page.evaluate(() => window.announced)).join('\n');
	for (const stage of ['Published', 'Verdict', 'Finalized']) assert.match(announced, new RegExp(`^${stage}`, 'm'));
	for (const badge of await page.locator('.badge').all()) assert.match(await badge.textContent(), /\w{3,}/);
	await close(tab);
});
