//! A job on its way: its stages, its draft, its answer, and its receipt.

import { Binary } from 'polkadot-api';
import { useEffect, useState } from 'preact/hooks';
import type { Connection } from '../chain/connection';
import { type Drafted, streamDraft } from '../chain/draft';
import { noAnswer, refund } from '../chain/errors';
import { followJob, NOTHING_YET, type Progress } from '../chain/follow';
import { AUDIT, type Job, type Seat } from '../chain/views';
import { asy, count, fault } from '../format';
import { Facts, Hash } from './facts';
import { ReceiptFile } from './receipt-file';
import { Badge, type Kind, Problem, Shape } from './status';

interface Stage {
	name: string;
	kind: Kind;
	detail: string;
}

const VERDICTS: Record<string, string> = {
	Confirmed: 'Confirmed: every verifier recomputed the answer and agrees.',
	Unchecked: 'Unchecked: no verifier was asked for, so nobody checked it.',
	Unverified: 'Unverified: too few verifiers voted in time.',
	Overturned: 'Overturned: the answer was false. You were refunded; ask again.',
};

function verdictText(verdict: NonNullable<Job['verdict']>): string {
	if (verdict.type === 'Refunded') return `Refunded: ${refund(String((verdict.value as { type?: string })?.type))}`;
	return VERDICTS[verdict.type] ?? verdict.type;
}

/** Returns the stages of a job, each done, going on, or waiting. */
export function stages({ job, receipt, finalized }: Progress): Stage[] {
	const verdict = job?.verdict ?? receipt?.verdict;
	const reached = [Boolean(job ?? receipt), Boolean(job?.executor ?? receipt?.claim), Boolean(job?.output ?? receipt?.claim),
		Boolean(verdict), finalized];
	const voted = job?.seats.filter(({ vote }) => vote).length ?? 0;
	const refused = verdict && !['Confirmed', 'Unchecked'].includes(verdict.type);
	const details = [
		job ? `In block ${job.requested_at}.` : 'The network is asked to put it into a block.',
		job?.executor ? `Attempt ${job.attempt}: a provider was drawn and computes.` : 'A provider will be drawn by stake.',
		job?.output ? `${count(job.output.tokens.length, 'token')}; not checked by this alone.` : 'The provider publishes its answer.',
		verdict ? verdictText(verdict) : job?.verifiers === 0 ? 'No verifiers were asked for.'
			: voted ? `${voted} of ${count(job?.seats.length ?? 0, 'seat')} voted.` : 'Verifiers are drawn after the publication, and recompute it.',
		finalized ? 'The block of the verdict is final: no fork can take it back.' : 'The validators make the block final.',
	];
	const current = reached.lastIndexOf(true) + 1;
	return ['Requested', 'Drawn', 'Published', 'Verdict', 'Finalized'].map((name, i) => {
		const done = i < current;
		const kind: Kind = name === 'Verdict' && refused ? 'bad' : done ? 'good' : i === current ? 'now' : 'waits';
		return { name, kind, detail: details[i] ?? '' };
	});
}

const WORDS: Record<Kind, string> = { good: 'done', bad: 'refused', open: 'open', now: 'now', waits: 'to come' };

function Stages({ of }: { of: Stage[] }) {
	const last = of.filter(({ kind }) => kind === 'good' || kind === 'bad').at(-1);
	return (
		<>
			<p class="hidden" aria-live="polite">{last ? `${last.name}. ${last.detail}` : ''}</p>
			<ol class="stages">
				{of.map(({ name, kind, detail }) => (
					<li key={name} class={kind} aria-current={kind === 'now' ? 'step' : undefined}>
						<Shape kind={kind} />
						<div>
							<strong>{name}</strong> <span class="word">{WORDS[kind]}</span>
							<p>{detail}</p>
						</div>
					</li>
				))}
			</ol>
		</>
	);
}

function answerOf(job: Job): { text: string; draft: boolean; problem: string | null } | null {
	const { output, verdict } = job;
	if (!output) return null;
	const draft = !verdict;
	if (verdict && ['Overturned', 'Refunded'].includes(verdict.type)) return null;
	const text = Binary.toText(output.text);
	if (output.finish.type !== 'Failed') return { text, draft, problem: null };
	const reason = noAnswer(String((output.finish.value as { type?: string })?.type));
	return { text: '', draft, problem: text ? `${reason} It names: ${text}` : reason };
}

/** The text of an answer, marked for what it is. */
function Answer({ progress, drafted }: { progress: Progress; drafted: Drafted | null }) {
	const { job } = progress;
	if (!job) return null;
	const published = answerOf(job);
	const isDraft = published ? published.draft : !job.verdict;
	const text = published?.text ?? (job.output || job.verdict ? '' : (drafted?.text ?? ''));
	if (!text && !published) return drafted?.note && isDraft ? <p class="note">{drafted.note}</p> : null;
	const checked = job.verdict?.type === 'Confirmed';
	return (
		<section class={isDraft ? 'answer draft' : 'answer'} aria-labelledby="answer">
			<h3 id="answer">
				Answer{' '}
				<Badge kind={isDraft ? 'open' : checked ? 'good' : 'open'}>
					{isDraft ? 'unchecked draft' : checked ? 'checked' : (job.verdict?.type.toLowerCase() ?? '')}
				</Badge>
			</h3>
			{published?.problem ? <Problem>{published.problem}</Problem> : <p class="text" data-testid="answer">{text}</p>}
			{isDraft && drafted?.note ? <p class="note">{drafted.note}</p> : null}
		</section>
	);
}

function seatText({ vote, fault: wrong }: Seat): [Kind, string] {
	const said = vote ? (vote.vote.type === 'Approve' ? 'agrees' : 'rejects it') : 'has not voted';
	if (wrong) return ['bad', vote ? `${said}; ${fault(wrong.type)}` : fault(wrong.type)];
	return [vote ? (vote.vote.type === 'Approve' ? 'good' : 'bad') : 'waits', said];
}

function Seats({ of }: { of: Seat[] }) {
	if (of.length === 0) return null;
	return (
		<ul class="plain">
			{of.map((seat, i) => {
				const [kind, text] = seatText(seat);
				return (
					<li key={i}>
						<Hash value={seat.provider} of="verifier’s address" /> <Badge kind={kind}>{text}</Badge>
						{seat.tranche >= AUDIT ? ' (auditor)' : seat.tranche > 1 ? ` (draw ${seat.tranche})` : ''}
					</li>
				);
			})}
		</ul>
	);
}

/** Shows a job until it is left. */
export function JobProgress({ connection, id, node }: { connection: Connection; id: string; node: string }) {
	const [progress, setProgress] = useState(NOTHING_YET);
	const [drafted, setDrafted] = useState<Drafted | null>(null);
	useEffect(() => {
		setProgress(NOTHING_YET);
		setDrafted(null);
		return followJob(connection, id, setProgress);
	}, [connection, id]);
	const { execution, job, receipt, finalized, problem } = progress;
	const streams = connection.choice.by === 'node';
	useEffect(() => {
		if (!execution || !streams) return;
		return streamDraft(connection.choice.url, connection.genesis, id, execution, setDrafted);
	}, [connection, id, execution?.claim, streams]);
	return (
		<section class="card" aria-labelledby="job">
			<h2 id="job">Job <Hash value={id} of="job’s name" /></h2>
			{problem ? <p class="note">Not up to date: {problem}</p> : null}
			<Stages of={stages(progress)} />
			{job && !job.output && !job.verdict && !streams ? (
				<p class="note">A light client cannot stream drafts. The answer appears when it is published.</p>
			) : null}
			<Answer progress={progress} drafted={drafted} />
			{job ? (
				<details>
					<summary>Details</summary>
					<Facts
						of={[
							['Asked', <span class="text">{Binary.toText(job.input.value)}</span>],
							['State', job.state.type],
							['Model', <Hash value={job.model} of="model’s id" />],
							['Requester', <Hash value={job.requester} of="requester’s address" />],
							['Executor', job.executor ? <Hash value={job.executor} of="executor’s address" /> : null],
							['Verifiers', job.seats.length ? <Seats of={job.seats} /> : `${job.verifiers} asked for`],
							['Tokens', job.output ? `${job.output.input_tokens} read, ${job.output.tokens.length} made` : null],
							['Fee', receipt ? asy(receipt.fee) : null],
							['Blocks', receipt ? `requested in ${receipt.requested_at}, verdict in ${receipt.verdict_at}` +
								(receipt.closed_at ? `, closed in ${receipt.closed_at}` : '') : null],
						]}
					/>
				</details>
			) : null}
			{finalized ? <ReceiptFile genesis={connection.genesis} job={id} node={node} /> : null}
		</section>
	);
}
