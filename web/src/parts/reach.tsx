//! How the chain is reached, and how far it is.

import { useEffect, useState } from 'preact/hooks';
import type { Connection } from '../chain/connection';
import { name } from '../format';
import { type Choice, type Config, urlProblem } from '../settings';
import { Badge, Problem } from './status';

function useBlock(connection: Connection | null): number | null {
	const [block, setBlock] = useState<number | null>(null);
	useEffect(() => {
		setBlock(null);
		if (!connection) return;
		const watch = connection.client.finalizedBlock$.subscribe({ next: ({ number }) => setBlock(number), error: () => setBlock(null) });
		return () => watch.unsubscribe();
	}, [connection]);
	return block;
}

interface Props {
	connection: Connection | null;
	choice: Choice;
	choose: (choice: Choice) => void;
	status: string;
	config: Config;
}

/** Shows the connection, and lets the person choose another one. */
export function Reach({ connection, choice, choose, status, config }: Props) {
	const block = useBlock(connection);
	const [by, setBy] = useState(choice.by);
	const [url, setUrl] = useState(choice.url);
	const [problem, setProblem] = useState<string | null>(null);
	const submit = (event: Event) => {
		event.preventDefault();
		const wrong = by === 'node' || url ? urlProblem(url) : null;
		setProblem(wrong);
		if (!wrong) choose({ by, url });
	};
	const how = choice.by === 'light' ? 'Light client in this browser' : `Node ${choice.url}`;
	return (
		<footer class="card" data-testid="reach">
			<h2>Connection</h2>
			<p>
				<Badge kind={connection ? 'good' : 'waits'}>{connection ? 'connected' : 'not connected'}</Badge>{' '}
				{how}{connection ? `, ${name(connection.chain)}` : ''}
				{block === null ? '' : `, finalized block ${block}`}. {status}
			</p>
			<details>
				<summary>Choose another one</summary>
				<form onSubmit={submit}>
					<fieldset>
						<legend>How this page reads the chain</legend>
						<label class="radio">
							<input type="radio" name="by" checked={by === 'light'} onChange={() => setBy('light')} />
							Light client: checks what it reads against the chain’s finality
						</label>
						<label class="radio">
							<input type="radio" name="by" checked={by === 'node'} onChange={() => setBy('node')} />
							A node: faster, shows drafts, and has to be trusted
						</label>
					</fieldset>
					<div class="field">
						<label for="node">URL of a node</label>
						<input id="node" type="url" value={url} placeholder={config.node ?? 'ws://127.0.0.1:9944'} autocomplete="off"
							spellcheck={false} onInput={({ currentTarget }) => setUrl(currentTarget.value)} />
						<p class="note">Receipt files come from it in either case; the page checks them itself.</p>
					</div>
					<button type="submit" class="second">Connect</button>
					{problem ? <Problem>{problem}</Problem> : null}
				</form>
			</details>
			{config.node || config.chain ? <p class="note">This page’s server serves {config.chain ? name(config.chain) : 'a chain'}.</p> : null}
		</footer>
	);
}
