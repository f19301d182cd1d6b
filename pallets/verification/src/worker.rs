//! The offchain worker: recomputes what its providers' seats, audits and juries need, and sends what they have to say.
//!
//! It runs on each new best block and may run again for the same one; what it does depends only on chain state, on what
//! the engine returns, and on a log of what it sent lately. One computation serves all roles of one claim. A message
//! counts as sent only when state shows its effect: until then it is sent again at each block, with that block's number
//! in it, so that it replaces the last one where that still waits.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	claim::AUDIT,
	crypto::{InferenceId, InferenceSignature},
	host::{self, ProbeResult},
	limits::MAX_BATCH,
	offchain::{ask_engine, EngineReply, SentLog, RESEND_AFTER, WARN_AGAIN_AFTER},
	task::Answer,
	traits::{ClaimSource, Penalties, ProviderSet},
	vote::{Defect, JuryVote},
	ClaimId, DisputeId, Finding, Hash32, ModelId, State, Vote,
};
use codec::Encode;
use frame_support::traits::Get;
use frame_system::{offchain::SubmitTransaction, pallet_prelude::BlockNumberFor};
use sp_runtime::{
	traits::{Saturating, UniqueSaturatedInto},
	RuntimeAppPublic,
};

const LOG_TARGET: &str = "assay::worker";

/// Open claims that one run looks at.
const MAX_CLAIMS_PER_RUN: usize = 4_096;
/// Models of one provider that the engine is asked about.
const MAX_MODELS_PROBED: usize = 16;
/// Blocks after which a heartbeat without effect is sent again: nothing waits for it.
const HEARTBEAT_RESEND_AFTER: u32 = 3;
/// Blocks that others leave the opening to the executor.
const LEAVE_TO_EXECUTOR: u32 = 20;

/// Runs the worker for every provider whose inference key this node holds.
pub(crate) fn run<T: Config>(now: BlockNumberFor<T>) {
	let watch = host::watch_permille();
	for key in InferenceId::all() {
		if let Some(who) = T::Providers::owner_of(&key) {
			let genesis = T::GenesisHash::get();
			Worker::<T> {
				log: (b"assay/verification", genesis, &who).encode(),
				key,
				who,
				now,
				genesis,
				watch,
			}
			.run();
		}
	}
}

/// One run for one provider.
struct Worker<T: Config> {
	key: InferenceId,
	who: T::AccountId,
	now: BlockNumberFor<T>,
	genesis: Hash32,
	/// How many of a thousand claims are checked without a seat.
	watch: u32,
	/// The name of the log of what was sent.
	log: Vec<u8>,
}

impl<T: Config> Worker<T> {
	fn run(&self) {
		let models = T::Providers::serves(&self.who);
		let mut messages = Vec::new();
		for (id, claim) in Claims::<T>::iter().take(MAX_CLAIMS_PER_RUN) {
			if !models.contains(&claim.model) && !claim.is_party(&self.who) {
				continue;
			}
			messages.extend(self.duty(id, &claim));
			self.open(id, &claim);
		}
		self.send(self.outages(&models));
		if self.send(messages) || !self.heartbeat() {
			self.sign_of_life();
		}
	}

	/// Returns what this provider has to say of a claim now.
	fn duty(&self, id: ClaimId, claim: &ClaimOf<T>) -> Option<Message> {
		if claim.state == State::Disputed {
			return self.as_juror(id, claim);
		}
		self.as_seat(id, claim).or_else(|| self.as_watcher(id, claim))
	}

	/// Returns the vote of this provider's seat. A seat that has lapsed may still reject.
	fn as_seat(&self, id: ClaimId, claim: &ClaimOf<T>) -> Option<Message> {
		let own = || {
			claim
				.record
				.seats
				.iter()
				.filter(|seat| seat.provider == self.who && seat.vote.is_none())
		};
		let seat = own().find(|seat| seat.fault.is_none()).or_else(|| own().next())?;
		let lapsed = seat.fault.is_some();
		let at_work = match (lapsed, seat.tranche >= AUDIT) {
			(false, true) => claim.state == State::Auditing,
			(false, false) => matches!(claim.state, State::Voting | State::Lapsed),
			(true, _) => claim.record.dispute.is_none() && claim.state != State::Published,
		};
		if !at_work {
			return None;
		}
		let answer = self.compute(id, claim, true)?;
		let draw = claim.record.draw_id(id, seat.tranche)?;
		let vote = vote(id, claim, &answer, |root| draw.approval(&self.who, root));
		(vote.rejects() || !lapsed).then_some(Message::Vote(VoteItem {
			claim: id,
			tranche: seat.tranche,
			draw,
			vote,
		}))
	}

	/// Returns what this provider has to say as a juror: its blinded vote, then the vote.
	fn as_juror(&self, id: ClaimId, claim: &ClaimOf<T>) -> Option<Message> {
		let jury = Juries::<T>::get(id)?;
		let round = claim.record.dispute.as_ref()?.round;
		let juror = jury.members.iter().find(|juror| juror.who == self.who)?;
		let excluded = claim.is_party(&self.who) || T::Providers::is_suspended(&self.who);
		if excluded || juror.vote.is_some() || jury.revealing != juror.commitment.is_some() {
			return None;
		}
		let answer = self.compute(id, claim, true)?;
		let dispute = id.dispute();
		let vote = jury_vote(id, claim, &answer, dispute, round);
		let salt = dispute.salt(round, &self.who, &answer.secret);
		let commitment = dispute.commitment(round, &self.who, &vote, &salt);
		match juror.commitment {
			None => Some(Message::JuryCommit {
				claim: id,
				round,
				commitment,
			}),
			Some(committed) if committed == commitment => Some(Message::JuryReveal {
				claim: id,
				round,
				vote,
				salt,
			}),
			Some(_) => {
				if self.should_send(&(b"opening", id, round), WARN_AGAIN_AFTER) {
					log::warn!(
						target: LOG_TARGET,
						"Claim {id}: the engine's result does not open the jury commitment on chain. Was its journal lost, or \
						does another node use this inference key?"
					);
				}
				None
			}
		}
	}

	/// Returns an objection, if this node checks the claim without a seat and finds it false.
	fn as_watcher(&self, id: ClaimId, claim: &ClaimOf<T>) -> Option<Message> {
		let lot = id.0.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
		let watched = lot.checked_rem(1_000).is_some_and(|lot| lot < self.watch);
		let output_hash = claim.record.output_hash;
		if !watched || Pallet::<T>::check_objection(&self.who, &id, &output_hash).is_err() {
			return None;
		}
		let answer = self.compute(id, claim, true)?;
		let approval = |_: &_| Default::default();
		vote(id, claim, &answer, approval)
			.rejects()
			.then_some(Message::Object { claim: id, output_hash })
	}

	/// Opens a claim that this node has computed, as its executor or as somebody who approved it.
	fn open(&self, id: ClaimId, claim: &ClaimOf<T>) {
		let executes = claim.record.executor == self.who;
		let since = claim.audit_at.saturating_add(LEAVE_TO_EXECUTOR.into());
		let may = executes || (claim.has_approved(&self.who) && self.now >= since);
		if !may || claim.record.root.is_some() || !claim.may_be_opened() {
			return;
		}
		let Some(answer) = self.compute(id, claim, !executes) else {
			return;
		};
		let Finding::Confirm { trace_root } = answer.finding else {
			return;
		};
		let root = id.bind(&trace_root);
		if id.seal(&claim.record.executor, &root) == claim.record.seal
			&& self.should_send(&(b"open", id, self.now), RESEND_AFTER)
		{
			self.submit(Call::open { claim: id, root }, "an opening");
		}
	}

	/// Returns the engine's result of a claim: of checking it, or of executing it.
	fn compute(&self, id: ClaimId, claim: &ClaimOf<T>, check: bool) -> Option<Answer> {
		let work = T::Source::work(&claim.origin, check)?;
		match ask_engine(&work) {
			EngineReply::Ready(answer) => return Some(answer),
			EngineReply::Abstained if self.should_send(&(b"abstained", id), WARN_AGAIN_AFTER) => log::warn!(
				target: LOG_TARGET,
				"Claim {id}: the engine abstains, so this provider does not vote. Its log has the reason; is model {} \
				installed?",
				claim.model
			),
			EngineReply::Missing if self.should_send(b"no engine", WARN_AGAIN_AFTER) => {
				log::warn!(target: LOG_TARGET, "Claim {id}: this node has no engine, so this provider does not vote")
			}
			EngineReply::Abstained | EngineReply::Missing | EngineReply::Pending => (),
		}
		None
	}

	/// Sends what was not sent lately. Returns whether there is any message, which makes a heartbeat unnecessary.
	fn send(&self, messages: Vec<Message>) -> bool {
		let has_messages = !messages.is_empty();
		let mut due = messages;
		due.retain(|message| self.should_send(&message.tag(), RESEND_AFTER));
		for batch in due.chunks(MAX_BATCH as usize) {
			self.submit_batch(batch.to_vec());
		}
		has_messages
	}

	/// Returns what the chain does not know of this provider's engine yet: which models it has lost, and which it serves
	/// again. An engine that is starting, or is not there at all, says nothing of its models.
	fn outages(&self, models: &[ModelId]) -> Vec<Message> {
		let report = |model: &ModelId| {
			let over = match host::probe(model) {
				ProbeResult::Serving => true,
				ProbeResult::Abstained => false,
				ProbeResult::Pending | ProbeResult::NotAvailable => return None,
			};
			if !T::Providers::outage_due(&self.who, model, over) {
				return None;
			}
			if !over && self.should_send(&(b"outage", model), WARN_AGAIN_AFTER) {
				log::warn!(
					target: LOG_TARGET,
					"The engine does not serve model {model}: the chain is asked not to draw {:?} for it. The engine's log has \
					 the reason; once it serves the model again, draws go on by themselves",
					self.who
				);
			}
			Some(Message::Outage { model: *model, over })
		};
		models.iter().take(MAX_MODELS_PROBED).filter_map(report).collect()
	}

	/// Sends an empty batch if a heartbeat is due and the engine can work. Returns whether it does, which makes a sign of
	/// life unnecessary.
	fn heartbeat(&self) -> bool {
		if !T::Providers::heartbeat_due(&self.who) {
			return false;
		}
		let models = T::Providers::serves(&self.who);
		let serving = models
			.iter()
			.take(MAX_MODELS_PROBED)
			.any(|model| host::probe(model) == ProbeResult::Serving);
		if serving && self.should_send(b"alive", HEARTBEAT_RESEND_AFTER) {
			self.submit_batch(Vec::new());
		}
		serving
	}

	/// Sends a sign of life if one is due: a validator keeps its seat when its engine is down, or when it serves nothing.
	fn sign_of_life(&self) {
		if T::Providers::sign_of_life_due(&self.who) && self.should_send(b"sign of life", HEARTBEAT_RESEND_AFTER) {
			self.submit_batch([Message::SignOfLife].into());
		}
	}

	fn submit_batch(&self, messages: Vec<Message>) {
		log::debug!(target: LOG_TARGET, "{:?}: {} messages at block {:?}", self.who, messages.len(), self.now);
		let batch = Batch {
			voter: self.who.clone(),
			at: self.now,
			messages,
		};
		let signature: Option<InferenceSignature> = self.key.sign(&batch.message(&self.genesis));
		match signature {
			Some(signature) => self.submit(Call::submit { batch, signature }, "a batch of votes"),
			None => {
				log::error!(target: LOG_TARGET, "The keystore could not sign votes with inference key {:?}", self.key)
			}
		}
	}

	fn submit(&self, call: Call<T>, what: &str) {
		let transaction = T::create_authorized_transaction(call.into());
		if SubmitTransaction::<T, Call<T>>::submit_transaction(transaction).is_err() {
			log::warn!(target: LOG_TARGET, "The pool refused {what}; if it still applies it is sent again");
		}
	}

	fn should_send(&self, what: &impl Encode, pause: u32) -> bool {
		SentLog::should_send(&self.log, what, self.now.unique_saturated_into(), pause)
	}
}

/// Returns the vote that follows from a result.
fn vote<AccountId: Encode, BlockNumber>(
	id: ClaimId,
	claim: &Claim<AccountId, BlockNumber>,
	answer: &Answer,
	approval: impl FnOnce(&assay_primitives::BoundRoot) -> assay_primitives::Approval,
) -> Vote {
	match answer.finding {
		Finding::Confirm { trace_root } => {
			let root = id.bind(&trace_root);
			if id.seal(&claim.record.executor, &root) == claim.record.seal {
				Vote::Approve(approval(&root))
			} else {
				Vote::Reject {
					defect: Defect::Seal,
					root,
				}
			}
		}
		Finding::Reject { position, prefix_root } => Vote::Reject {
			defect: Defect::Output(position),
			root: id.bind(&prefix_root),
		},
	}
}

/// Returns the juror's vote that follows from a result.
fn jury_vote<AccountId: Encode, BlockNumber>(
	id: ClaimId,
	claim: &Claim<AccountId, BlockNumber>,
	answer: &Answer,
	dispute: DisputeId,
	round: u8,
) -> JuryVote {
	let (Finding::Confirm { trace_root: root } | Finding::Reject { prefix_root: root, .. }) = answer.finding;
	let root = dispute.bind(round, &root);
	match vote(id, claim, answer, |_| Default::default()) {
		Vote::Approve(_) => JuryVote::Approve { root },
		Vote::Reject { defect, .. } => JuryVote::Reject { defect, root },
	}
}
