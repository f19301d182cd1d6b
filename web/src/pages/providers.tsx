//! The providers: what they have at stake, and how they did.

import { type ProviderRow, providers } from '../chain/catalog';
import type { Connection } from '../chain/connection';
import { asy, count, name } from '../format';
import { Facts, Hash } from '../parts/facts';
import { Badge, Problem } from '../parts/status';
import { useLoaded } from '../parts/use';

function record({ record }: ProviderRow): string {
	if (!record) return 'not known';
	const parts = [
		record.suspensions ? `suspended ${count(record.suspensions, 'time')} and not lifted` : '',
		record.suspended_at !== undefined && !record.suspensions ? `was suspended, in block ${record.suspended_at}` : '',
		record.jailed_until !== undefined ? `in jail until block ${record.jailed_until}` : '',
		record.lost_bond > 0n ? `lost ${asy(record.lost_bond)} for faults` : '',
	].filter(Boolean);
	const seen = record.last_seen === undefined ? '' : `; last message in block ${record.last_seen}`;
	return `${parts.length ? parts.join(', ') : 'no fault that still counts'}${seen}`;
}

function ProviderCard({ row }: { row: ProviderRow }) {
	const { view, model } = row;
	return (
		<article class="card">
			<h2><Hash value={view.provider} of="provider’s address" /></h2>
			<p>
				<Badge kind={view.ready ? 'good' : 'bad'}>{view.ready ? 'ready' : 'not ready'}</Badge>{' '}
				<Badge kind={view.available ? 'good' : 'waits'}>{view.available ? 'has a free place' : 'has no free place'}</Badge>
			</p>
			<Facts
				of={[
					['Model', name(model.name)],
					['Stake', asy(view.bond)],
					['Counted in draws', view.sealed ? asy(view.sealed) : 'not now: it is no member of the electorate in force'],
					['Record', record(row)],
					['Work', `${view.load} of ${count(view.capacity, 'job')} at once`],
					['Least price', `${asy(view.least.price_in)} for a token read, ${asy(view.least.price_out)} for a token made`],
				]}
			/>
		</article>
	);
}

/** All providers. */
export function Providers({ connection }: { connection: Connection }) {
	const { value, problem } = useLoaded(() => providers(connection), [connection]);
	return (
		<>
			<h1>Providers</h1>
			<p>Providers answer and check. Each has bonded stake, which it loses for a false answer or a false vote.</p>
			{problem ? <Problem>{problem}</Problem> : null}
			{value === null && !problem ? <p class="note">Reading the providers.</p> : null}
			{value?.length === 0 ? <p class="note">Nobody serves a model on this chain yet.</p> : null}
			<div class="grid">
				{value?.map((row) => <ProviderCard key={`${row.model.id} ${row.view.provider}`} row={row} />)}
			</div>
		</>
	);
}
