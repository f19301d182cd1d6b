//! Recent jobs, and one by its name.

import { useState } from 'preact/hooks';
import { type JobRow, recentJobs } from '../chain/catalog';
import type { Connection } from '../chain/connection';
import { short } from '../format';
import { JobProgress } from '../parts/progress';
import { Badge, type Kind, Problem } from '../parts/status';
import { useLoaded } from '../parts/use';
import { rememberedJobs } from '../settings';

const KINDS: Record<string, Kind> = { Confirmed: 'good', Unchecked: 'open', Unverified: 'open', Overturned: 'bad', Refunded: 'bad' };

function Row({ of, mine }: { of: JobRow; mine: boolean }) {
	return (
		<tr>
			<td><a href={`#/jobs/${of.id}`}>{short(of.id)}</a>{mine ? ' (yours)' : ''}</td>
			<td>{of.requestedAt}</td>
			<td>{of.state}</td>
			<td>{of.verdict ? <Badge kind={KINDS[of.verdict] ?? 'open'}>{of.verdict.toLowerCase()}</Badge> : <Badge kind="waits">none yet</Badge>}</td>
		</tr>
	);
}

function Find() {
	const [problem, setProblem] = useState<string | null>(null);
	const find = (event: SubmitEvent) => {
		event.preventDefault();
		const id = String(new FormData(event.currentTarget as HTMLFormElement).get('id') ?? '').trim().toLowerCase();
		const ok = /^0x[0-9a-f]{64}$/.test(id);
		setProblem(ok ? null : 'A job’s name is 0x and 64 hex digits.');
		if (ok) location.hash = `#/jobs/${id}`;
	};
	return (
		<form class="row" onSubmit={find}>
			<div class="field grow">
				<label for="find">A job by its name</label>
				<input id="find" name="id" autocomplete="off" spellcheck={false} placeholder="0x…" />
			</div>
			<button type="submit" class="second">Show it</button>
			{problem ? <Problem>{problem}</Problem> : null}
		</form>
	);
}

/** The list of jobs, and above it the job that the address names. */
export function Jobs({ connection, node, id }: { connection: Connection; node: string; id: string | null }) {
	const { value, problem, again } = useLoaded(() => recentJobs(connection), [connection]);
	const mine = rememberedJobs(connection.genesis);
	const others = mine.filter((job) => !value?.rows.some((row) => row.id === job));
	return (
		<>
			<h1>Jobs and receipts</h1>
			<Find />
			{id ? <JobProgress connection={connection} id={id} node={node} /> : null}
			<section aria-labelledby="recent">
				<h2 id="recent">Recent jobs <button type="button" class="small" onClick={again}>read again</button></h2>
				{problem ? <Problem>{problem}</Problem> : null}
				{value === null && !problem ? <p class="note">Reading the jobs.</p> : null}
				{value ? (
					<>
						<p class="note">All open jobs, and those that closed in the last {value.blocks} blocks.</p>
						<div class="scroll" tabIndex={0} role="region" aria-label="Table of recent jobs">
							<table>
								<thead><tr><th>Job</th><th>Block</th><th>State</th><th>Verdict</th></tr></thead>
								<tbody>
									{value.rows.map((row) => <Row key={row.id} of={row} mine={mine.includes(row.id)} />)}
								</tbody>
							</table>
						</div>
						{value.rows.length === 0 ? <p class="note">There are none. Ask one.</p> : null}
					</>
				) : null}
				{others.length > 0 ? (
					<p>
						Asked from this browser earlier:{' '}
						{others.map((job) => <a key={job} class="item" href={`#/jobs/${job}`}>{short(job)}</a>)}
					</p>
				) : null}
			</section>
		</>
	);
}
