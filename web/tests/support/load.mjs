// Loads a module of the page as Vite compiles it.

import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

export async function load(path) {
	const file = fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
	return (await runnerImport(file, { configFile: false, logLevel: 'error' })).module;
}
