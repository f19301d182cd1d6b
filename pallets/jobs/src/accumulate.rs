//! The accumulator of final receipts: what a receipt file is held against when the receipt itself is pruned.

use crate::*;
use assay_primitives::JobId;
use codec::Encode;

impl<T: Config> Pallet<T> {
	/// Appends a final receipt to the accumulator. Its new inner nodes go to the offchain database of those nodes that
	/// index it, each under its own hash.
	pub(crate) fn accumulate(id: &JobId, receipt: &ReceiptOf<T>) {
		let leaf = receipt.leaf();
		let mut accumulator = ReceiptAccumulator::<T>::get();
		let Some(appended) = accumulator.append(&leaf) else {
			// Cannot happen while the state is consistent. The receipt stays all the same.
			log::error!(target: LOG_TARGET, "Job {id}: the accumulator takes no receipt");
			return;
		};
		for (hash, node) in appended.nodes {
			sp_io::offchain_index::set(&hash.key(), &node.encode());
		}
		ReceiptAccumulator::<T>::put(accumulator);
		Leaves::<T>::insert(id, appended.index);
		Self::deposit_event(Event::Accumulated {
			job: *id,
			index: appended.index,
			leaf,
		});
	}
}
