//! Benchmarks: the worst case of each call, each authorization and each hook.

use crate::*;
use alloc::{vec, vec::Vec};
use assay_primitives::{
	crypto::InferenceId,
	job::Input,
	limits::{MAX_BATCH, MAX_COMMITTEE, MAX_INPUT_BYTES, MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS, MAX_PROVIDERS_PER_MODEL},
	vote::Salt,
	Balance, Commitment, FinishReason, JobId, ModelId, Output, SamplingParams, TraceRoot, Vote,
};
use frame_benchmarking::v2::*;
use frame_support::{
	pallet_prelude::{Authorize, TransactionSource},
	traits::{Get, Hooks},
	weights::Weight,
	BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::{
	traits::{One, Saturating},
	RuntimeAppPublic,
};

/// What benchmarks need of other pallets: models, providers and money.
pub trait BenchmarkHelper<AccountId> {
	/// Returns a model of the longest context and the providers that serve it, one for each key, bonded, with a
	/// capacity of fifty jobs.
	fn providers(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>);
	/// Returns an account that can pay for fifty jobs.
	fn requester() -> AccountId;
}

const SALT: Salt = [8; 32];
const CONFIRM: Vote = Vote::Confirm {
	trace_root: TraceRoot([3; 32]),
};
const DISSENT: Vote = Vote::Reject {
	position: 1,
	prefix_root: TraceRoot([4; 32]),
};

/// A model, its providers and a requester.
struct Fixture<T: Config> {
	model: ModelId,
	requester: T::AccountId,
	keys: Vec<(T::AccountId, InferenceId)>,
}

impl<T: Config> Fixture<T> {
	fn new(providers: u32) -> Self {
		frame_system::Pallet::<T>::set_block_number(One::one());
		let keys: Vec<_> = (1..=providers)
			.map(|n| InferenceId::generate_pair(Some(alloc::format!("0x{n:064x}").into_bytes())))
			.collect();
		let (model, accounts) = T::BenchmarkHelper::providers(&keys);
		Self {
			model,
			requester: T::BenchmarkHelper::requester(),
			keys: accounts.into_iter().zip(keys).collect(),
		}
	}

	fn sign(&self, who: &T::AccountId, message: &[u8]) -> assay_primitives::crypto::InferenceSignature {
		let (_, key) = self
			.keys
			.iter()
			.find(|(account, _)| account == who)
			.expect("a provider of the fixture");
		key.sign(&message).expect("a key of the keystore")
	}

	/// Returns a new job that waits for the largest committee.
	fn requested(&self, bytes: u32) -> JobId {
		let before: Vec<_> = Jobs::<T>::iter_keys().collect();
		let input: Input = BoundedVec::truncate_from(vec![b'a'; bytes as usize]);
		let params = SamplingParams::greedy(MAX_OUTPUT_TOKENS);
		let size = T::Params::get().max_committee;
		Pallet::<T>::do_request(self.requester.clone(), self.model, input, params, size, Balance::MAX)
			.expect("a request");
		Jobs::<T>::iter_keys().find(|id| !before.contains(id)).expect("a job")
	}

	/// Returns a job whose committee of `n` is at work.
	fn drawn(&self, n: u32) -> JobId {
		let id = self.requested(1);
		Jobs::<T>::mutate(id, |job| job.as_mut().expect("a job").size = n);
		leave_queue::<T>(&id);
		Pallet::<T>::draw_one(&id, &[1; 32], now::<T>());
		id
	}

	fn publication(&self, id: JobId, bytes: u32) -> PublicationOf<T> {
		let voter = seats::<T>(&id).swap_remove(0);
		let commitment = commitment::<T>(&id, &voter, CONFIRM);
		Publication {
			commitment,
			voter,
			job: id,
			attempt: 0,
			output: output(bytes),
			at: now::<T>(),
		}
	}

	/// Returns a job in which all of a committee of `n` but `who` have committed.
	fn committing(&self, n: u32, who: &T::AccountId) -> JobId {
		let id = self.drawn(n);
		// The executor is drawn at random; `who` must be a verifier.
		Jobs::<T>::mutate(id, |job| {
			let seats = &mut job.as_mut().expect("a job").committee;
			if seats.first().map(|seat| &seat.provider) == Some(who) {
				seats.as_mut().swap(0, 1);
			}
		});
		Pallet::<T>::do_publish(self.publication(id, 1)).expect("a publication");
		for voter in seats::<T>(&id).iter().skip(1).filter(|voter| *voter != who) {
			let item = CommitItem {
				job: id,
				attempt: 0,
				commitment: commitment::<T>(&id, voter, CONFIRM),
			};
			Pallet::<T>::do_vote(batch::<T>(voter, vec![item], vec![])).expect("a commitment");
		}
		id
	}

	/// Returns the batch of `who` for `c` jobs that wait for its commitment and `r` that wait for its reveal and for
	/// another.
	fn votes(&self, who: &T::AccountId, c: u32, r: u32) -> BatchOf<T> {
		let n = T::Params::get().max_committee;
		let commit = |id| CommitItem {
			job: id,
			attempt: 0,
			commitment: commitment::<T>(&id, who, CONFIRM),
		};
		let commitments = (0..c).map(|_| commit(self.committing(n, who))).collect();
		let reveals = (0..r)
			.map(|_| {
				let id = self.committing(n, who);
				Pallet::<T>::do_vote(batch::<T>(who, vec![commit(id)], vec![])).expect("a commitment");
				RevealItem {
					job: id,
					attempt: 0,
					vote: CONFIRM,
					salt: SALT,
				}
			})
			.collect();
		batch::<T>(who, commitments, reveals)
	}
}

fn now<T: Config>() -> BlockNumberFor<T> {
	frame_system::Pallet::<T>::block_number()
}

fn seats<T: Config>(id: &JobId) -> Vec<T::AccountId> {
	Jobs::<T>::get(id)
		.expect("a job")
		.committee
		.into_iter()
		.map(|seat| seat.provider)
		.collect()
}

fn leave_queue<T: Config>(id: &JobId) {
	if let Phase::Drawing { index } = Jobs::<T>::get(id).expect("a job").phase {
		Queue::<T>::remove(index);
	}
}

fn commitment<T: Config>(id: &JobId, who: &T::AccountId, vote: Vote) -> Commitment {
	Commitment::new(&T::GenesisHash::get(), id, 0, who, &vote, &SALT)
}

fn output(bytes: u32) -> Output {
	Output {
		input_tokens: 1,
		tokens: BoundedVec::truncate_from(vec![1; MAX_OUTPUT_TOKENS as usize]),
		text: BoundedVec::truncate_from(vec![b'a'; bytes as usize]),
		finish: FinishReason::Eos,
	}
}

fn batch<T: Config>(who: &T::AccountId, commitments: Vec<CommitItem>, reveals: Vec<RevealItem>) -> BatchOf<T> {
	Batch {
		voter: who.clone(),
		at: now::<T>(),
		commitments: BoundedVec::truncate_from(commitments),
		reveals: BoundedVec::truncate_from(reveals),
	}
}

/// Returns a job whose committee of `n` has voted: a supermajority confirms, the others are paid nothing and slashed.
fn decided<T: Config>(fixture: &Fixture<T>, n: u32) -> (JobId, JobOf<T>) {
	let id = fixture.drawn(n);
	Pallet::<T>::do_publish(fixture.publication(id, MAX_OUTPUT_BYTES)).expect("a publication");
	let mut job = Jobs::<T>::get(id).expect("a job");
	let needed = assay_primitives::quorum::supermajority_threshold(n) as usize;
	for (index, seat) in job.committee.iter_mut().enumerate() {
		let vote = if index < needed { CONFIRM } else { DISSENT };
		seat.commitment = Some(commitment::<T>(&id, &seat.provider, vote));
		seat.vote = Some(vote);
	}
	Jobs::<T>::insert(id, &job);
	(id, job)
}

#[benchmarks]
mod benches {
	use super::*;

	#[benchmark]
	fn request(b: Linear<1, MAX_INPUT_BYTES>) {
		let fixture = Fixture::<T>::new(MAX_PROVIDERS_PER_MODEL);
		let input: Input = BoundedVec::truncate_from(vec![b'a'; b as usize]);
		let params = SamplingParams::greedy(MAX_OUTPUT_TOKENS);
		let size = T::Params::get().max_committee;

		#[extrinsic_call]
		_(
			RawOrigin::Signed(fixture.requester.clone()),
			fixture.model,
			input,
			params,
			size,
			Balance::MAX,
		);

		assert_eq!(Jobs::<T>::count(), 1);
	}

	#[benchmark]
	fn publish(b: Linear<1, MAX_OUTPUT_BYTES>) {
		let fixture = Fixture::<T>::new(MAX_COMMITTEE);
		let id = fixture.drawn(MAX_COMMITTEE);
		let publication = fixture.publication(id, b);
		let signature = fixture.sign(&publication.voter, &publication.message(&T::GenesisHash::get()));

		#[extrinsic_call]
		_(RawOrigin::Authorized, publication, signature);

		assert!(Outputs::<T>::contains_key(id));
	}

	#[benchmark]
	fn authorize_publish(b: Linear<1, MAX_OUTPUT_BYTES>) -> Result<(), BenchmarkError> {
		let fixture = Fixture::<T>::new(MAX_COMMITTEE);
		let publication = fixture.publication(fixture.drawn(MAX_COMMITTEE), b);
		let signature = fixture.sign(&publication.voter, &publication.message(&T::GenesisHash::get()));
		let call = Call::<T>::publish { publication, signature };

		#[block]
		{
			call.authorize(TransactionSource::External)
				.ok_or("publish must be authorized")??;
		}

		Ok(())
	}

	#[benchmark]
	fn vote(c: Linear<0, MAX_BATCH>, r: Linear<0, MAX_BATCH>) {
		let fixture = Fixture::<T>::new(T::Params::get().max_committee);
		let who = fixture.keys[0].0.clone();
		// Not empty: that would be a heartbeat.
		let batch = fixture.votes(&who, if r == 0 { c.max(1) } else { c }, r);
		let signature = fixture.sign(&who, &batch.message(&T::GenesisHash::get()));
		let last = batch.reveals.last().map(|item| item.job);

		#[extrinsic_call]
		_(RawOrigin::Authorized, batch, signature);

		assert!(last.is_none_or(|id| Jobs::<T>::get(id)
			.and_then(|job| job.seat(&who).map(|seat| seat.vote.is_some()))
			.unwrap_or(false)));
	}

	#[benchmark]
	fn authorize_vote(c: Linear<0, MAX_BATCH>, r: Linear<0, MAX_BATCH>) -> Result<(), BenchmarkError> {
		let fixture = Fixture::<T>::new(T::Params::get().max_committee);
		let who = fixture.keys[0].0.clone();
		let batch = fixture.votes(&who, if r == 0 { c.max(1) } else { c }, r);
		let signature = fixture.sign(&who, &batch.message(&T::GenesisHash::get()));
		let call = Call::<T>::vote { batch, signature };

		#[block]
		{
			call.authorize(TransactionSource::External)
				.ok_or("vote must be authorized")??;
		}

		Ok(())
	}

	#[benchmark]
	fn prune() {
		let fixture = Fixture::<T>::new(MAX_COMMITTEE);
		let (id, job) = decided(&fixture, MAX_COMMITTEE);
		Pallet::<T>::conclude(&id, job, now::<T>());

		#[extrinsic_call]
		_(RawOrigin::Signed(fixture.requester.clone()), id);

		assert!(!Receipts::<T>::contains_key(id));
	}

	#[benchmark]
	fn conclude(n: Linear<1, MAX_COMMITTEE>) {
		let fixture = Fixture::<T>::new(MAX_COMMITTEE);
		let (id, job) = decided(&fixture, n);

		#[block]
		{
			Pallet::<T>::conclude(&id, job, now::<T>());
		}

		assert!(Receipts::<T>::get(id).and_then(|receipt| receipt.answer).is_some());
	}

	#[benchmark]
	fn draw(p: Linear<MAX_COMMITTEE, MAX_PROVIDERS_PER_MODEL>, n: Linear<1, MAX_COMMITTEE>) {
		let fixture = Fixture::<T>::new(p);
		let id = fixture.requested(1);
		Jobs::<T>::mutate(id, |job| job.as_mut().expect("a job").size = n);
		leave_queue::<T>(&id);

		#[block]
		{
			Pallet::<T>::draw_one(&id, &[1; 32], now::<T>());
		}

		assert_eq!(seats::<T>(&id).len(), n as usize);
	}

	#[benchmark]
	fn idle_block() {
		let now = now::<T>().saturating_add(One::one());
		DueFrom::<T>::put(now);

		#[block]
		{
			<Pallet<T> as Hooks<BlockNumberFor<T>>>::on_initialize(now);
			<Pallet<T> as Hooks<BlockNumberFor<T>>>::on_idle(now, Weight::MAX);
			<Pallet<T> as Hooks<BlockNumberFor<T>>>::on_finalize(now);
		}
	}

	#[benchmark]
	fn scan() {
		let now = now::<T>().saturating_add(One::one());
		DueFrom::<T>::put(now.saturating_sub(One::one()));

		#[block]
		{
			Pallet::<T>::handle_due(now);
		}

		assert_eq!(DueFrom::<T>::get(), now);
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_ext(), crate::mock::Test);
}
