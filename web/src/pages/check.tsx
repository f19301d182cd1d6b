//! Check a receipt, in this browser and without any network.

import type { Report, Step } from '@assay/verifier';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Given, takeGiven } from '../check/handoff';
import { Trust, type Trusted, servedAnchor } from '../check/trust';
import { mismatch, OUTCOME_WORDS, REASON_WORDS, STEP_WORDS } from '../check/words';
import type { Order, Said } from '../check/worker';
import CheckWorker from '../check/worker?worker';
import { duration } from '../format';
import { Facts } from '../parts/facts';
import { type Kind, Problem, Shape } from '../parts/status';
import type { Config } from '../settings';

const MAX_FILE_BYTES = 8 * 1024 * 1024;
const TIMEOUT = 60_000;
const STEPS = Object.keys(STEP_WORDS) as Step['id'][];

/** A check as far as it is. */
interface Check {
	file: Given;
	steps: Step[];
	report: Report | null;
	milliseconds: number;
	problem: string | null;
}

/** A thread that waits for work: once the page is open, a check needs nothing from the server, not even its code. */
let spare: Worker | null = null;

/** Checks a file in a thread; returns a function that stops it. */
function run(order: Order, news: (said: Said | { problem: string }) => void): () => void {
	const worker = spare ?? new CheckWorker();
	let stopped = false;
	spare = null;
	const late = setTimeout(() => {
		worker.terminate();
		news({ problem: 'The check took more than a minute and was stopped. Check the file with “assay verify”.' });
	}, TIMEOUT);
	const stop = () => {
		stopped = true;
		clearTimeout(late);
		worker.terminate();
		spare ??= new CheckWorker();
	};
	worker.onmessage = ({ data }: MessageEvent<Said>) => {
		if (stopped) return;
		if (!('step' in data)) stop();
		news(data);
	};
	worker.onerror = ({ message }) => {
		stop();
		news({ problem: `The check failed: ${message}. Check the file with “assay verify”.` });
	};
	worker.postMessage(order);
	return stop;
}

function why(reason: Report['reason'], detail: string | null): string {
	if (!reason) return '';
	const [text] = REASON_WORDS[reason];
	return detail ? `${text}: ${reason === 'inconsistent' ? mismatch(detail) : detail}` : text;
}

const KINDS: Record<Report['outcome'], Kind> = { FINAL: 'good', 'NOT FINAL': 'open', UNVERIFIABLE: 'bad' };
const STEP_RESULTS: Record<Report['outcome'], string> = { FINAL: 'holds', 'NOT FINAL': 'not shown', UNVERIFIABLE: 'fails' };

function Steps({ of, done }: { of: Step[]; done: boolean }) {
	return (
		<ol class="stages" aria-label="Steps of the check">
			{STEPS.map((id, i) => {
				const step = of[i];
				const kind: Kind = step ? KINDS[step.outcome] : i === of.length && !done ? 'now' : 'waits';
				const [name, text] = STEP_WORDS[id];
				const word = step ? STEP_RESULTS[step.outcome] : done ? 'not reached' : 'to come';
				return (
					<li key={id} class={kind} data-step={id}>
						<Shape kind={kind} />
						<div>
							<strong>{name}</strong> <span class="word">{word}</span>
							<p>{step?.reason ? `${capital(why(step.reason, step.detail))}.` : text}</p>
						</div>
					</li>
				);
			})}
		</ol>
	);
}

const capital = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1);

function Outcome({ report, milliseconds }: { report: Report; milliseconds: number }) {
	const kind = KINDS[report.outcome];
	const next = report.reason ? REASON_WORDS[report.reason][1] : null;
	return (
		<section class={`outcome ${kind}`} aria-labelledby="outcome">
			<h2 id="outcome" class={`big ${kind}`} tabIndex={-1}><Shape kind={kind} /><span data-testid="outcome">{report.outcome}</span></h2>
			<p>
				{OUTCOME_WORDS[report.outcome]}{report.reason ? <strong>{` ${why(report.reason, report.detail)}.`}</strong> : ''}
			</p>
			{next ? <p>What to do: {next}</p> : null}
			{report.outcome === 'FINAL' && report.until !== null ? (
				<p>An objection is possible until block {report.until}; until then it is not settled.</p>
			) : null}
			{report.contradiction ? <p><strong>The executor contradicted itself in what it signed.</strong></p> : null}
			<p class="note">
				Checked here in {Math.ceil(milliseconds)} ms.{' '}
				{report.block ? `Proved in block ${report.block.number}. ` : ''}
				{report.outcome === 'FINAL' && report.not_proved.length
					? `Not proved while it is open: ${report.not_proved.join(', ')}.` : ''}
			</p>
		</section>
	);
}

interface Contents {
	input: { text?: string; chat?: string };
	output: { text: string } | null;
	receipt: { model: string; job: string; verdict: unknown };
}

/** What the answer is worth, and under which assumptions. */
function Worth({ report }: { report: Report }) {
	if (report.outcome === 'UNVERIFIABLE' || !report.assurance) return null;
	return (
		<section class="card" aria-labelledby="worth">
			<h2 id="worth">What the answer is worth</h2>
			<p>{report.assurance}</p>
		</section>
	);
}

/** What the file says, shown only if its contents hold. */
function Contents({ of }: { of: Check }) {
	const contents = of.steps.find(({ id }) => id === 'contents');
	if (!of.report || contents?.outcome !== 'FINAL') return null;
	const stands = !['overturned', 'refunded'].includes(of.report.reason ?? '');
	const { input, output, receipt } = JSON.parse(new TextDecoder().decode(of.file.text)) as Contents;
	return (
		<section class="card" aria-labelledby="says">
			<h2 id="says">What the file says</h2>
			<Facts
				of={[
					['Question', <span class="text">{input.text ?? input.chat}</span>],
					['Answer', stands && output ? <span class="text">{output.text}</span> : 'none that stands'],
					['Model', <code>{receipt.model}</code>],
					['Job', <code>{receipt.job}</code>],
				]}
			/>
			{of.report.outcome === 'UNVERIFIABLE' ? <p class="note">Nothing but the file stands behind this.</p> : null}
		</section>
	);
}

function Drop({ take }: { take: (file: File) => void }) {
	const [over, setOver] = useState(false);
	return (
		<div
			class={over ? 'drop over' : 'drop'}
			onDragOver={(event) => {
				event.preventDefault();
				setOver(true);
			}}
			onDragLeave={() => setOver(false)}
			onDrop={(event) => {
				event.preventDefault();
				setOver(false);
				const file = event.dataTransfer?.files[0];
				if (file) take(file);
			}}
		>
			<label for="file">Receipt file</label>
			<input
				id="file"
				type="file"
				accept=".json,application/json"
				onChange={({ currentTarget }) => {
					const file = currentTarget.files?.[0];
					if (file) take(file);
					currentTarget.value = '';
				}}
			/>
			<p class="note">Choose a file, or drop one here. It stays in this browser.</p>
		</div>
	);
}

/** Where the proof begins, in words. */
function trustText({ json, name, time }: Trusted): string {
	if (!json) return 'There is no anchor: choose an anchor file.';
	const old = time === null ? 'It has no date, as the beginning of a chain has none.' : `It is ${duration(Date.now() / 1000 - time)} old.`;
	return `The proof begins at ${name}. ${old}`;
}

/** Checks a file whenever it or what it is held against changes. */
function useCheck(file: Given | null, trusted: Trusted, settled: boolean) {
	const [check, setCheck] = useState<Check | null>(null);
	const [problem, setProblem] = useState<string | null>(null);
	useEffect(() => {
		setCheck(null);
		spare ??= new CheckWorker();
		if (!file) return;
		setProblem(null);
		setCheck({ file, steps: [], report: null, milliseconds: 0, problem: null });
		return run({ file: file.text, anchor: trusted.json, settled }, (said) => {
			if ('problem' in said) setProblem(said.problem);
			else if ('badAnchor' in said) setProblem(`The anchor is none: ${said.badAnchor}. Choose another file.`);
			else if ('step' in said) setCheck((old) => old && { ...old, steps: [...old.steps, said.step] });
			else setCheck((old) => old && { ...old, report: said.report, milliseconds: said.milliseconds });
		});
	}, [file, trusted.json, settled]);
	return { check, problem };
}

/** The checker. */
export function Check({ config }: { config: Config }) {
	const [trusted, setTrusted] = useState<Trusted>(() => servedAnchor(config));
	const [settled, setSettled] = useState(false);
	const [file, setFile] = useState<Given | null>(takeGiven);
	const [tooLong, setTooLong] = useState(false);
	const { check, problem } = useCheck(file, trusted, settled);
	const outcome = useRef<HTMLDivElement>(null);
	useEffect(() => {
		if (check?.report) outcome.current?.querySelector<HTMLElement>('h2')?.focus();
	}, [check?.report]);
	const take = async (chosen: File) => {
		setFile(null);
		setTooLong(chosen.size > MAX_FILE_BYTES);
		if (chosen.size > MAX_FILE_BYTES) return;
		const text = new Uint8Array(await chosen.arrayBuffer());
		setFile({ text, name: chosen.name, origin: 'It came from this device.' });
	};
	return (
		<>
			<h1>Check a receipt</h1>
			<p>The check runs in this browser and needs no network and no trust in whoever gave you the file.</p>
			<Drop take={take} />
			<Trust trusted={trusted} choose={setTrusted} served={servedAnchor(config)} settled={settled} setSettled={setSettled} />
			<p class="note" data-testid="anchor">{trustText(trusted)}</p>
			{tooLong ? <Problem>This file has more than 8 MiB: it is no receipt file. Choose another one.</Problem> : null}
			{problem ? <Problem>{problem}</Problem> : null}
			<div ref={outcome} aria-live="polite">
				{check?.report ? <Outcome report={check.report} milliseconds={check.milliseconds} /> : null}
			</div>
			{check ? (
				<section class="card" aria-labelledby="steps">
					<h2 id="steps">{check.file.name}</h2>
					<p class="note">{check.file.origin}</p>
					<Steps of={check.steps} done={check.report !== null} />
				</section>
			) : null}
			{check ? <Contents of={check} /> : null}
			{check?.report ? <Worth report={check.report} /> : null}
		</>
	);
}
