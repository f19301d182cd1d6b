/** The receipt file: its limits and its shape. */

import { fromUtf8 } from "./bytes.js";
import { blob, bool, hash32, list, type Of, option, optional, struct, u32, u64 } from "./codec.js";
import { isWellFormed, readJson } from "./json.js";
import { input, leaf, output, receipt, stream } from "./receipt.js";
import { ensure, Refusal } from "./refusal.js";

export const MAX_FILE_BYTES = 8 * 1024 * 1024;
/** The format that has evidence of finality, and the last one without. */
export const FORMAT = 5;
const FORMAT_WITHOUT_EVIDENCE = 4;

const MAX_HEADER_BYTES = 64 * 1024;
const MAX_JUSTIFICATION_BYTES = 1024 * 1024;
const MAX_HANDOVERS = 4096;
const MAX_NODES = 1024;
const MAX_NODE_BYTES = 64 * 1024;

const header = blob(MAX_HEADER_BYTES);
const justification = blob(MAX_JUSTIFICATION_BYTES);

const finality = struct({
	header,
	justification,
	set_id: u64,
	handovers: list(struct({ header, justification }), MAX_HANDOVERS),
	state: list(blob(MAX_NODE_BYTES), MAX_NODES),
});
/** Why a block is final, and what its state stores. */
export type Finality = Of<typeof finality>;

const fields = {
	format: u32,
	genesis: hash32,
	read_at: struct({ number: u32, hash: hash32, finalized: bool }),
	input,
	output: option(output),
	receipt,
	accumulator: optional(leaf),
	stream: optional(stream),
};
const withoutEvidence = struct(fields);
const withEvidence = struct({ ...fields, finality: optional(finality) });

export type ReceiptFile = Of<typeof withEvidence>;

/** Returns the text of a file; refuses what has more bytes in UTF-8, or is not UTF-8. */
export function readText(file: string | Uint8Array, most: number): string {
	ensure(file.length <= most, "too_long");
	if (typeof file !== "string") {
		const text = fromUtf8(file);
		ensure(text !== null, "not_json", "it is not UTF-8");
		return text;
	}
	ensure(isWellFormed(file), "not_json", "it has half a character");
	ensure(new TextEncoder().encode(file).length <= most, "too_long");
	return file;
}

/** Reads a receipt file. */
export function readFile(file: string | Uint8Array): ReceiptFile {
	const value = readJson(readText(file, MAX_FILE_BYTES));
	const format = value instanceof Map ? value.get("format") : undefined;
	// Named before the rest is read: another format has other fields.
	if (typeof format === "number" && format !== FORMAT && format !== FORMAT_WITHOUT_EVIDENCE) {
		throw new Refusal("format", `format ${format}; this program reads ${FORMAT_WITHOUT_EVIDENCE} and ${FORMAT}`);
	}
	if (format === FORMAT_WITHOUT_EVIDENCE) return { ...withoutEvidence.read(value), finality: null };
	const read = withEvidence.read(value);
	const { finality } = read;
	const begins = finality === null || finality.set_id >= BigInt(finality.handovers.length);
	ensure(begins, "malformed", "finality/handovers/more than there were sets before");
	return read;
}
