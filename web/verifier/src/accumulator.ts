/** The list of all final receipts: a Merkle mountain range, of which the chain stores the number of leaves and the peaks. */

import { concatBytes, derive } from "./bytes.js";
import { encode, list, hash32, struct, u64 } from "./codec.js";
import type { Leaf } from "./receipt.js";

const accumulator = struct({ leaves: u64, peaks: list(hash32, 64) });

/** Returns the hash over what a chain stores of its accumulator, in its encoding. */
export function rootOf(stored: Uint8Array): Uint8Array {
	return derive("assay/v1/accumulator-root", stored);
}

/**
 * Returns the root to which a proof leads from a leaf; null if there is no proof, or its shape is not the one that
 * follows from the number of leaves and the index.
 */
export function provenRoot({ index, proof }: Leaf, leaf: Uint8Array): Uint8Array | null {
	if (proof === null || index >= proof.leaves) return null;
	// Larger trees hold the leaves before the first bit in which the numbers differ.
	const height = (proof.leaves ^ index).toString(2).length - 1;
	const place = ones(proof.leaves >> BigInt(height + 1));
	if (proof.siblings.length !== height || proof.peaks.length !== ones(proof.leaves) - 1) return null;
	let node = derive("assay/v1/accumulator-leaf", leaf);
	for (const [level, sibling] of proof.siblings.entries()) {
		const isRight = ((index >> BigInt(level)) & 1n) === 1n;
		node = derive("assay/v1/accumulator-node", isRight ? concatBytes(sibling, node) : concatBytes(node, sibling));
	}
	const peaks = [...proof.peaks.slice(0, place), node, ...proof.peaks.slice(place)];
	return rootOf(encode(accumulator, { leaves: proof.leaves, peaks }));
}

function ones(value: bigint): number {
	return value.toString(2).replaceAll("0", "").length;
}
