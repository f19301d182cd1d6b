//! From one entry a model to listings: jobs in flight, queues and receipts.

use crate::{
	migrations::{old, OldInput, OldJob, OldReceipt, OldTerms, V1ToV2, V2ToV3, GONE},
	mock::*,
	*,
};
use assay_primitives::{JobId, ListingId, ModelId, State, UncheckedInput, Verdict};
use codec::Encode;
use frame_support::{
	storage::unhashed,
	traits::{OnRuntimeUpgrade, StorageVersion},
};
use sp_runtime::traits::Convert;

/// The first listing of each model of the mock, but for one that left the catalog.
struct ListingOf;
impl Convert<ModelId, Option<ListingId>> for ListingOf {
	fn convert(model: ModelId) -> Option<ListingId> {
		(model != LONG_CONTEXT).then(|| ListingId(model.0[0].into()))
	}
}

type Migration = V1ToV2<Test, ListingOf>;

/// Writes the state of version 1 from which the present one would come.
fn downgrade() {
	for (id, job) in OpenJobs::iter().collect::<Vec<_>>() {
		let old = OldJob {
			requester: job.requester,
			count: job.count,
			model: job.model,
			terms: OldTerms {
				owner: job.terms.owner,
				parameters: job.terms.parameters,
				price_in: job.terms.prices.price_in,
				price_out: job.terms.prices.price_out,
				royalty: job.terms.royalty,
				context_length: job.terms.context_length,
				prompt_overhead: job.terms.prompt_overhead,
				retired: job.terms.retired,
			},
			params: job.params,
			input_hash: job.input_hash,
			input_ceiling: job.input_ceiling,
			output_ceiling: job.output_ceiling,
			fee_ceiling: job.fee_ceiling,
			verifiers: job.verifiers,
			requested_at: job.requested_at,
			state: job.state,
			attempt: job.attempt,
			deadline: job.deadline,
			engagement: job.engagement,
			answer: job.answer,
			failed: job.failed,
		};
		unhashed::put_raw(&OpenJobs::hashed_key_for(id), &old.encode());
	}
	for (id, receipt) in Receipts::<Test>::iter().collect::<Vec<_>>() {
		let old = OldReceipt {
			job: receipt.job,
			model: receipt.model,
			requester: receipt.requester,
			count: receipt.count,
			params: receipt.params,
			input_hash: receipt.input_hash,
			verdict: receipt.verdict,
			state: receipt.state,
			answer: receipt.answer,
			claim: receipt.claim,
			attempts: receipt.attempts,
			fee: receipt.fee,
			requested_at: receipt.requested_at,
			verdict_at: receipt.verdict_at,
			closed_at: receipt.closed_at,
		};
		unhashed::put_raw(&Receipts::<Test>::hashed_key_for(id), &old.encode());
	}
	let model = |listing: ListingId| ModelId([listing.0 as u8; 32]);
	let queue: Vec<_> = Queue::<Test>::drain().collect();
	queue
		.into_iter()
		.for_each(|(listing, index, id)| old::Queue::<Test>::insert(model(listing), index, id));
	let lines: Vec<_> = Lines::<Test>::drain().collect();
	lines
		.into_iter()
		.for_each(|(listing, line)| old::Lines::<Test>::insert(model(listing), line));
	let turns: Vec<_> = Turns::<Test>::drain().collect();
	turns
		.into_iter()
		.for_each(|(index, listing)| old::Turns::<Test>::insert(index, model(listing)));
	StorageVersion::new(1).put::<Pallet<Test>>();
}

#[test]
fn jobs_in_flight_and_receipts_get_their_listings() {
	TestExt::providers(4).build_and_execute(|| {
		let closed = published(0);
		end_claim(closed, State::Settled, Verdict::Unchecked);
		let executing = drawn(2);
		let waiting: Vec<_> = [MODEL, FREE, MODEL].map(|model| request_of(model, 0)).into();
		let before = (
			OpenJobs::iter().collect::<Vec<_>>(),
			Receipts::<Test>::iter().collect::<Vec<_>>(),
			sp_io::storage::root(Default::default()),
		);
		downgrade();
		assert_ne!(sp_io::storage::root(Default::default()), before.2);

		Migration::on_runtime_upgrade();
		assert_consistent();
		// The mock has no version at its genesis.
		unhashed::kill(&StorageVersion::storage_key::<Pallet<Test>>());
		assert_eq!(OpenJobs::iter().collect::<Vec<_>>(), before.0);
		assert_eq!(Receipts::<Test>::iter().collect::<Vec<_>>(), before.1);
		assert_eq!(
			sp_io::storage::root(Default::default()),
			before.2,
			"nothing of version 1 is left"
		);
		StorageVersion::new(2).put::<Pallet<Test>>();

		// Again, it changes nothing, and all jobs end.
		let root = sp_io::storage::root(Default::default());
		Migration::on_runtime_upgrade();
		assert_eq!(sp_io::storage::root(Default::default()), root);
		next_block();
		next_block();
		assert!(waiting
			.iter()
			.chain([&executing])
			.all(|id| job(*id).state == State::Executing));
	});
}

#[test]
fn a_receipt_of_a_model_that_is_gone_stays_readable() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request_of(LONG_CONTEXT, 0);
		next_block();
		next_block();
		publish(publication(id)).expect("a publication");
		end_claim(id, State::Settled, Verdict::Unchecked);
		downgrade();
		Migration::on_runtime_upgrade();
		assert_eq!((receipt(id).listing, receipt(id).listing_named), (GONE, false));
	});
}

#[test]
fn prompts_become_inputs_of_text_once() {
	TestExt::providers(4).build_and_execute(|| {
		let open = request(0);
		let closed = published(0);
		end_claim(closed, State::Settled, Verdict::Unchecked);
		let stored = |id: &JobId| UncheckedInput::from(Inputs::<Test>::get(id).expect("an input"));
		for id in [&open, &closed] {
			let old = OldInput::truncate_from(stored(id).bytes().to_vec());
			unhashed::put_raw(&Inputs::<Test>::hashed_key_for(id), &old.encode());
		}
		StorageVersion::new(2).put::<Pallet<Test>>();
		for _ in 0..2 {
			V2ToV3::<Test>::on_runtime_upgrade();
			assert_consistent();
			assert!([&open, &closed].iter().all(|id| stored(id) == input()));
			assert_eq!(StorageVersion::get::<Pallet<Test>>(), StorageVersion::new(3));
		}
	});
}
