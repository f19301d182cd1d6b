//! Facts in pairs, and hashes that are cut for the eye and whole for the clipboard.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { short } from '../format';

/** A list of facts; pairs without a value are left out. */
export function Facts({ of }: { of: [string, ComponentChildren][] }) {
	return (
		<dl class="facts">
			{of.map(([name, value]) =>
				value === null || value === undefined || value === '' ? null : (
					<div key={name}>
						<dt>{name}</dt>
						<dd>{value}</dd>
					</div>
				),
			)}
		</dl>
	);
}

/** A hash or an address, cut; a button copies all of it. */
export function Hash({ value, of }: { value: string; of: string }) {
	const [copied, setCopied] = useState(false);
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(value);
			setCopied(true);
			setTimeout(() => setCopied(false), 2_000);
		} catch {
			// A page that may not write to the clipboard: the title has it all.
		}
	};
	return (
		<span class="hash">
			<code title={value}>{short(value)}</code>
			<button type="button" class="small" onClick={copy} aria-label={`Copy the ${of}`}>
				{copied ? 'copied' : 'copy'}
			</button>
		</span>
	);
}
