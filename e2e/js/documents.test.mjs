// Runs the JavaScript of the documents as it is there, except for the address: on a chain that answers while others ask too,
// with prompts of all kinds, on a chain that answers nothing, and on one with a council of four.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { stringToHex } from '@polkadot/util';
import { blocks, documents, path, read } from './support/documents.mjs';
import { startNode } from './support/node.mjs';

const LIMIT = { timeout: 400_000 };
const PROMPT = /const prompt = '(.*)';/;
const params = { max_tokens: 64, temperature: 0, top_k: 0, min_p: 0, stop: [] };
const council = ['--chain', 'local', '--alice', '--force-authoring', '--node-key', '1'.padStart(64, '0')];

const code = documents().flatMap((name) => blocks(read(name), 'js').map((text, at) => ({ at: at + 1, name, text })));
const onCouncil = code.filter(({ text }) => text.includes('api.tx.council.'));
const onChain = code.filter((block) => !onCouncil.includes(block));
const asking = code.filter(({ text }) => PROMPT.test(text));

let node, api, others;
before(async () => {
	node = await startNode();
	const signedExtensions = { AuthorizeCall: { extrinsic: {}, payload: {} } };
	api = await ApiPromise.create({ provider: new WsProvider(node.url), noInitWarn: true, signedExtensions });
	others = await askAllTheTime();
}, LIMIT);
after(async () => {
	clearInterval(others);
	await api?.disconnect();
	await node?.stop();
});

/// Has somebody else ask in every block.
async function askAllTheTime() {
	const ferdie = new Keyring({ type: 'sr25519' }).addFromUri('//Ferdie');
	const [model] = await api.call.assayApi.models(null, 1);
	const call = () => api.tx.jobs.request({ Model: model.id }, { Text: stringToHex('What is Assay?') }, params, 0, 1_000_000_000_000n);
	return setInterval(() => call().signAndSend(ferdie, { nonce: -1 }).catch(() => {}), 3000);
}

/// Runs a block against a node. Returns what it prints.
async function run({ at, name, text }, { url, tail }) {
	// Beside this file, so that it finds the packages.
	const file = path(`e2e/js/.block-${name.replace(/\W/g, '-')}-${at}-${Math.random().toString(36).slice(2)}.mjs`);
	writeFileSync(file, text.replaceAll('ws://127.0.0.1:9944', url));
	try {
		const { error, stdout, stderr } = await new Promise((resolve) => {
			const options = { cwd: path('e2e/js'), timeout: 300_000 };
			execFile(process.execPath, [file], options, (error, stdout, stderr) => resolve({ error, stdout, stderr }));
		});
		if (error) assert.fail(`${error.signal ?? error.code}\n${stdout}\n${stderr}\n${await tail()}`);
		assert.equal(stderr, '', 'it warns of nothing');
		assert.ok(stdout.trim().length > 0, 'it prints something');
		assert.ok(!stdout.includes('DOES NOT HOLD'), stdout);
		return stdout;
	} finally {
		rmSync(file, { force: true });
	}
}

/// Returns the answers of all jobs with this prompt, or null for a job without one.
async function answersTo(prompt) {
	const inputs = await api.query.jobs.inputs.entries();
	const jobs = inputs.filter(([, input]) => input.unwrap().asText.toUtf8() === prompt).map(([{ args }]) => args[0]);
	const outputs = await Promise.all(jobs.map((job) => api.query.jobs.outputs(job)));
	return outputs.map((output) => output.unwrapOr(null)?.text.toUtf8() ?? null);
}

/// Checks that what a block prints is the answer to its prompt, if it prints one.
async function isOwnAnswer(stdout, prompt) {
	const answers = await answersTo(prompt);
	assert.ok(answers.length > 0, `no job has the prompt ${prompt}`);
	const silent = /wait for its receipt|no checked answer/.test(stdout);
	assert.ok(silent || answers.some((answer) => answer && stdout.includes(answer)), `${stdout}\nis none of ${answers}`);
}

test('the documents show code', () => {
	for (const name of ['README.md', 'docs/dapp.md', 'docs/operator.md']) assert.ok(code.some((block) => block.name === name), name);
	assert.ok(asking.length >= 4 && onCouncil.length === 1);
});

for (const block of onChain) {
	test(`${block.name}: block ${block.at} runs`, LIMIT, async () => {
		const stdout = await run(block, node);
		const prompt = block.text.match(PROMPT)?.[1];
		if (prompt) await isOwnAnswer(stdout, prompt);
	});
}

// Each prompt is asked by another account, so that all of them can be asked at once.
const awkward = Object.entries({ Charlie: '0x48656c6c6f', Dave: '@receipt', Eve: 'レシートとは何ですか。誰が確認しますか。' });

for (const block of asking) {
	test(`${block.name}: block ${block.at} asks what is typed, byte for byte`, LIMIT, async () => {
		await Promise.all(
			awkward.map(async ([account, prompt]) => {
				const before = (await answersTo(prompt)).length;
				const text = block.text.replace(PROMPT, `const prompt = '${prompt}';`).replace(/'\/\/[A-Z][a-z]+'/, `'//${account}'`);
				await isOwnAnswer(await run({ ...block, text }, node), prompt);
				assert.equal((await answersTo(prompt)).length, before + 1, prompt);
			}),
		);
	});
}

test('where nothing is answered, every block ends and reports that', LIMIT, async () => {
	const silent = await startNode(['--dev', '--no-engine']);
	try {
		const printed = await Promise.all(asking.map((block) => run(block, silent)));
		for (const stdout of printed) assert.match(stdout, /no checked answer|wait for its receipt/);
	} finally {
		await silent.stop();
	}
});

for (const block of onCouncil) {
	test(`${block.name}: block ${block.at} has a council decide`, LIMIT, async () => {
		const members = await startNode(council);
		try {
			assert.match(await run(block, members), /executed: (Ok|.*"ok")/);
		} finally {
			await members.stop();
		}
	});
}
