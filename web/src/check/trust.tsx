//! What a proof begins at: the anchor of the server that serves this page, or one that the person chooses.

import { name } from '../format';
import type { Config } from '../settings';

const MAX_ANCHOR_BYTES = 1024 * 1024;

/** An anchor, as JSON, and what it is in words; the verifier reads it. */
export interface Trusted {
	json: string | null;
	name: string;
	/** When its block was made, in seconds since 1970; null if it does not say. */
	time: number | null;
}

/** Returns the anchor that the page's server has. */
export function servedAnchor({ anchor }: Config): Trusted {
	if (!anchor) return { json: null, name: 'none', time: null };
	const chain = typeof anchor.chain === 'string' ? anchor.chain : 'an unnamed chain';
	return {
		json: JSON.stringify(anchor),
		name: `block ${anchor.number} of ${name(chain)}, as the server of this page has it`,
		time: timeOf(anchor),
	};
}

function timeOf(anchor: unknown): number | null {
	const time = (anchor as { time?: unknown } | null)?.time;
	return typeof time === 'number' ? time : null;
}

/** Reads an anchor's file as far as this page shows it. */
function read(json: string): unknown {
	try {
		return JSON.parse(json);
	} catch {
		return null; // the verifier says what is wrong with it
	}
}

interface Props {
	trusted: Trusted;
	served: Trusted;
	choose: (trusted: Trusted) => void;
	settled: boolean;
	setSettled: (settled: boolean) => void;
}

/** Lets a person choose what to trust and how much to ask for. */
export function Trust({ trusted, served, choose, settled, setSettled }: Props) {
	const take = async (file: File) => {
		const json = file.size > MAX_ANCHOR_BYTES ? '' : await file.text();
		choose({ json, name: `the anchor of the file ${file.name}`, time: timeOf(read(json)) });
	};
	const own = trusted.json !== served.json;
	return (
		<details>
			<summary>What the proof begins at, and what is asked of it</summary>
			<p>
				An anchor is a set of validators that you trust. By default it is the one that the server of this page has. If you do
				not trust that server, choose a file that “assay anchor” wrote from a node of your own.
			</p>
			<div class="field">
				<label for="anchor">Another anchor</label>
				<input
					id="anchor"
					type="file"
					accept=".json,application/json"
					onChange={({ currentTarget }) => {
						const file = currentTarget.files?.[0];
						if (file) void take(file);
						currentTarget.value = '';
					}}
				/>
			</div>
			{own ? <button type="button" class="second" onClick={() => choose(served)}>Use the server’s anchor</button> : null}
			<label class="radio">
				<input type="checkbox" checked={settled} onChange={({ currentTarget }) => setSettled(currentTarget.checked)} />
				Accept only what is settled
			</label>
		</details>
	);
}
