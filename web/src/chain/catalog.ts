//! Models, providers and recent jobs.

import type { Connection } from './connection';
import type { Job, Model, Provider, ProviderRecord } from './views';

const PAGE = 50;
const MAX_MODELS = 500;
/** Blocks back to which closed jobs are looked for: each is a question, which is cheap at a node only. */
const CLOSED_BLOCKS = { node: 200, light: 40 };
const MAX_JOBS = 50;

/** Returns the models of the catalog, at most 500. */
export async function models({ api }: Connection): Promise<Model[]> {
	const all: Model[] = [];
	for (let start: string | undefined; all.length < MAX_MODELS; start = all.at(-1)?.id) {
		const page: Model[] = await api.apis.AssayApi.models(start, PAGE, { at: 'best' });
		all.push(...page);
		if (page.length < PAGE) break;
	}
	return all;
}

/** Returns the prices of the listing that is cheapest for generated tokens, if any takes jobs. */
export function cheapest(model: Model) {
	return model.listings.map(({ prices }) => prices).sort((a, b) => (a.price_out < b.price_out ? -1 : 1))[0];
}

/** A provider with its record, under each model that it serves. */
export interface ProviderRow {
	model: Model;
	view: Provider;
	record: ProviderRecord | undefined;
}

/** Returns the providers of all models. */
export async function providers(connection: Connection): Promise<ProviderRow[]> {
	const { api } = connection;
	const all = await models(connection);
	const rows = await Promise.all(
		all.map(async (model) => {
			const views: Provider[] = await api.apis.AssayApi.providers_of(model.id, { at: 'best' });
			const keys = views.map(({ provider }) => [provider]);
			const records: (ProviderRecord | undefined)[] = await api.query.Providers.Providers.getValues(keys, { at: 'best' });
			return views.map((view, i) => ({ model, view, record: records[i] }));
		}),
	);
	return rows.flat().sort((a, b) => (a.view.bond > b.view.bond ? -1 : 1));
}

/** A line in the list of jobs. */
export interface JobRow {
	id: string;
	state: string;
	verdict: string | undefined;
	requestedAt: number;
}

/** The newest jobs, and how far back closed ones were looked for. */
export interface Recent {
	rows: JobRow[];
	blocks: number;
}

/** Returns the newest jobs: all open ones, and those that closed lately. */
export async function recentJobs({ api, client, choice }: Connection): Promise<Recent> {
	const [best] = await client.getBestBlocks();
	const blocks = Math.min(CLOSED_BLOCKS[choice.by], best?.number ?? 0);
	const at = { at: best?.hash };
	const numbers = Array.from({ length: blocks }, (_, i) => (best?.number ?? 0) - i);
	const [open, closed] = await Promise.all([
		api.query.Jobs.Jobs.getEntries(at) as Promise<{ keyArgs: [string] }[]>,
		Promise.all(numbers.map((n) => api.query.Jobs.Concluded.getEntries(n, at) as Promise<{ keyArgs: [number, string] }[]>)),
	]);
	const ids = [...open.map(({ keyArgs }) => keyArgs[0]), ...closed.flat().map(({ keyArgs }) => keyArgs[1])];
	const rows = (await views(api, ids.slice(0, 4 * MAX_JOBS), at)).sort((a, b) => b.requestedAt - a.requestedAt);
	return { rows: rows.slice(0, MAX_JOBS), blocks };
}

/** Reads jobs, sixteen in one call. */
async function views(api: Connection['api'], ids: string[], at: { at: string | undefined }): Promise<JobRow[]> {
	const rows: JobRow[] = [];
	for (let i = 0; i < ids.length; i += 16) {
		const found = await api.apis.AssayApi.jobs(ids.slice(i, i + 16), at);
		for (const job of (found.value ?? []) as (Job | undefined)[]) {
			if (job) rows.push({ id: job.id, state: job.state.type, verdict: job.verdict?.type, requestedAt: job.requested_at });
		}
	}
	return rows;
}

