//! The accumulator: one leaf for each job, whatever its end, and a proof that outlives the receipt.

use crate::{mock::*, *};
use assay_primitives::{
	accumulator::{verify, Accumulator, NoProof, Node, Proof},
	receipt::RefundReason,
	traits::{ClaimSource, Claims},
	JobId, LeafHash, NodeHash, State, Verdict,
};
use codec::DecodeAll;
use frame_support::assert_ok;
use frame_system::RawOrigin;
use sp_core::offchain::testing::TestPersistentOffchainDB;

fn accumulator() -> Accumulator {
	ReceiptAccumulator::<Test>::get()
}

/// Appends these leaves to an empty accumulator.
fn rebuilt(leaves: &[LeafHash]) -> Accumulator {
	let mut accumulator = Accumulator::default();
	for leaf in leaves {
		accumulator.append(leaf).expect("room for a leaf");
	}
	accumulator
}

fn settled() -> JobId {
	let id = published(0);
	end_claim(id, State::Settled, Verdict::Unchecked);
	id
}

/// Returns the leaf events of this block.
fn appended() -> Vec<(JobId, u64, LeafHash)> {
	let of = |event| match event {
		Event::Accumulated { job, index, leaf } => Some((job, index, leaf)),
		_ => None,
	};
	events().into_iter().filter_map(of).collect()
}

#[test]
fn every_way_to_end_appends_one_leaf_in_order() {
	TestExt::providers(4).build_and_execute(|| {
		let mut leaves = Vec::new();
		let mut check = |id: JobId, state: State| {
			let index = leaves.len() as u64;
			leaves.push(receipt(id).leaf());
			assert_eq!(receipt(id).state, state);
			assert_eq!(Leaves::<Test>::get(id), Some(index));
			assert_eq!(accumulator(), rebuilt(&leaves));
		};
		for (state, verdict) in [
			(State::Settled, Verdict::Confirmed),
			(State::Settled, Verdict::Unverified),
			(State::Overturned, Verdict::Overturned),
			(State::Refunded, Verdict::Refunded(RefundReason::Undecided)),
		] {
			let id = published(2);
			assert_eq!(Leaves::<Test>::get(id), None, "what is open has no leaf");
			end_claim(id, state, verdict);
			assert_eq!(appended().len(), 1);
			check(id, state);
		}
		// Nobody publishes: three attempts, then a refund.
		let id = drawn(1);
		while OpenJobs::contains_key(id) {
			next_block();
		}
		assert_eq!(receipt(id).verdict, Verdict::Refunded(RefundReason::NoOutput));
		check(id, State::Refunded);
		// Nobody has a free place until the queue time is over.
		Capacity::set(0);
		let id = request(1);
		while OpenJobs::contains_key(id) {
			next_block();
		}
		assert_eq!(receipt(id).verdict, Verdict::Refunded(RefundReason::QueueTimeOver));
		check(id, State::Refunded);
	});
}

#[test]
fn the_event_is_all_that_an_indexer_needs() {
	TestExt::providers(1).build_and_execute(|| {
		let first = settled();
		assert_eq!(appended(), [(first, 0, receipt(first).leaf())]);
		System::reset_events();
		let second = settled();
		let events = appended();
		assert_eq!(events, [(second, 1, receipt(second).leaf())]);
		assert_eq!(accumulator(), rebuilt(&[receipt(first).leaf(), events[0].2]));
	});
}

#[test]
fn a_claim_that_ends_twice_appends_nothing_the_second_time() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(2);
		let claim = claim_of(id);
		let mut status = MockClaims::status(&claim).expect("an open claim");
		status.state = State::Overturned;
		end_claim(id, State::Settled, Verdict::Confirmed);
		let before = (accumulator(), receipt(id));
		assert_eq!(crate::mock::Jobs::closed(&id, &claim, status, &[]), 0);
		assert_eq!((accumulator(), receipt(id)), before);
	});
}

#[test]
fn pruning_leaves_the_accumulator_as_it_was() {
	TestExt::providers(1).build_and_execute(|| {
		let id = settled();
		let (before, leaf) = (accumulator(), receipt(id).leaf());
		assert_ok!(crate::mock::Jobs::prune(RawOrigin::Signed(requester()).into(), id));
		assert_eq!((accumulator(), Leaves::<Test>::get(id)), (before, None));
		assert_eq!(accumulator().root(), rebuilt(&[leaf]).root());
	});
}

#[test]
fn an_inconsistent_accumulator_stops_no_job() {
	TestExt::providers(1).build().execute_with(|| {
		let broken = Accumulator {
			leaves: 3,
			peaks: Default::default(),
		};
		let id = published(0);
		ReceiptAccumulator::<Test>::put(&broken);
		end_claim(id, State::Settled, Verdict::Unchecked);
		assert_eq!(receipt(id).state, State::Settled);
		assert_eq!((accumulator(), Leaves::<Test>::get(id)), (broken, None));
		assert!(crate::mock::Jobs::do_try_state().is_err());
	});
}

// ── proofs from the offchain database ────────────────────────────────────────

/// Returns a chain with an offchain database that is indexed, and the database.
fn indexed() -> (sp_io::TestExternalities, TestPersistentOffchainDB) {
	let ext = TestExt::providers(2).build();
	let storage = ext.offchain_db();
	(ext, storage)
}

fn prove(storage: &TestPersistentOffchainDB, accumulator: &Accumulator, index: u64) -> Result<Proof, NoProof> {
	accumulator.prove(index, |hash: &NodeHash| {
		let bytes = storage.get(&hash.key())?;
		Node::decode_all(&mut &bytes[..]).ok()
	})
}

#[test]
fn a_pruned_receipt_is_proved_from_the_offchain_database() {
	let (mut ext, storage) = indexed();
	let leaves = ext.execute_with(|| {
		let ids: Vec<_> = (0..11).map(|_| settled()).collect();
		let leaves: Vec<_> = ids.iter().map(|id| receipt(*id).leaf()).collect();
		for id in ids {
			assert_ok!(crate::mock::Jobs::prune(RawOrigin::Signed(requester()).into(), id));
		}
		leaves
	});
	ext.persist_offchain_overlay();
	let accumulator = ext.execute_with(accumulator);
	for (index, leaf) in leaves.iter().enumerate() {
		let proof = prove(&storage, &accumulator, index as u64).expect("a proof");
		assert!(verify(&accumulator.root(), leaf, index as u64, &proof));
	}
	assert_eq!(prove(&storage, &accumulator, 11), Err(NoProof::UnknownLeaf));
}

#[test]
fn a_node_that_does_not_index_has_no_proofs_and_says_which_node_it_lacks() {
	let (mut ext, storage) = indexed();
	let accumulator = ext.execute_with(|| {
		settled();
		settled();
		accumulator()
	});
	assert_eq!(
		prove(&storage, &accumulator, 0),
		Err(NoProof::MissingNode(accumulator.peaks[0]))
	);
}

#[test]
fn both_forks_stay_provable_in_one_database() {
	let (mut ext, storage) = indexed();
	ext.execute_with(|| {
		settled();
	});
	ext.commit_all().expect("a block");
	let mut fork = |state: State, verdict: Verdict| {
		let end = ext.execute_with(|| {
			let id = published(0);
			end_claim(id, state, verdict);
			let leaf = receipt(id).leaf();
			settled();
			settled();
			(accumulator(), leaf)
		});
		ext.persist_offchain_overlay();
		// The other fork begins at the same block.
		ext.reset_overlay();
		end
	};
	let (one, first) = fork(State::Settled, Verdict::Unchecked);
	let (other, second) = fork(State::Overturned, Verdict::Overturned);
	assert_ne!((one.root(), first), (other.root(), second));
	for (accumulator, leaf) in [(&one, first), (&other, second)] {
		let proof = prove(&storage, accumulator, 1).expect("a proof");
		assert!(verify(&accumulator.root(), &leaf, 1, &proof));
	}
	let proof = prove(&storage, &one, 1).expect("a proof");
	assert!(!verify(&other.root(), &first, 1, &proof), "what lost is not proved");
}
