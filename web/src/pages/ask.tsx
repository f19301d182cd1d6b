//! Ask a model.

import { Binary } from 'polkadot-api';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Account, accountsOf, canonical, developmentAccounts, wallets } from '../chain/accounts';
import { balance, paramsOf, quote, request, type Terms } from '../chain/ask';
import { models } from '../chain/catalog';
import type { Connection } from '../chain/connection';
import { message } from '../chain/errors';
import type { Model, Quote } from '../chain/views';
import { rememberSigned, type Signed } from '../check/asked';
import { asy, count, name, short } from '../format';
import { JobProgress } from '../parts/progress';
import { Problem } from '../parts/status';
import { useLoaded } from '../parts/use';
import { rememberJob } from '../settings';

const MAX_TOKENS = 4_096;
const MAX_VERIFIERS = 8;
const BLOCK_SECONDS = 3;

/** Returns a quote that follows the form, or why there is none. */
function useQuote(connection: Connection, terms: Terms) {
	const [state, setState] = useState<{ quote: Quote | null; problem: string | null }>({ quote: null, problem: null });
	useEffect(() => {
		setState({ quote: null, problem: null });
		if (!terms.model || !terms.text) return;
		let current = true;
		const wait = setTimeout(() => {
			quote(connection, terms)
				.then((quote) => current && setState({ quote, problem: null }))
				.catch((error) => current && setState({ quote: null, problem: message(error) }));
		}, 300);
		return () => {
			current = false;
			clearTimeout(wait);
		};
	}, [connection, terms.model, terms.text, terms.maxTokens, terms.verifiers]);
	return state;
}

function Accounts(props: { connection: Connection; chosen: Account | null; choose: (account: Account | null) => void }) {
	const { connection, chosen, choose } = props;
	const [accounts, setAccounts] = useState<Account[]>([]);
	const [problem, setProblem] = useState<string | null>(null);
	useEffect(() => {
		const known = connection.development ? developmentAccounts() : [];
		setAccounts(known);
		choose(known[0] ?? null);
	}, [connection]);
	const held = useLoaded(async () => (chosen ? balance(connection, chosen.address) : null), [connection, chosen?.address]);
	const open = async (wallet: string) => {
		setProblem(null);
		try {
			const found = await accountsOf(wallet);
			if (found.length === 0) throw new Error(`${wallet} shows this page no account. Allow one in the wallet.`);
			setAccounts((old) => [...old.filter(({ from }) => from !== wallet), ...found]);
			choose(found[0] ?? null);
		} catch (error) {
			setProblem(message(error));
		}
	};
	const found = wallets();
	return (
		<div class="field">
			<label for="account">Account that pays</label>
			<select
				id="account"
				value={chosen?.address ?? ''}
				onChange={({ currentTarget }) => choose(accounts.find(({ address }) => address === currentTarget.value) ?? null)}
			>
				{accounts.length === 0 ? <option value="">no account yet</option> : null}
				{accounts.map((account) => (
					<option key={`${account.from} ${account.address}`} value={account.address}>
						{`${name(account.name)} (${account.from}, ${short(account.address)})`}
					</option>
				))}
			</select>
			<p class="note">
				{held.value !== null ? `It can spend ${asy(held.value)}. ` : ''}
				{chosen?.from === 'development account' ? 'Its key is public: for development only.' : ''}
			</p>
			{found.map((wallet) => (
				<button type="button" class="second" key={wallet} onClick={() => open(wallet)}>{`Use ${wallet}`}</button>
			))}
			{!connection.development && found.length === 0 ? (
				<p class="note">No wallet is found in this browser. Install one that knows Substrate chains, and reload the page.</p>
			) : null}
			{problem ? <Problem>{problem}</Problem> : null}
		</div>
	);
}

function QuoteText({ of, verifiers }: { of: Quote; verifiers: number }) {
	const minutes = Math.ceil((of.longest_wait * BLOCK_SECONDS) / 60);
	return (
		<>
			<p>
				It costs <strong>at most {asy(of.fee_ceiling)}</strong>; what is not used comes back. A deposit of {asy(of.deposit)}{' '}
				comes back when the receipt is pruned.
			</p>
			<p class="note">
				{verifiers === 0
					? 'Nobody will check this answer: no verifier is asked for. '
					: `${count(verifiers, 'verifier')} will be drawn after the answer from ` +
						`${count(of.electorate.members, 'provider')} with ${asy(of.electorate.stake)}. `}
				{of.jobs_ahead ? `${count(of.jobs_ahead, 'job')} wait before it. ` : ''}
				It waits at most {count(minutes, 'minute')} for a provider.
			</p>
		</>
	);
}

function ModelField(props: { models: Model[]; model: string; choose: (id: string) => void }) {
	return (
		<div class="field">
			<label for="model">Model</label>
			<select id="model" value={props.model} onChange={({ currentTarget }) => props.choose(currentTarget.value)}>
				{props.models.map((model) => (
					<option key={model.id} value={model.id}>{`${name(model.name)} (${short(model.id)})`}</option>
				))}
			</select>
		</div>
	);
}

function NumberField(props: { id: string; label: string; value: number; min: number; max: number; set: (n: number) => void }) {
	const { id, label, value, min, max, set } = props;
	return (
		<div class="field">
			<label for={id}>{label}</label>
			<input
				id={id}
				type="number"
				inputMode="numeric"
				required
				min={min}
				max={max}
				value={value}
				onInput={({ currentTarget }) => {
					const n = currentTarget.valueAsNumber;
					if (Number.isInteger(n) && n >= min && n <= max) set(n);
				}}
			/>
		</div>
	);
}

/** Returns what an account signs, as a receipt has it. */
function signedBy({ address }: Account, terms: Terms): Signed {
	const { model, verifiers } = terms;
	// As the chain gets it: half a character is no text.
	const text = Binary.toText(Binary.fromText(terms.text));
	return { requester: canonical(address), model, text, params: paramsOf(terms), verifiers };
}

/** A request on its way. */
function useRequest(connection: Connection) {
	const [state, setState] = useState<{ busy: string; problem: string | null; job: string | null }>({ busy: '', problem: null, job: null });
	const send = async (account: Account, terms: Terms, ceiling: bigint) => {
		const busy = (text: string) => setState({ busy: text, problem: null, job: null });
		busy('Waiting for the signature.');
		try {
			const job = await request(connection, account, terms, ceiling, () => busy('Signed. Waiting until a block has it.'));
			rememberJob(connection.genesis, job);
			rememberSigned(connection.genesis, job, signedBy(account, terms));
			setState({ busy: '', problem: null, job });
		} catch (error) {
			setState({ busy: '', problem: message(error), job: null });
		}
	};
	return { ...state, send };
}

interface FieldsProps {
	models: Model[] | null;
	terms: Terms;
	set: (terms: Terms) => void;
}

/** What is asked, and on which terms. */
function Fields({ models, terms, set }: FieldsProps) {
	return (
		<>
			<ModelField models={models ?? []} model={terms.model} choose={(model) => set({ ...terms, model })} />
			{models?.length === 0 ? <p class="note">No model takes jobs on this chain yet.</p> : null}
			<div class="field">
				<label for="question">Question</label>
				<textarea
					id="question"
					rows={3}
					required
					maxLength={65_536}
					value={terms.text}
					onInput={({ currentTarget }) => set({ ...terms, text: currentTarget.value })}
				/>
			</div>
			<div class="two">
				<NumberField id="tokens" label="Most tokens of the answer" value={terms.maxTokens} min={1} max={MAX_TOKENS}
					set={(maxTokens) => set({ ...terms, maxTokens })} />
				<NumberField id="verifiers" label="Verifiers (0 to 8)" value={terms.verifiers} min={0} max={MAX_VERIFIERS}
					set={(verifiers) => set({ ...terms, verifiers })} />
			</div>
		</>
	);
}

/** The form, and the job that came of it. */
export function Ask({ connection, node }: { connection: Connection; node: string }) {
	const all = useLoaded(() => models(connection), [connection]);
	const usable = all.value?.filter(({ listings }) => listings.length > 0) ?? null;
	const [terms, setTerms] = useState<Terms>({ model: '', text: '', maxTokens: 64, verifiers: 2 });
	const [account, setAccount] = useState<Account | null>(null);
	const { busy, problem, job, send } = useRequest(connection);
	const result = useRef<HTMLDivElement>(null);
	useEffect(() => {
		const first = usable?.[0]?.id;
		if (first && !usable?.some(({ id }) => id === terms.model)) setTerms((old) => ({ ...old, model: first }));
	}, [all.value]);
	useEffect(() => {
		if (job) result.current?.focus();
	}, [job]);
	const quoted = useQuote(connection, terms);
	const ready = Boolean(quoted.quote && account && !busy);
	const submit = (event: Event) => {
		event.preventDefault();
		if (ready && quoted.quote && account) void send(account, terms, quoted.quote.fee_ceiling);
	};
	return (
		<>
			<h1>Ask a model</h1>
			<p>
				One provider computes the answer; others are drawn afterwards and recompute it. Question and answer are public: they
				stay on the chain.
			</p>
			<form class="card" onSubmit={submit}>
				<Fields models={usable} terms={terms} set={setTerms} />
				{all.problem ? <Problem>{all.problem}</Problem> : null}
				<Accounts connection={connection} chosen={account} choose={setAccount} />
				<div class="quote" aria-live="polite">
					{quoted.quote ? <QuoteText of={quoted.quote} verifiers={terms.verifiers} /> : null}
					{quoted.problem ? <Problem>{quoted.problem}</Problem> : null}
					{!quoted.quote && !quoted.problem ? <p class="note">The price appears here when there is a question.</p> : null}
				</div>
				<button type="submit" disabled={!ready}>Sign and ask</button>
				<p class="note" role="status">{busy}</p>
				{problem ? <Problem>{problem}</Problem> : null}
			</form>
			<div ref={result} tabIndex={-1}>
				{job ? <JobProgress connection={connection} id={job} node={node} /> : null}
			</div>
		</>
	);
}
