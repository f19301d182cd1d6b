//! Benchmarks: the worst case of each call, each authorization and each thing that is due.
//!
//! Claims come from their source, and reach the state in which something is measured through the hooks. The figures of
//! `weights.rs` are named like these benchmarks. The extra ones measure what costs more than the figure it is charged
//! with, or what another figure must cover.

use crate::*;
use alloc::{vec, vec::Vec};
use assay_primitives::{
	crypto::{InferenceId, InferenceSignature},
	dispute::Decision,
	economics::Fault,
	limits::{MAX_BATCH, MAX_MEMBERS, MAX_VERIFIERS},
	receipt::{Audit, SeatRecord, SeatVote},
	rules::{HEARTBEAT_AGE, MAX_DISPUTES, MAX_SEATS, MAX_TRANCHES, REPLACEMENTS},
	vote::{Defect, JuryVote, Salt},
	Approval, Balance, BoundRoot, ClaimId, ModelId, State, TraceRoot, Verdict, Vote,
};
use frame_benchmarking::v2::*;
use frame_support::{
	pallet_prelude::{Authorize, TransactionSource},
	traits::{Get, Hooks},
	BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::{
	traits::{One, Saturating},
	RuntimeAppPublic,
};

/// What benchmarks need of other pallets: an electorate, money, and claims whose source waits for their end.
pub trait BenchmarkHelper<T: Config> {
	/// Returns a model, and its electorate in force: one member for each key, in the same order, keyed, alive, of equal
	/// bonds, with a free place and with money for [`MAX_BATCH`] objections. Sees to it that the pool can pay each of
	/// them.
	fn electorate(keys: &[InferenceId]) -> (ModelId, Vec<T::AccountId>);
	/// Publishes a claim of some member through [`Config::Source`], with the seal of this root, and returns its name.
	/// Its requester can pay for [`MAX_BATCH`] objections. May go on to a later block.
	fn publish(model: &ModelId, verifiers: u8, root: &TraceRoot) -> ClaimId;
}

/// The root of what was published.
const TRUTH: TraceRoot = TraceRoot([3; 32]);
/// Another root.
const LIE: TraceRoot = TraceRoot([4; 32]);
const SALT: Salt = [8; 32];
/// Most seats of a tranche, all of which may lapse at once.
const MAX_TRANCHE: u32 = REPLACEMENTS.saturating_mul(MAX_VERIFIERS as u32);
/// Steps after which a claim must have left any state, if nobody votes.
const MAX_STEPS: u32 = 64;

/// A model and its electorate.
struct Fixture<T: Config> {
	model: ModelId,
	members: Vec<(T::AccountId, InferenceId)>,
}

impl<T: Config> Fixture<T> {
	fn new() -> Self {
		frame_system::Pallet::<T>::set_block_number(One::one());
		let keys: Vec<_> = (1..=MAX_MEMBERS)
			.map(|n| InferenceId::generate_pair(Some(alloc::format!("0x{n:064x}").into_bytes())))
			.collect();
		let (model, accounts) = T::BenchmarkHelper::electorate(&keys);
		assert_eq!(accounts.len(), keys.len());
		Self {
			model,
			members: accounts.into_iter().zip(keys).collect(),
		}
	}

	fn published(&self, verifiers: u8) -> ClaimId {
		T::BenchmarkHelper::publish(&self.model, verifiers, &TRUTH)
	}

	/// Returns a claim whose first tranche is drawn.
	fn drawn(&self) -> ClaimId {
		let id = self.published(MAX_VERIFIERS);
		pass::<T>(&id);
		id
	}

	/// Returns a claim that nobody voted on, so that an audit is certain.
	fn unverified(&self) -> ClaimId {
		let id = self.published(MAX_VERIFIERS);
		for _ in 0..MAX_STEPS {
			if claim::<T>(&id).state == State::Window {
				break;
			}
			pass::<T>(&id);
		}
		assert_eq!(claim::<T>(&id).verdict, Some(Verdict::Unverified));
		id
	}

	/// Returns a claim that `n` members approved, as those do that computed this root, and that the lottery spared.
	fn confirmed(&self, n: u32, root: &TraceRoot) -> ClaimId {
		let id = self.drawn();
		let voters = self.bystanders(&[id], n);
		seat::<T>(&id, &voters);
		for voter in &voters {
			let batch = batch::<T>(voter, vec![approval::<T>(&id, voter, root)]);
			Pallet::<T>::do_submit(batch).expect("a vote");
		}
		Claims::<T>::mutate(id, |claim| {
			claim.as_mut().expect("a claim").record.audit = Audit::Spared
		});
		assert_eq!(claim::<T>(&id).verdict, Some(Verdict::Confirmed));
		id
	}

	/// Returns a claim that as many approved as can be asked for, with all seats that there can be.
	fn confirmed_by_all_seats(&self) -> ClaimId {
		let id = self.confirmed(MAX_VERIFIERS.into(), &TRUTH);
		fill::<T>(&id, &self.voter(&[id]));
		id
	}

	/// Returns `m` claims that nobody was asked to check, with all seats that there can be.
	fn unchecked(&self, m: u32) -> Vec<ClaimId> {
		let ids: Vec<_> = (0..m).map(|_| self.published(0)).collect();
		let voter = self.voter(&ids);
		ids.iter().for_each(|id| fill::<T>(id, &voter));
		ids
	}

	/// Returns `m` claims whose requesters have objected to them.
	fn disputed(&self, m: u32) -> Vec<ClaimId> {
		let ids = self.unchecked(m);
		for id in &ids {
			let claim = claim::<T>(id);
			Pallet::<T>::do_object(claim.requester, *id, claim.record.output_hash).expect("an objection");
		}
		ids
	}

	/// Returns a claim whose jury is called.
	fn called(&self) -> ClaimId {
		let id = self.disputed(1).swap_remove(0);
		pass::<T>(&id);
		id
	}

	/// Returns the first `n` members that executed none of the claims.
	fn bystanders(&self, ids: &[ClaimId], n: u32) -> Vec<T::AccountId> {
		let executors: Vec<_> = ids.iter().map(|id| claim::<T>(id).record.executor).collect();
		let others = self.members.iter().map(|(who, _)| who.clone());
		let others: Vec<_> = others.filter(|who| !executors.contains(who)).take(n as usize).collect();
		assert_eq!(others.len(), n as usize);
		others
	}

	/// Returns the one member that says something of all these claims.
	fn voter(&self, ids: &[ClaimId]) -> T::AccountId {
		self.bystanders(ids, 1).swap_remove(0)
	}

	/// Returns the approvals of a member that holds all live seats of `m` claims, and whose heartbeat is due.
	fn approvals(&self, m: u32) -> BatchOf<T> {
		let ids: Vec<_> = (0..m).map(|_| self.drawn()).collect();
		let voter = self.voter(&ids);
		for id in &ids {
			seat::<T>(id, &vec![voter.clone(); MAX_VERIFIERS.into()]);
			fill::<T>(id, &voter);
		}
		wait::<T>(HEARTBEAT_AGE);
		let messages = ids.iter().map(|id| approval::<T>(id, &voter, &TRUTH)).collect();
		batch::<T>(&voter, messages)
	}

	/// Returns the votes of the juror that `m` juries wait for, and whose heartbeat is due.
	fn reveals(&self, m: u32) -> BatchOf<T> {
		let ids = self.disputed(m);
		// All of them are due in the same block.
		ids.iter().take(1).for_each(pass::<T>);
		let juror = self.voter(&ids);
		let vote = |id: &ClaimId| jury_vote(id, true, 0);
		for id in &ids {
			let commitment = id.dispute().commitment(1, &juror, &vote(id), &SALT);
			change_jury::<T>(id, |_, member| {
				member.commitment = Some(commitment);
				member.vote = (member.who != juror).then(|| vote(id));
			});
		}
		wait::<T>(HEARTBEAT_AGE);
		let messages = ids.iter().map(|id| Message::JuryReveal {
			claim: *id,
			round: 1,
			vote: vote(id),
			salt: SALT,
		});
		batch::<T>(&juror, messages.collect())
	}

	/// Returns the objections of a member to `m` claims, whose heartbeat is due.
	fn objections(&self, m: u32) -> BatchOf<T> {
		let ids = self.unchecked(m);
		let objector = self.voter(&ids);
		wait::<T>(HEARTBEAT_AGE);
		let messages = ids.iter().map(|id| Message::Object {
			claim: *id,
			output_hash: claim::<T>(id).record.output_hash,
		});
		batch::<T>(&objector, messages.collect())
	}

	fn sign(&self, batch: &BatchOf<T>) -> InferenceSignature {
		let (_, key) = self
			.members
			.iter()
			.find(|(account, _)| *account == batch.voter)
			.expect("a member");
		key.sign(&batch.message(&T::GenesisHash::get()))
			.expect("a key of the keystore")
	}
}

fn now<T: Config>() -> BlockNumberFor<T> {
	frame_system::Pallet::<T>::block_number()
}

fn wait<T: Config>(blocks: u32) {
	frame_system::Pallet::<T>::set_block_number(now::<T>().saturating_add(blocks.into()));
}

fn claim<T: Config>(id: &ClaimId) -> ClaimOf<T> {
	Claims::<T>::get(id).expect("an open claim")
}

/// Goes on to the block in which something of a claim is due. Returns that block.
fn await_due<T: Config>(id: &ClaimId) -> BlockNumberFor<T> {
	let due = claim::<T>(id).due;
	frame_system::Pallet::<T>::set_block_number(due);
	due
}

/// Lets what is due next of a claim happen.
fn pass<T: Config>(id: &ClaimId) {
	let due = await_due::<T>(id);
	<Pallet<T> as Hooks<BlockNumberFor<T>>>::on_finalize(due);
}

/// Gives the seats of the first tranche, all waiting for votes, to these providers.
fn seat<T: Config>(id: &ClaimId, voters: &[T::AccountId]) {
	let seats = voters.iter().map(|who| SeatRecord {
		provider: who.clone(),
		tranche: 1,
		vote: None,
		fault: None,
	});
	Claims::<T>::mutate(id, |claim| {
		let claim = claim.as_mut().expect("a claim");
		claim.record.seats = BoundedVec::truncate_from(seats.collect());
		claim.deadlines = BoundedVec::truncate_from(vec![claim.due; voters.len()]);
	});
}

/// Adds all other tranches and seats that a claim can have, whose approvals nobody opened.
fn fill<T: Config>(id: &ClaimId, who: &T::AccountId) {
	let seat = SeatRecord {
		provider: who.clone(),
		tranche: MAX_TRANCHES,
		vote: Some(SeatVote {
			tranche: MAX_TRANCHES,
			vote: Vote::Approve(Approval([5; 32])),
		}),
		fault: Some(Fault::Lapse),
	};
	Claims::<T>::mutate(id, |claim| {
		let claim = claim.as_mut().expect("a claim");
		let record = &mut claim.record;
		let draw = record.drawn;
		while record.tranches.try_push(draw).is_ok() {}
		while record.seats.len() < MAX_SEATS as usize {
			record.seats.try_push(seat.clone()).expect("room for every seat");
			claim.deadlines.try_push(claim.due).expect("room for every seat");
		}
	});
}

/// Returns the approval of a seat of the first tranche.
fn approval<T: Config>(id: &ClaimId, who: &T::AccountId, root: &TraceRoot) -> Message {
	let draw = claim::<T>(id).record.draw_id(*id, 1).expect("a draw");
	Message::Vote(VoteItem {
		claim: *id,
		tranche: 1,
		draw,
		vote: Vote::Approve(draw.approval(who, &id.bind(root))),
	})
}

fn jury_vote(id: &ClaimId, rejects: bool, n: u8) -> JuryVote {
	let root: BoundRoot = id.dispute().bind(1, &TraceRoot([n; 32]));
	if rejects {
		JuryVote::Reject {
			defect: Defect::Output(0),
			root,
		}
	} else {
		JuryVote::Approve { root }
	}
}

/// Changes each member of a jury, and lets it reveal.
fn change_jury<T: Config>(id: &ClaimId, change: impl Fn(u8, &mut Juror<T::AccountId>)) {
	Juries::<T>::mutate(id, |jury| {
		let jury = jury.as_mut().expect("a jury");
		assert_eq!(jury.members.len(), MAX_MEMBERS as usize);
		jury.revealing = true;
		(0u8..)
			.zip(jury.members.iter_mut())
			.for_each(|(n, member)| change(n, member));
	});
}

fn batch<T: Config>(who: &T::AccountId, messages: Vec<Message>) -> BatchOf<T> {
	Batch {
		voter: who.clone(),
		at: now::<T>(),
		messages,
	}
}

/// Returns the number of open claims of which something holds.
fn count_of<T: Config>(holds: impl Fn(&ClaimOf<T>) -> bool) -> u32 {
	Claims::<T>::iter_values().filter(holds).count() as u32
}

#[benchmarks]
mod benches {
	use super::*;

	#[benchmark]
	fn submit(m: Linear<1, MAX_BATCH>) {
		let fixture = Fixture::<T>::new();
		let batch = fixture.approvals(m);
		let signature = fixture.sign(&batch);

		#[extrinsic_call]
		_(RawOrigin::Authorized, batch, signature);

		assert_eq!(count_of::<T>(|claim| claim.verdict == Some(Verdict::Confirmed)), m);
	}

	#[benchmark]
	fn authorize_submit(m: Linear<1, MAX_BATCH>) -> Result<(), BenchmarkError> {
		let fixture = Fixture::<T>::new();
		let batch = fixture.approvals(m);
		let signature = fixture.sign(&batch);
		let call = Call::<T>::submit { batch, signature };

		#[block]
		{
			call.authorize(TransactionSource::External)
				.ok_or("submit must be authorized")??;
		}

		Ok(())
	}

	#[benchmark(extra)]
	fn submit_reveals(m: Linear<1, MAX_DISPUTES>) -> Result<(), BenchmarkError> {
		let batch = Fixture::<T>::new().reveals(m);

		#[block]
		{
			Pallet::<T>::do_submit(batch).map_err(|error| error.error)?;
		}

		let next = now::<T>().saturating_add(One::one());
		assert_eq!(count_of::<T>(|claim| claim.due == next), m);
		Ok(())
	}

	#[benchmark(extra)]
	fn submit_objections(m: Linear<1, MAX_BATCH>) -> Result<(), BenchmarkError> {
		let batch = Fixture::<T>::new().objections(m);

		#[block]
		{
			Pallet::<T>::do_submit(batch).map_err(|error| error.error)?;
		}

		assert_eq!(count_of::<T>(|claim| claim.state == State::Disputed), m);
		Ok(())
	}

	#[benchmark]
	fn authorize_open() -> Result<(), BenchmarkError> {
		let id = Fixture::<T>::new().confirmed_by_all_seats();
		let call = Call::<T>::open {
			claim: id,
			root: id.bind(&TRUTH),
		};

		#[block]
		{
			call.authorize(TransactionSource::External)
				.ok_or("open must be authorized")??;
		}

		Ok(())
	}

	/// An opening that convicts whose approvals do not fit.
	#[benchmark]
	fn open(n: Linear<0, MAX_TRANCHE>) -> Result<(), BenchmarkError> {
		let root = if n == 0 { TRUTH } else { LIE };
		let id = Fixture::<T>::new().confirmed(n.max(1), &root);

		#[block]
		{
			Pallet::<T>::do_open(id, id.bind(&TRUTH))?;
		}

		let conviction = Convictions::<T>::get(0);
		assert_eq!(
			conviction.map_or(0, |conviction| conviction.offenders.len()),
			n as usize
		);
		Ok(())
	}

	#[benchmark]
	fn object() {
		let fixture = Fixture::<T>::new();
		let id = fixture.unchecked(1).swap_remove(0);
		// Of a member more is read than of the requester.
		let who = fixture.voter(&[id]);
		let output_hash = claim::<T>(&id).record.output_hash;

		#[extrinsic_call]
		_(RawOrigin::Signed(who), id, output_hash);

		assert_eq!(claim::<T>(&id).state, State::Disputed);
	}

	/// Offenders cost more than those who are paid.
	#[benchmark]
	fn slash(n: Linear<1, MAX_MEMBERS>) {
		let fixture = Fixture::<T>::new();
		let fee = Balance::from(n);
		let offenders = fixture.members.iter().map(|(who, _)| who.clone());
		let offenders = offenders.take(n as usize).collect();
		Pallet::<T>::convict(ClaimId([1; 32]), Fault::FalseClaim, offenders, vec![], vec![], fee);

		#[block]
		{
			Pallet::<T>::take_slash(0);
		}

		assert_eq!(Convictions::<T>::count(), 0);
	}

	/// The figure of `slash` for as many accounts as a conviction can name must cover it.
	#[benchmark(extra)]
	fn cancel_slash() -> Result<(), BenchmarkError> {
		let fixture = Fixture::<T>::new();
		let members: Vec<_> = fixture.members.iter().map(|(who, _)| who.clone()).collect();
		let (claim, fee) = (ClaimId([1; 32]), 1);
		Pallet::<T>::convict(claim, Fault::FalseClaim, members.clone(), members, vec![], fee);
		// Every chain lets root cancel.
		let origin: T::RuntimeOrigin = RawOrigin::Root.into();

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, 0);

		assert_eq!(Convictions::<T>::count(), 0);
		Ok(())
	}

	#[benchmark]
	fn due_list() {
		let at = now::<T>().saturating_add(One::one());
		let due = Due::Draw(ClaimId([1; 32]), MAX_VERIFIERS);
		DueAt::<T>::insert(at, vec![due; T::Params::get().max_due_per_block as usize]);
		let taken;

		#[block]
		{
			<Pallet<T> as Hooks<BlockNumberFor<T>>>::on_initialize(at);
			taken = DueAt::<T>::take(at);
		}

		assert_eq!(taken.len(), T::Params::get().max_due_per_block as usize);
	}

	/// Seats that lapse at once.
	#[benchmark]
	fn pass_claim(n: Linear<1, MAX_TRANCHE>) {
		let fixture = Fixture::<T>::new();
		let id = fixture.drawn();
		seat::<T>(&id, &fixture.bystanders(&[id], n));
		let now = await_due::<T>(&id);

		#[block]
		{
			Pallet::<T>::end_voting(id, claim::<T>(&id), now);
		}

		assert_eq!(claim::<T>(&id).waiting_seats().count(), 0);
	}

	/// The draw of an auditor.
	#[benchmark(extra)]
	fn draw_auditor() {
		let fixture = Fixture::<T>::new();
		let id = fixture.unverified();
		fill::<T>(&id, &fixture.voter(&[id]));
		let now = await_due::<T>(&id);

		#[block]
		{
			Pallet::<T>::pass_window(id, claim::<T>(&id), now);
		}

		assert_eq!(claim::<T>(&id).state, State::Auditing);
	}

	#[benchmark]
	fn draw_seats(n: Linear<1, { MAX_VERIFIERS as u32 }>) {
		let id = Fixture::<T>::new().published(n as u8);
		let now = await_due::<T>(&id);

		#[block]
		{
			Pallet::<T>::draw_tranche(id, claim::<T>(&id), now);
		}

		assert_eq!(claim::<T>(&id).record.seats.len(), n as usize);
	}

	#[benchmark]
	fn settle(n: Linear<1, MAX_SEATS>) -> Result<(), BenchmarkError> {
		let id = Fixture::<T>::new().confirmed(n, &TRUTH);
		Pallet::<T>::do_open(id, id.bind(&TRUTH))?;
		let now = await_due::<T>(&id);
		assert_eq!(now, claim::<T>(&id).settle_at);

		#[block]
		{
			Pallet::<T>::pass_window(id, claim::<T>(&id), now);
		}

		assert!(!Claims::<T>::contains_key(id));
		Ok(())
	}

	/// A decision against all jurors but one, each with a vote of its own.
	#[benchmark]
	fn dispute() {
		let fixture = Fixture::<T>::new();
		let id = fixture.called();
		let right = fixture.voter(&[id]);
		change_jury::<T>(&id, |n, member| {
			let is_right = member.who == right;
			if is_right {
				member.stake = Balance::MAX / 2;
			}
			member.vote = Some(jury_vote(&id, is_right, n));
		});
		let now = await_due::<T>(&id);

		#[block]
		{
			Pallet::<T>::pass_dispute(id, claim::<T>(&id), now);
		}

		assert!(!Claims::<T>::contains_key(id));
		let closed = Event::<T>::DisputeClosed {
			claim: id,
			decision: Some(Decision::Overturned),
		};
		frame_system::Pallet::<T>::assert_has_event(closed.into());
	}

	/// The figure of `dispute` must cover it.
	#[benchmark(extra)]
	fn call_jury() {
		let id = Fixture::<T>::new().disputed(1).swap_remove(0);
		let now = await_due::<T>(&id);

		#[block]
		{
			Pallet::<T>::pass_dispute(id, claim::<T>(&id), now);
		}

		let members = Juries::<T>::get(id).expect("a jury").members;
		assert_eq!(members.len(), MAX_MEMBERS as usize);
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_ext(), crate::mock::Test);
}
