/** Numbers as sentences write them: never better than they are. */

const UNITS_PER_ASY = 1_000_000_000_000n;
const PLACES = 12;

/** Groups digits by thousands: `40 000`. */
function grouped(n: bigint): string {
	return n.toString().replace(/\B(?=(?:\d{3})+$)/g, " ");
}

/** Writes a stake in whole ASY, or exactly if it is less than one. */
export function stake(units: bigint): string {
	const whole = units / UNITS_PER_ASY;
	if (whole > 0n) return `${grouped(whole)} ASY`;
	const part = units.toString().padStart(PLACES, "0").replace(/0+$/, "");
	return part === "" ? "0 ASY" : `0.${part} ASY`;
}

/** Rounds down to two significant digits. */
function twoDigits(x: number): number {
	// A power of ten from its digits is exact; that of `Math.pow` is each engine's own.
	const scale = Number(`1e${Math.floor(Math.log10(x)) - 1}`);
	// A number with two digits must not lose one to its binary form.
	return Math.floor(x / scale + 1e-9) * scale;
}

/** Writes a value in base units as ASY, rounded down to two significant digits. */
export function worth(units: number): string {
	const all = units / Number(UNITS_PER_ASY);
	if (all < 0.001) return "0 ASY";
	const asy = twoDigits(all);
	const [amount, unit] = asy >= 1e9 ? [asy / 1e9, " billion"] : asy >= 1e6 ? [asy / 1e6, " million"] : [asy, ""];
	return `${amount >= 1e4 ? grouped(BigInt(Math.round(amount))) : plain(amount, 4)}${unit} ASY`;
}

/** Writes a number with at most so many decimals, and none that are zero. */
function plain(x: number, decimals: number): string {
	return rounded(x, decimals).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

/** Rounds to decimals, ties to even as Rust does; `toFixed` rounds them up. */
function rounded(x: number, decimals: number): string {
	const up = x.toFixed(decimals);
	// A tie has one more binary place than decimals at most, so one more decimal writes it exactly.
	const isExact = Number.isInteger(x * 2 ** (decimals + 1));
	const tie = isExact && x.toFixed(decimals + 1).endsWith("5");
	const lastIsOdd = Number(up.at(-1)) % 2 === 1;
	return tie && lastIsOdd ? x.toFixed(decimals + 1).slice(0, decimals === 0 ? -2 : -1) : up;
}

/** Writes a share in per cent, with two significant digits below 10 %. */
export function percent(share: number): string {
	const percent = share * 100;
	return `${plain(percent, percent >= 10 ? 1 : percent >= 1 ? 2 : 4)} %`;
}

/** Writes how many of all false answers pass, rounded so that it never sounds better than it is. */
export function passing(chance: number): string {
	if (chance >= 1) return "every false answer";
	const n = Math.floor(1 / chance);
	if (!Number.isFinite(n) || n >= 1e18) return "hardly any false answer";
	if (n < 2) return "more than half of all false answers";
	return `1 false answer in ${n < 100 ? n : grouped(BigInt(Math.trunc(twoDigits(n))))}`;
}

/** Writes a number of things: `1 seat`, `2 seats`. */
export function number(n: number, one: string): string {
	return n === 1 ? `1 ${one}` : `${n} ${one}s`;
}
