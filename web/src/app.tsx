//! The frame: where the person is, and how the chain is reached.

import { useEffect, useState } from 'preact/hooks';
import { type Connection, connect } from './chain/connection';
import { message } from './chain/errors';
import { Ask } from './pages/ask';
import { Check } from './pages/check';
import { Jobs } from './pages/jobs';
import { Models } from './pages/models';
import { Providers } from './pages/providers';
import { Reach } from './parts/reach';
import { Problem } from './parts/status';
import { type Choice, type Config, rememberChoice, rememberedChoice } from './settings';

const PLACES: [string, string][] = [
	['ask', 'Ask'],
	['models', 'Models'],
	['providers', 'Providers'],
	['jobs', 'Jobs'],
	['check', 'Check a receipt'],
];

/** Where the person is: a page, and the job that the address names. */
interface Place {
	page: string;
	id: string | null;
}

function place(): Place {
	const [, page = '', id = ''] = location.hash.split('/');
	return {
		page: PLACES.some(([name]) => name === page) ? page : 'ask',
		id: /^0x[0-9a-f]{64}$/.test(id) ? id : null,
	};
}

function usePlace(): Place {
	const [at, setAt] = useState(place);
	useEffect(() => {
		const moved = () => {
			setAt(place());
			scrollTo(0, 0);
			document.getElementById('content')?.focus();
		};
		addEventListener('hashchange', moved);
		return () => removeEventListener('hashchange', moved);
	}, []);
	return at;
}

/** Connects by the choice, anew when it changes. */
function useConnection(choice: Choice, wanted: boolean) {
	const [connection, setConnection] = useState<Connection | null>(null);
	const [status, setStatus] = useState('');
	const [problem, setProblem] = useState<string | null>(null);
	useEffect(() => {
		if (!wanted) return;
		let current = true;
		let opened: Connection | null = null;
		setConnection(null);
		setProblem(null);
		connect(choice, (text) => current && setStatus(text))
			.then((found) => {
				if (!current) return found.close();
				opened = found;
				setConnection(found);
				setStatus('');
			})
			.catch((error) => current && setProblem(message(error)));
		return () => {
			current = false;
			opened?.close();
		};
	}, [choice, wanted]);
	return { connection, status, problem };
}

function Page({ at, connection, node }: { at: Place; connection: Connection; node: string }) {
	switch (at.page) {
		case 'models':
			return <Models connection={connection} />;
		case 'providers':
			return <Providers connection={connection} />;
		case 'jobs':
			return <Jobs connection={connection} node={node} id={at.id} />;
		default:
			return <Ask connection={connection} node={node} />;
	}
}

/** The whole page. */
export function App({ config }: { config: Config }) {
	const at = usePlace();
	const [choice, setChoice] = useState(() => rememberedChoice(config));
	const checks = at.page === 'check';
	// To check a receipt takes no network, so nothing connects until another page needs it.
	const [wanted, setWanted] = useState(!checks);
	useEffect(() => {
		if (!checks) setWanted(true);
	}, [checks]);
	useEffect(() => {
		document.title = `${PLACES.find(([name]) => name === at.page)?.[1]} · Assay`;
	}, [at.page]);
	const { connection, status, problem } = useConnection(choice, wanted);
	const instead = choice.url || config.node;
	const choose = (next: Choice) => {
		rememberChoice(next);
		setChoice(next);
	};
	return (
		<>
			<a class="skip" href="#content" onClick={(event) => {
				event.preventDefault();
				document.getElementById('content')?.focus();
			}}>Skip to the content</a>
			<header>
				<p class="brand"><img src="./icon.svg" alt="" width="28" height="28" /> Assay</p>
				<nav aria-label="Pages">
					<ul>
						{PLACES.map(([name, title]) => (
							<li key={name}><a href={`#/${name}`} aria-current={at.page === name ? 'page' : undefined}>{title}</a></li>
						))}
					</ul>
				</nav>
			</header>
			<main id="content" tabIndex={-1}>
				{checks ? <Check config={config} /> : null}
				{!checks && problem ? <Problem>{problem}</Problem> : null}
				{!checks && problem && choice.by === 'light' && instead ? (
					<button type="button" onClick={() => choose({ by: 'node', url: instead })}>{`Use the node ${instead}`}</button>
				) : null}
				{!checks && !connection && !problem ? <p class="note" role="status">{status}</p> : null}
				{!checks && connection ? <Page at={at} connection={connection} node={instead ?? ''} /> : null}
			</main>
			<Reach key={`${choice.by} ${choice.url}`} connection={connection} choice={choice} choose={choose} status={status} config={config} />
		</>
	);
}
