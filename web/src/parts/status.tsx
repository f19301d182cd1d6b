//! States, each as a shape and a word: readable without color.

import type { ComponentChildren } from 'preact';

export type Kind = 'good' | 'bad' | 'open' | 'now' | 'waits';

const SHAPES: Record<Kind, string> = {
	good: 'M3 8.5 6.5 12 13 4.5',
	bad: 'M4 4l8 8M12 4l-8 8',
	open: 'M8 3v6M8 12v.5',
	now: 'M8 8h.01',
	waits: '',
};

/** Draws the shape of a state: a check, a cross, an exclamation mark, a dot or an empty ring. */
export function Shape({ kind }: { kind: Kind }) {
	return (
		<svg class={`shape ${kind}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
			<circle cx="8" cy="8" r="7.2" class="ring" />
			<path d={SHAPES[kind]} class="mark" />
		</svg>
	);
}

/** A state in one line. */
export function Badge({ kind, children }: { kind: Kind; children: ComponentChildren }) {
	return (
		<span class={`badge ${kind}`}>
			<Shape kind={kind} />
			<span>{children}</span>
		</span>
	);
}

/** Says what went wrong, at once also to those who cannot see it. */
export function Problem({ children }: { children: ComponentChildren }) {
	return (
		<p class="problem" role="alert">
			<Shape kind="bad" />
			<span>{children}</span>
		</p>
	);
}
