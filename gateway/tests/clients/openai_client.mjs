// What the official client of OpenAI for Node.js makes of a gateway. The environment is that of openai_client.py.

import assert from 'node:assert/strict';
import OpenAI from 'openai';

const { ASSAY_API_KEY = 'none', ASSAY_BASE_URL, ASSAY_MODEL, ASSAY_SCRIPTED } = process.env;
const scripted = ASSAY_SCRIPTED === '1';
const client = new OpenAI({ baseURL: `${ASSAY_BASE_URL}/v1`, apiKey: ASSAY_API_KEY });
const model = ASSAY_MODEL ?? (await client.models.list()).data[0].id;
const messages = [{ role: 'user', content: 'Say hello.' }];

const whole = await client.chat.completions.create({ model, messages, max_tokens: 16, temperature: 0 });
assert.equal(whole.assay.verdict, 'confirmed');
if (scripted) assert.equal(whole.choices[0].message.content, 'Hello, dear world!');

const stream = await client.chat.completions.create({ model, messages, max_tokens: 16, temperature: 0, stream: true });
let text = '';
let last;
for await (const chunk of stream) {
	text += chunk.choices[0].delta.content ?? '';
	last = chunk;
}
assert.equal(last.assay.verdict, 'confirmed');
if (scripted) assert.equal(text, 'Hello, dear world!');

const response = await client.responses.create({ model, input: 'Say hello.', max_output_tokens: 16, temperature: 0 });
assert.equal(response.assay.verdict, 'confirmed');
if (scripted) assert.equal(response.output_text, 'Hello, dear world!');

await assert.rejects(
	client.chat.completions.create({ model: 'no-such-model', messages }),
	(error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found',
);

if (scripted) {
	const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
	const tools = [
		{ type: 'function', function: { name: 'weather', parameters, parse: JSON.parse, function: () => 'sunny' } },
	];
	const question = [{ role: 'user', content: 'What is the weather in Rome?' }];
	const answer = await client.chat.completions.runTools({ model, messages: question, tools }).finalContent();
	assert.match(answer, /sunny/);
	const streamed = await client.chat.completions.runTools({ model, messages: question, tools, stream: true }).finalContent();
	assert.match(streamed, /sunny/);

	const tool = { type: 'function', name: 'weather', parameters, strict: true };
	const input = [{ role: 'user', content: 'What is the weather in Rome?' }];
	const events = client.responses.stream({ model, input, tools: [tool] });
	const kinds = [];
	for await (const event of events) kinds.push(event.type);
	assert.deepEqual(kinds.slice(0, 3), ['response.created', 'response.in_progress', 'response.output_item.added']);
	assert.equal(kinds.at(-1), 'response.completed');
	const { output } = await events.finalResponse();
	const call = output.find(({ type }) => type === 'function_call');
	const result = { type: 'function_call_output', call_id: call.call_id, output: 'sunny' };
	const told = await client.responses.create({ model, input: [...input, ...output, result], tools: [tool] });
	assert.match(told.output_text, /sunny/);
	const thought = await client.responses.stream({ model, input: 'count' }).finalResponse();
	assert.equal(thought.output[0].content[0].text, 'Let me count.');
	assert.equal(thought.output[1].content[0].text, 'Two or three.');
	const failing = await client.responses.create({ model, input: 'overturned', stream: true });
	await assert.rejects(
		async () => {
			for await (const event of failing) assert.ok(event);
		},
		(error) => error instanceof OpenAI.APIError && error.code === 'answer_overturned',
	);

	const wrong = await client.chat.completions.create({
		model,
		messages: [{ role: 'user', content: 'overturned' }],
		stream: true,
	});
	await assert.rejects(
		async () => {
			for await (const chunk of wrong) assert.ok(chunk);
		},
		(error) => error instanceof OpenAI.APIError && error.code === 'answer_overturned',
	);
}
console.log('openai for Node.js: ok');
