// Starts the real node with a chain of its own on a free port, and stops it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const cache = process.env.ASSAY_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'assay');
const programs = process.env.ASSAY_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(cache, 'target'), 'release');

/// Returns the path of one of this repository's programs.
export function program(name) {
	const path = join(programs, name);
	assert.ok(existsSync(path), `${path} does not exist: run \`make build\``);
	return path;
}

/// Calls `ask` until it returns a value; fails after `seconds`.
export async function eventually(what, seconds, ask) {
	const until = Date.now() + seconds * 1000;
	for (;;) {
		const answer = await ask();
		if (answer !== undefined && answer !== null && answer !== false) return answer;
		assert.ok(Date.now() < until, `${what}: not within ${seconds} s`);
		await new Promise((wake) => setTimeout(wake, 300));
	}
}

/// Starts a node, of a development chain unless `chain` has other options. Returns its address, its last log lines and a
/// function that stops it.
export async function startNode(chain = ['--dev'], { listen = '/ip4/127.0.0.1/tcp/0' } = {}) {
	const directory = await mkdtemp(join(tmpdir(), 'assay-js-'));
	const log = join(directory, 'node.log');
	const args = [...chain, '--base-path', join(directory, 'data'), '--rpc-port', '0'];
	args.push('--listen-addr', listen, '--no-prometheus', '--no-telemetry', '--no-mdns');
	const file = openSync(log, 'w');
	const child = spawn(program('assay-node'), args, { stdio: ['ignore', file, file] });
	closeSync(file);
	const kill = () => child.kill('SIGKILL');
	process.once('exit', kill);
	const gone = new Promise((resolve) => child.once('exit', resolve));

	const tail = async () => (await readFile(log, 'utf8')).split('\n').slice(-40).join('\n');
	try {
		const port = await eventually('the node answers', 120, async () => {
			if (child.exitCode !== null) assert.fail(`the node exited:\n${await tail()}`);
			const text = await readFile(log, 'utf8');
			return text.match(/Running JSON-RPC server: addr=127\.0\.0\.1:(\d+)/)?.[1];
		});
		return {
			url: `ws://127.0.0.1:${port}`,
			tail,
			async stop() {
				child.kill('SIGTERM');
				const late = setTimeout(kill, 10_000);
				await gone;
				clearTimeout(late);
				process.removeListener('exit', kill);
				await rm(directory, { recursive: true, force: true });
			},
		};
	} catch (error) {
		kill();
		throw error;
	}
}
