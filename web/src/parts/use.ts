//! What is read from the chain when a component appears.

import { useCallback, useEffect, useState } from 'preact/hooks';
import { message } from '../chain/errors';

/** A value that is read: not yet, there, or why not. */
export interface Loaded<T> {
	value: T | null;
	problem: string | null;
	again: () => void;
}

/** Reads a value when the component appears and when one of `on` changes. */
export function useLoaded<T>(read: () => Promise<T>, on: unknown[]): Loaded<T> {
	const [state, setState] = useState<{ value: T | null; problem: string | null }>({ value: null, problem: null });
	const [round, setRound] = useState(0);
	useEffect(() => {
		let current = true;
		read()
			.then((value) => current && setState({ value, problem: null }))
			.catch((error) => current && setState((old) => ({ ...old, problem: message(error) })));
		return () => {
			current = false;
		};
	}, [...on, round]);
	const again = useCallback(() => setRound((n) => n + 1), []);
	return { ...state, again };
}
