//! Benchmarks: the worst case of each call, each authorization and each hook.

use crate::*;
use alloc::{vec, vec::Vec};
use assay_primitives::{
	accumulator::Accumulator,
	chat::{Chat, LIMITS},
	crypto::{InferenceId, InferenceSignature},
	limits::{MAX_INPUT_BYTES, MAX_MEMBERS, MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS, MAX_SEAT_RECORDS, MAX_VERIFIERS},
	receipt::{Audit, ClaimRecord, SeatRecord, SeatVote},
	traits::{ClaimSource, ClaimStatus},
	Approval, Balance, FinishReason, JobId, ModelId, SamplingParams, Seal, State, UncheckedInput, UncheckedOutput,
	Verdict, Vote,
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
	traits::{One, Saturating, UniqueSaturatedInto},
	RuntimeAppPublic,
};

/// What benchmarks need of other pallets: models, providers and money.
pub trait BenchmarkHelper<AccountId> {
	/// Returns a model of the longest context and the members of its electorate, one for each key, each with room for
	/// fifty jobs.
	fn providers(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>);
	/// Returns an account that can pay for fifty jobs.
	fn requester() -> AccountId;
	/// Finalizes all blocks up to this one.
	fn finalize(block: u32);
}

/// A model, its providers and a requester.
struct Fixture<T: Config> {
	model: ModelId,
	requester: T::AccountId,
	keys: Vec<(T::AccountId, InferenceId)>,
}

impl<T: Config> Fixture<T> {
	fn new() -> Self {
		frame_system::Pallet::<T>::set_block_number(One::one());
		let keys: Vec<_> = (1..=MAX_MEMBERS)
			.map(|n| InferenceId::generate_pair(Some(alloc::format!("0x{n:064x}").into_bytes())))
			.collect();
		let (model, accounts) = T::BenchmarkHelper::providers(&keys);
		Self {
			model,
			requester: T::BenchmarkHelper::requester(),
			keys: accounts.into_iter().zip(keys).collect(),
		}
	}

	/// Returns a new job that waits, and moves on to the next block.
	fn requested(&self) -> JobId {
		let input = UncheckedInput::Text(vec![b'a'; MAX_INPUT_BYTES as usize]);
		let params = SamplingParams::greedy(MAX_OUTPUT_TOKENS).into();
		Pallet::<T>::do_request(
			self.requester.clone(),
			self.model.into(),
			input,
			params,
			MAX_VERIFIERS,
			Balance::MAX,
		)
		.expect("a request");
		frame_system::Pallet::<T>::set_block_number(now::<T>().saturating_add(One::one()));
		Jobs::<T>::iter_keys().next().expect("a job")
	}

	fn drawn(&self) -> JobId {
		let id = self.requested();
		Pallet::<T>::draw_waiting(now::<T>());
		id
	}

	fn publication(&self, bytes: u32) -> PublicationOf<T> {
		let id = self.drawn();
		let engagement = Jobs::<T>::get(id).expect("a job").engagement.expect("an executor");
		Publication {
			executor: engagement.executor,
			claim: engagement.claim,
			job: id,
			output: UncheckedOutput {
				input_tokens: 1,
				tokens: vec![1; MAX_OUTPUT_TOKENS as usize],
				text: vec![b'a'; bytes as usize],
				finish: FinishReason::Eos,
			},
			seal: Seal([2; 32]),
			at: now::<T>(),
		}
	}

	fn sign(&self, publication: &PublicationOf<T>) -> InferenceSignature {
		let (_, key) = self
			.keys
			.iter()
			.find(|(account, _)| *account == publication.executor)
			.expect("a provider of the fixture");
		key.sign(&publication.message(&T::GenesisHash::get()))
			.expect("a key of the keystore")
	}

	/// Returns a job with the longest answer, and how its claim ends if every seat that there can be is recorded.
	fn ending(&self) -> (JobId, ClaimStatus<T::AccountId, BlockNumberFor<T>>) {
		let publication = self.publication(MAX_OUTPUT_BYTES);
		let id = publication.job;
		Pallet::<T>::do_publish(publication).expect("a publication");
		let engagement = Jobs::<T>::get(id).expect("a job").engagement.expect("an executor");
		let seats = self
			.keys
			.iter()
			.take(MAX_SEAT_RECORDS as usize)
			.map(|(who, _)| SeatRecord {
				provider: who.clone(),
				tranche: 1,
				vote: Some(SeatVote {
					tranche: 1,
					vote: Vote::Approve(Approval([4; 32])),
				}),
				fault: None,
			});
		let record = ClaimRecord {
			attempt: 0,
			executor: engagement.executor,
			drawn: engagement.drawn,
			output_hash: Default::default(),
			seal: Seal([2; 32]),
			root: None,
			published_at: now::<T>(),
			verifiers: MAX_VERIFIERS,
			tranches: Default::default(),
			audits: Default::default(),
			seats: BoundedVec::truncate_from(seats.collect()),
			audit: Audit::Spared,
			dispute: None,
			electorate: Default::default(),
			slashable: 0,
			open_claims: 0,
		};
		let status = ClaimStatus {
			state: State::Settled,
			verdict: Some(Verdict::Confirmed),
			verdict_at: Some(now::<T>()),
			due: now::<T>(),
			record,
		};
		(id, status)
	}

	/// Ends the claim of a job with this many paid seats.
	fn close(&self, id: &JobId, status: ClaimStatus<T::AccountId, BlockNumberFor<T>>, seats: u32) {
		let claim = Jobs::<T>::get(id)
			.and_then(|job| job.engagement)
			.expect("an executor")
			.claim;
		let approvals: Vec<_> = self
			.keys
			.iter()
			.take(seats as usize)
			.map(|(who, _)| who.clone())
			.collect();
		<Pallet<T> as ClaimSource<_, _>>::closed(id, &claim, status, &approvals);
	}
}

/// The shortest conversation of [`chat`], in bytes.
const SHORTEST_CHAT: u32 = 256;

/// Returns a conversation of so many bytes that takes long to read: a map of as many short keys as there may be, of which
/// each is allocated, compared with others, and copied with the arguments of a call.
pub(crate) fn chat(bytes: u32) -> Vec<u8> {
	let head = br#"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"#;
	let tail = br#"}}}]},{"role":"user","content":""}]}"#;
	let (bytes, around) = (bytes as usize, 64);
	let mut json = head.to_vec();
	// Two values each, of which the rest of the conversation has fewer than `around`.
	for key in 0..LIMITS.values.saturating_sub(around) / 2 {
		let entry = alloc::format!("{}\"{key:x}\":0", if key > 0 { "," } else { "" });
		if json.len().saturating_add(entry.len()).saturating_add(tail.len()) > bytes {
			break;
		}
		json.extend(entry.into_bytes());
	}
	json.extend(tail);
	json.resize(bytes.max(json.len()), b' ');
	json
}

fn now<T: Config>() -> BlockNumberFor<T> {
	frame_system::Pallet::<T>::block_number()
}

#[benchmarks]
mod benches {
	use super::*;

	#[benchmark]
	fn request(b: Linear<1, MAX_INPUT_BYTES>) {
		let fixture = Fixture::<T>::new();
		let input = UncheckedInput::Text(vec![b'a'; b as usize]);
		let params = SamplingParams::greedy(MAX_OUTPUT_TOKENS).into();

		#[extrinsic_call]
		_(
			RawOrigin::Signed(fixture.requester.clone()),
			fixture.model.into(),
			input,
			params,
			MAX_VERIFIERS,
			Balance::MAX,
		);

		assert_eq!(Jobs::<T>::iter_keys().count(), 1);
	}

	#[benchmark]
	fn parse_chat(b: Linear<SHORTEST_CHAT, MAX_INPUT_BYTES>) {
		let json = chat(b);
		let parsed;

		#[block]
		{
			parsed = Chat::parse(&json);
		}

		assert_eq!(json.len(), b as usize);
		assert!(parsed.is_ok_and(|chat| chat.messages.len() == 2));
	}

	#[benchmark]
	fn publish(b: Linear<1, MAX_OUTPUT_BYTES>) {
		let fixture = Fixture::<T>::new();
		let publication = fixture.publication(b);
		let (id, signature) = (publication.job, fixture.sign(&publication));

		#[extrinsic_call]
		_(RawOrigin::Authorized, publication, signature);

		assert!(Outputs::<T>::contains_key(id));
	}

	#[benchmark]
	fn authorize_publish(b: Linear<1, MAX_OUTPUT_BYTES>) -> Result<(), BenchmarkError> {
		let fixture = Fixture::<T>::new();
		let publication = fixture.publication(b);
		let signature = fixture.sign(&publication);
		let call = Call::<T>::publish { publication, signature };

		#[block]
		{
			call.authorize(TransactionSource::External)
				.ok_or("publish must be authorized")??;
		}

		Ok(())
	}

	#[benchmark]
	fn prune() {
		let fixture = Fixture::<T>::new();
		let (id, status) = fixture.ending();
		fixture.close(&id, status, MAX_VERIFIERS.into());
		T::BenchmarkHelper::finalize(now::<T>().unique_saturated_into());

		#[extrinsic_call]
		_(RawOrigin::Signed(fixture.requester.clone()), id);

		assert!(!Receipts::<T>::contains_key(id));
	}

	#[benchmark]
	fn closed(s: Linear<0, { MAX_VERIFIERS as u32 }>) {
		let fixture = Fixture::<T>::new();
		let (id, status) = fixture.ending();

		#[block]
		{
			fixture.close(&id, status, s);
		}

		assert!(Receipts::<T>::get(id).is_some_and(|receipt| receipt.fee > 0));
	}

	#[benchmark]
	fn accumulate() {
		let fixture = Fixture::<T>::new();
		let (id, status) = fixture.ending();
		fixture.close(&id, status, 0);
		let receipt = Receipts::<T>::get(id).expect("a receipt");
		// The next leaf completes a tree over four thousand million.
		let peaks = BoundedVec::truncate_from(vec![Default::default(); 32]);
		let leaves = u32::MAX.into();
		ReceiptAccumulator::<T>::put(Accumulator { leaves, peaks });

		#[block]
		{
			Pallet::<T>::accumulate(&id, &receipt);
		}

		assert_eq!(ReceiptAccumulator::<T>::get().peaks.len(), 1);
	}

	#[benchmark]
	fn draw() {
		let fixture = Fixture::<T>::new();
		let id = fixture.requested();
		let job = Jobs::<T>::get(id).expect("a job");
		let members = Pallet::<T>::sealed(&fixture.model);
		let willing = members.into_iter().map(|sealed| sealed.member).collect();

		#[block]
		{
			Pallet::<T>::draw_executor(&id, job, willing, now::<T>());
		}

		assert_eq!(Jobs::<T>::get(id).map(|job| job.state), Some(State::Executing));
	}

	#[benchmark]
	fn turn() {
		let fixture = Fixture::<T>::new();
		fixture.requested();

		#[block]
		{
			// In the block of the request a listing's turn draws nobody.
			Pallet::<T>::draw_waiting(One::one());
		}

		assert_eq!(WaitingJobs::<T>::get().jobs, 1);
	}

	#[benchmark]
	fn no_output() {
		let fixture = Fixture::<T>::new();
		let id = fixture.drawn();
		let job = Jobs::<T>::get(id).expect("a job");

		#[block]
		{
			Pallet::<T>::fail_attempt(&id, job, now::<T>());
		}

		assert_eq!(Jobs::<T>::get(id).map(|job| job.attempt), Some(1));
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
