//! A file that another part of this page hands to the checker.

/** A receipt file to check. */
export interface Given {
	text: Uint8Array;
	name: string;
	/** Where it came from, in a sentence. */
	origin: string;
}

let given: Given | null = null;

/** Opens the checker with a file. */
export function toCheck(text: string, name: string, origin: string): void {
	given = { text: new TextEncoder().encode(text), name, origin };
	location.hash = '#/check';
}

/** Returns the file that was handed over, once. */
export function takeGiven(): Given | null {
	const taken = given;
	given = null;
	return taken;
}
