//! How amounts, hashes and times are written for people.

const DECIMALS = 12n;
const UNIT = 10n ** DECIMALS;

/** Returns an amount of base units in ASY, exactly. */
export function asy(amount: bigint): string {
	const fraction = (amount % UNIT).toString().padStart(Number(DECIMALS), '0').replace(/0+$/, '');
	const whole = (amount / UNIT).toString().replace(/\B(?=(\d{3})+$)/g, ' ');
	return `${whole}${fraction ? `.${fraction}` : ''} ASY`;
}

/** Returns a name that somebody chose without what could make it look like something else: it stays one line, in one direction. */
export function name(text: string): string {
	return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').slice(0, 80) || '(no name)';
}

/** Returns the first and last digits of a hash or an address, which are enough to recognize it. */
export function short(text: string): string {
	return text.length > 20 ? `${text.slice(0, 10)}…${text.slice(-6)}` : text;
}

/** Returns a number and its noun. */
export function count(n: number, noun: string, plural = `${noun}s`): string {
	return `${n.toLocaleString('en-US')} ${n === 1 ? noun : plural}`;
}

/** Returns a number of bytes. */
export function bytes(n: bigint): string {
	for (const [unit, size] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]] as const) {
		if (n >= size) return `${(Number(n) / size).toFixed(1)} ${unit}`;
	}
	return `${n} bytes`;
}

/** Returns how long a number of seconds is. */
export function duration(seconds: number): string {
	for (const [unit, size] of [['day', 86_400], ['hour', 3_600], ['minute', 60]] as const) {
		if (seconds >= 2 * size) return count(Math.floor(seconds / size), unit);
	}
	return count(Math.max(0, Math.floor(seconds)), 'second');
}

const ITEM_WORDS: Record<string, string> = {
	Lapse: 'did not vote in time',
	NoOutput: 'published nothing in time',
	FalseClaim: 'stood for a false answer',
	FalseRejection: 'rejected a true answer',
	FalseApproval: 'approved what does not fit the opened root',
	WrongJuror: 'voted against the decision',
};

/** Returns what a provider did wrong, in words. */
export function fault(name: string): string {
	return ITEM_WORDS[name] ?? name;
}
