//! What all messages of providers have in common: how long they stay valid, and what the pool learns of them.

use codec::Encode;
use sp_runtime::{
	traits::AtLeast32BitUnsigned,
	transaction_validity::{InvalidTransaction, TransactionPriority, TransactionValidityError, ValidTransaction},
};

/// Blocks for which a message stays valid.
pub const LONGEVITY: u32 = 16;

/// Returns for how many more blocks a message that was made at a block stays valid, or none if it is too old or was made
/// at a block that is not here yet.
pub fn blocks_left<N: AtLeast32BitUnsigned>(now: N, at: N) -> Option<u32> {
	let age: u32 = now.checked_sub(&at)?.unique_saturated_into();
	LONGEVITY.checked_sub(age)
}

/// Returns what the pool learns of a message that stays valid for so many blocks. `provides` has its tags.
pub fn valid<Tag: Encode>(
	prefix: &'static str,
	priority: TransactionPriority,
	blocks_left: u32,
	provides: impl IntoIterator<Item = Tag>,
) -> ValidTransaction {
	let builder = ValidTransaction::with_tag_prefix(prefix)
		.priority(priority)
		.longevity(blocks_left.max(1).into())
		.propagate(true);
	provides
		.into_iter()
		.fold(builder, |builder, tag| builder.and_provides(tag))
		.into()
}

/// Returns the pool's refusal that carries the index of a pallet's error.
pub fn refusal(error: impl Encode) -> TransactionValidityError {
	InvalidTransaction::Custom(error.encode().first().copied().unwrap_or(u8::MAX)).into()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_message_is_valid_from_its_block_on_for_its_longevity() {
		assert_eq!(blocks_left(9u32, 10), None);
		assert_eq!(blocks_left(10u32, 10), Some(LONGEVITY));
		assert_eq!(blocks_left(10 + LONGEVITY, 10), Some(0));
		assert_eq!(blocks_left(11 + LONGEVITY, 10), None);
	}

	#[test]
	fn a_refusal_carries_the_first_byte_of_an_error() {
		assert_eq!(refusal(7u8), InvalidTransaction::Custom(7).into());
	}
}
