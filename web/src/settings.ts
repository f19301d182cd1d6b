//! What the server that serves this page says of itself, and what this browser remembers.

/** A set of GRANDPA authorities from which proofs begin. The verifier checks its shape. */
export type AnchorJson = Record<string, unknown>;

/** What `GET /page/config.json` returns. */
export interface Config {
	chain: string;
	node: string | null;
	anchor: AnchorJson | null;
}

const NOTHING: Config = { chain: '', node: null, anchor: null };

/** Fetches the configuration; a server that has none serves the files only. */
export async function loadConfig(): Promise<Config> {
	try {
		const response = await fetch('./page/config.json');
		if (!response.ok) return NOTHING;
		const got = (await response.json()) as Partial<Config>;
		return {
			chain: typeof got.chain === 'string' ? got.chain : '',
			node: typeof got.node === 'string' ? got.node : null,
			anchor: got.anchor && typeof got.anchor === 'object' ? got.anchor : null,
		};
	} catch {
		return NOTHING;
	}
}

/** How this browser reaches the chain. */
export interface Choice {
	by: 'light' | 'node';
	url: string;
}

const CHOICE = 'assay.connection';
const JOBS = 'assay.jobs';
const MAX_JOBS = 50;

function read(key: string): unknown {
	try {
		return JSON.parse(localStorage.getItem(key) ?? 'null');
	} catch {
		return null;
	}
}

function write(key: string, value: unknown): void {
	try {
		localStorage.setItem(key, JSON.stringify(value));
	} catch {
		// A browser that keeps nothing: the page works, and forgets.
	}
}

/** Returns the remembered choice; the light client unless the person chose otherwise. */
export function rememberedChoice(config: Config): Choice {
	const kept = read(CHOICE) as Partial<Choice> | null;
	const url = typeof kept?.url === 'string' && kept.url ? kept.url : (config.node ?? '');
	return { by: kept?.by === 'node' ? 'node' : 'light', url };
}

/** Remembers a choice. */
export function rememberChoice(choice: Choice): void {
	write(CHOICE, choice);
}

/** Returns the jobs that were asked from this browser on a chain, the newest first. */
export function rememberedJobs(genesis: string): string[] {
	const kept = read(`${JOBS}.${genesis}`);
	return Array.isArray(kept) ? kept.filter((job) => /^0x[0-9a-f]{64}$/.test(String(job))) : [];
}

/** Remembers a job that was asked from this browser. */
export function rememberJob(genesis: string, job: string): void {
	const others = rememberedJobs(genesis).filter((other) => other !== job);
	write(`${JOBS}.${genesis}`, [job, ...others].slice(0, MAX_JOBS));
}

/** Returns what is wrong with the URL of a node, or nothing. */
export function urlProblem(url: string): string | null {
	let parsed: URL;
	try {
		parsed = new URL(url);
	} catch {
		return 'This is not a URL. A node is at an address such as ws://127.0.0.1:9944 or wss://node.example.org.';
	}
	if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:') {
		return 'The URL of a node begins with ws:// or wss://.';
	}
	const local = ['localhost', '127.0.0.1', '[::1]'].includes(parsed.hostname);
	if (parsed.protocol === 'ws:' && !local && globalThis.location?.protocol === 'https:') {
		return 'A page that came over https reaches nodes elsewhere only by wss://.';
	}
	return null;
}
