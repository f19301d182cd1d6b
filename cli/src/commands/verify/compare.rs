//! A receipt file beside what a node says of it.

use super::Context;
use crate::{
	chain::{At, Chain},
	error::CliError,
	render,
};
use assay_primitives::accumulator::verify;
use assay_receipt::{differences, ChainReceipt, Leaf, ReceiptFile};

/// What a finalized block knows of a receipt.
pub(super) struct Found {
	/// The receipt as the chain has it now.
	pub(super) receipt: ChainReceipt,
	/// The block's number.
	pub(super) number: u32,
	/// What was found, in words.
	pub(super) facts: Vec<String>,
	/// Whether the chain has pruned the receipt and only its accumulator has it.
	pub(super) pruned: bool,
}

/// Compares a receipt with what a finalized block stores, or with its accumulator if it is pruned.
pub(super) async fn compare(cx: &Context, file: &ReceiptFile) -> Result<Found, CliError> {
	let chain = cx.chain().await?;
	let not = |why: String| Err(CliError::NotVerified(why));
	if chain.genesis() != file.genesis {
		return not(format!(
			"The receipt is of another chain than {}'s ({}): name a node of its chain, or verify it without --url",
			cx.global.url, chain.name
		));
	}
	let at = chain.finalized().await?;
	let number = at.block_number();
	let block = u32::try_from(number).unwrap_or(u32::MAX);
	let Some(stored) = chain.receipt(&at, file.receipt.job).await? else {
		if u64::from(file.receipt.verdict_at) > number {
			return not(format!(
				"Its verdict is of block {}, and only block {number} is finalized: try again in some seconds",
				file.receipt.verdict_at
			));
		}
		return Ok(Found {
			receipt: file.receipt.clone(),
			number: block,
			facts: vec![accumulated(chain, &at, file).await?],
			pruned: true,
		});
	};
	let wrong = differences(&file.receipt, &stored);
	if !wrong.is_empty() {
		return not(format!(
			"The chain stores another receipt of this job; it differs in: {}",
			wrong.join(", ")
		));
	}
	let same = file.receipt == stored;
	let mut facts = vec![if same {
		format!(
			"the chain {} stores exactly this receipt, in finalized block {number}",
			chain.name
		)
	} else {
		format!(
			"the chain {} stores this receipt, which has gone on since: it is {} in finalized block {number}",
			chain.name,
			render::state(stored.state)
		)
	}];
	let read = &file.read_at;
	if u64::from(read.number) <= number {
		match chain.hash_at(read.number).await? {
			Some(hash) if hash == read.hash => facts.push(format!(
				"block {}, where it was read, is on the finalized chain",
				read.number
			)),
			_ if read.finalized => {
				return not(format!(
					"read_at: block {} of the finalized chain has another hash",
					read.number
				))
			}
			_ => {}
		}
	}
	Ok(Found {
		receipt: stored,
		number: block,
		facts,
		pruned: false,
	})
}

/// Holds a receipt that the chain does not store against the chain's accumulator. Returns what was found.
async fn accumulated(chain: &Chain, at: &At, file: &ReceiptFile) -> Result<String, CliError> {
	let number = at.block_number();
	let leaf = provable(file).map_err(|why| {
		CliError::NotVerified(format!(
			"Finalized block {number} stores no receipt of this job: it never did, or the receipt was pruned. {why} \
			 (without --url the rest is verified)"
		))
	})?;
	let accumulator = chain.accumulator(at).await?;
	let proof = match (chain.accumulator_proof(at, leaf.index).await, &leaf.proof) {
		(Ok(proof), _) => proof,
		// The file's own proof holds until the next receipt is appended.
		(Err(_), Some(proof)) if proof.leaves == accumulator.leaves => proof.clone(),
		(Err(error), _) => return Err(error),
	};
	if !verify(&accumulator.root(), &file.receipt.leaf(), leaf.index, &proof) {
		return Err(CliError::NotVerified(format!(
			"Finalized block {number} stores no receipt of this job, and the chain's accumulator has another receipt than \
			 this one at index {}",
			leaf.index
		)));
	}
	Ok(format!(
		"the chain {} has pruned this receipt, and its accumulator still has exactly this one: at index {} of {} in \
		 finalized block {number}",
		chain.name, leaf.index, accumulator.leaves
	))
}

/// Returns where a receipt is in the chain's accumulator, or why that is not known.
fn provable(file: &ReceiptFile) -> Result<&Leaf, &'static str> {
	if !file.receipt.is_settled() {
		return Err("The accumulator has final receipts only, and this file was saved before its job was final");
	}
	file.accumulator.as_ref().ok_or(
		"The file does not name its place in the chain's accumulator: `assay receipt --save` writes it while the chain \
		 stores the receipt, once it is final in a finalized block",
	)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn only_a_final_receipt_with_its_place_is_provable_when_it_is_pruned() {
		let file = |golden| ReceiptFile::from_json(golden).unwrap();
		macro_rules! golden {
			($name:literal) => {
				file(include_str!(concat!(
					"../../../../receipt/tests/golden/",
					$name,
					".json"
				)))
			};
		}
		assert_eq!(provable(&golden!("settled")).map(|leaf| leaf.index), Ok(5));
		assert!(provable(&golden!("confirmed"))
			.unwrap_err()
			.contains("saved before its job was final"));
		assert!(provable(&golden!("overturned"))
			.unwrap_err()
			.contains("does not name its place"));
	}
}
