//! The receipt file of a job: asked from a node, which need not be trusted, and saved or checked here.

import { useState } from 'preact/hooks';
import { message } from '../chain/errors';
import { callOnce, RpcError } from '../chain/rpc';
import { type Asked, askedAs, difference } from '../check/asked';
import { toCheck } from '../check/handoff';
import { Problem } from './status';

/** Codes of a node that cannot prove the receipt yet. */
const NOT_YET = [20_031, 20_032];
const PATIENCE = 90_000;
const PAUSE = 2_000;

async function prove(node: string, job: string): Promise<unknown> {
	const until = Date.now() + PATIENCE;
	for (;;) {
		try {
			return await callOnce<unknown>(node, 'assay_receiptProof', [job]);
		} catch (error) {
			const early = error instanceof RpcError && NOT_YET.includes(error.code);
			if (!early || Date.now() > until) throw error;
			await new Promise((wake) => setTimeout(wake, PAUSE));
		}
	}
}

async function fetchFile(node: string, asked: Asked): Promise<string> {
	if (!node) throw new Error('No node’s URL is known. Enter one under Connection: only a node makes receipt files.');
	const file = await prove(node, asked.job);
	if (!file || typeof file !== 'object') throw new Error(`The node at ${node} returned no receipt file. Ask another node.`);
	const other = difference(file, asked);
	if (other) throw new Error(`The node at ${node} returned a receipt file that is not of this job: ${other}. Do not use it; ask another node.`);
	return `${JSON.stringify(file, null, '\t')}\n`;
}

function save(text: string, name: string): void {
	const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
	const link = document.createElement('a');
	link.href = url;
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Offers the receipt file of a job whose verdict is finalized. */
export function ReceiptFile({ genesis, job, node }: { genesis: string; job: string; node: string }) {
	const [said, setSaid] = useState('');
	const [problem, setProblem] = useState<string | null>(null);
	const asked = askedAs(genesis, job);
	const about = asked.signed ? 'It is about what you asked: question, model and terms are the same.' : 'It is about this job.';
	const get = async (then: (text: string) => void) => {
		setProblem(null);
		setSaid(`Asking ${node || 'a node'} for the file.`);
		try {
			then(await fetchFile(node, asked));
		} catch (error) {
			setProblem(message(error));
			setSaid('');
		}
	};
	const onSave = () =>
		get((text) => {
			save(text, `receipt-${job.slice(2, 10)}.json`);
			setSaid(`Saved. ${about} ${node} made the file; it need not be trusted: check the file here, or with “assay verify”.`);
		});
	const onCheck = () =>
		get((text) => {
			toCheck(text, `receipt-${job.slice(2, 10)}.json`, `${about} It came from ${node}, which need not be trusted.`);
		});
	return (
		<section class="row" aria-label="Receipt file">
			<button type="button" onClick={onSave}>Save the receipt file</button>
			<button type="button" class="second" onClick={onCheck}>Check the receipt</button>
			<p class="note" role="status">{said}</p>
			{problem ? <Problem>{problem}</Problem> : null}
		</section>
	);
}
