//! True receipts, made the way a chain makes them: every hash, name and approval is computed.

use assay_primitives::{
	accumulator::Accumulator,
	claim::{Execution, AUDIT},
	digest::{input_hash, output_hash},
	dispute::Decision,
	economics::Fault,
	receipt::{
		AnswerRecord, Audit, ClaimRecord, DisputeRecord, DrawRecord, ElectorateSummary, RefundReason, SeatRecord,
		SeatVote,
	},
	vote::Defect,
	BoundRoot, ClaimId, FinishReason, Input, JobId, LeafHash, ListingId, ModelId, Output, Receipt, SamplingParams,
	Seal, State, TraceRoot, Verdict, Vote,
};
use assay_receipt::{Account, Leaf, ReadAt, ReceiptFile, FORMAT};
use std::collections::BTreeMap;

pub(crate) const GENESIS: [u8; 32] = [7; 32];
const ROOT: TraceRoot = TraceRoot([6; 32]);
const ASY: u128 = 1_000_000_000_000;
/// The provider that executes in every story. The others are named by other numbers.
const EXECUTOR: u8 = 9;
/// The listing that the request named.
const LISTING: ListingId = ListingId(7);
/// The block of the publication.
const PUBLISHED: u32 = 22;

/// A receipt in the making.
pub(crate) struct Story {
	file: ReceiptFile,
}

fn account(who: u8) -> Account {
	Account([who; 32])
}

fn draw(block: u32) -> DrawRecord<u32> {
	DrawRecord {
		block,
		beacon: [block as u8; 32],
	}
}

impl Story {
	/// Returns a published answer that so many verifiers are to check.
	fn published(verifiers: u8) -> Self {
		Self::asked(
			Input::Text(b"What is a receipt?".to_vec().try_into().unwrap()),
			verifiers,
		)
	}

	/// Returns the published answer to this.
	fn asked(input: Input, verifiers: u8) -> Self {
		let output = Output {
			input_tokens: 9,
			tokens: vec![17, 4, 99, 2].try_into().unwrap(),
			text: b"The stored outcome of a job.".to_vec().try_into().unwrap(),
			finish: FinishReason::Eos,
		};
		let mut params = SamplingParams::greedy(64);
		params.stop.try_push(b"\n\n".to_vec().try_into().unwrap()).unwrap();
		let (requester, model, input_hash) = (account(1), ModelId([2; 32]), input_hash(&input));
		let output_hash = output_hash(&output);
		let job = JobId::derive(&GENESIS, &requester, 5, &model, Some(LISTING), &input_hash, &params);
		let claim = ClaimRecord {
			attempt: 0,
			executor: account(EXECUTOR),
			drawn: draw(21),
			output_hash,
			seal: Seal([0; 32]),
			root: None,
			published_at: PUBLISHED,
			verifiers,
			tranches: Default::default(),
			audits: Default::default(),
			seats: Default::default(),
			audit: Audit::Undecided,
			dispute: None,
			electorate: ElectorateSummary {
				members: 4,
				stake: 40_000 * ASY,
				largest: 10_000 * ASY,
				executor: 10_000 * ASY,
				chain: 40_000 * ASY,
			},
			slashable: 10_000 * ASY,
			open_claims: 0,
		};
		let receipt = Receipt {
			job,
			model,
			listing: LISTING,
			listing_named: true,
			requester,
			count: 5,
			params,
			input_hash,
			verdict: Verdict::Confirmed,
			state: State::Window,
			answer: Some(AnswerRecord {
				input_tokens: 9,
				output_tokens: 4,
				finish: FinishReason::Eos,
			}),
			claim: Some(claim),
			attempts: 1,
			fee: 6_370_000_000,
			requested_at: 20,
			verdict_at: 25,
			closed_at: None,
		};
		let read_at = ReadAt {
			number: 400,
			hash: [3; 32],
			finalized: true,
		};
		let mut story = Self {
			file: ReceiptFile {
				format: FORMAT,
				genesis: GENESIS,
				read_at,
				input,
				output: Some(output),
				receipt,
				accumulator: None,
				stream: None,
				finality: None,
			},
		};
		let seal = story.id().seal(&account(EXECUTOR), &story.root());
		story.claim().seal = seal;
		story
	}

	fn claim(&mut self) -> &mut ClaimRecord<Account, u32> {
		self.file.receipt.claim.as_mut().unwrap()
	}

	fn id(&self) -> ClaimId {
		let receipt = &self.file.receipt;
		let claim = receipt.claim.as_ref().unwrap();
		Execution {
			genesis: GENESIS,
			job: receipt.job,
			attempt: claim.attempt,
			block: claim.drawn.block,
			beacon: claim.drawn.beacon,
			executor: &claim.executor,
			model: receipt.model,
		}
		.id()
		.claim()
	}

	fn root(&self) -> BoundRoot {
		self.id().bind(&ROOT)
	}

	/// Draws a tranche. Who has approved already fills its new seat at once.
	fn tranche(mut self, block: u32, seats: &[u8]) -> Self {
		let claim = self.claim();
		claim.tranches.try_push(draw(block)).unwrap();
		let tranche = claim.tranches.len() as u8;
		for who in seats {
			let earlier = claim
				.seats
				.iter()
				.find(|seat| seat.provider == account(*who) && seat.approves());
			let vote = earlier.and_then(|seat| seat.vote);
			claim
				.seats
				.try_push(SeatRecord {
					provider: account(*who),
					tranche,
					vote,
					fault: None,
				})
				.unwrap();
		}
		self
	}

	/// Draws an auditor, and lets it vote.
	fn auditor(mut self, block: u32, who: u8, vote: Option<bool>) -> Self {
		let claim = self.claim();
		let tranche = AUDIT + claim.audits.len() as u8;
		claim.audits.try_push(draw(block)).unwrap();
		let seat = SeatRecord {
			provider: account(who),
			tranche,
			vote: None,
			fault: None,
		};
		claim.seats.try_push(seat).unwrap();
		match vote {
			Some(true) => self.approve(tranche, who),
			Some(false) => self.reject(tranche, who),
			None => self,
		}
	}

	fn approve(self, tranche: u8, who: u8) -> Self {
		let (id, root) = (self.id(), self.root());
		let claim = self.file.receipt.claim.as_ref().unwrap();
		let approval = claim.draw_id(id, tranche).unwrap().approval(&account(who), &root);
		self.vote(tranche, who, Vote::Approve(approval))
	}

	fn reject(self, tranche: u8, who: u8) -> Self {
		let reject = Vote::Reject {
			defect: Defect::Output(3),
			root: BoundRoot([8; 32]),
		};
		self.vote(tranche, who, reject)
	}

	fn vote(mut self, tranche: u8, who: u8, vote: Vote) -> Self {
		for seat in self.claim().seats.iter_mut() {
			if seat.provider == account(who) && seat.vote.is_none() && seat.fault.is_none() {
				seat.vote = Some(SeatVote { tranche, vote });
			}
		}
		self
	}

	/// Marks all seats of a provider that have no fault yet.
	fn fault(mut self, who: u8, fault: Fault) -> Self {
		for seat in self.claim().seats.iter_mut() {
			if seat.provider == account(who) && seat.fault.is_none() {
				seat.fault = Some(fault);
			}
		}
		self
	}

	fn opened(mut self) -> Self {
		self.claim().root = Some(self.root());
		self
	}

	fn audit(mut self, audit: Audit) -> Self {
		self.claim().audit = audit;
		self
	}

	fn disputed(mut self, objector: Option<u8>, (approve, reject): (u128, u128), decision: Option<Decision>) -> Self {
		self.claim().dispute = Some(DisputeRecord {
			objector: objector.map(account),
			round: if decision.is_some() { 1 } else { 2 },
			stake: 40_000 * ASY,
			approve: approve * ASY,
			reject: reject * ASY,
			decision,
		});
		self
	}

	fn ends(mut self, verdict: Verdict, state: State, verdict_at: u32) -> ReceiptFile {
		let receipt = &mut self.file.receipt;
		(receipt.verdict, receipt.state, receipt.verdict_at) = (verdict, state, verdict_at);
		receipt.closed_at = state.is_final().then_some(verdict_at + 200);
		if matches!(state, State::Overturned | State::Refunded) {
			receipt.fee = 0;
		}
		self.file
	}

	/// Puts the receipt of a file among others into an accumulator, which it returns too.
	pub(crate) fn accumulated(mut file: ReceiptFile, index: u64, leaves: u64) -> (ReceiptFile, Accumulator) {
		let (mut accumulator, mut nodes) = (Accumulator::default(), BTreeMap::new());
		for n in 0..leaves {
			let leaf = if n == index {
				file.receipt.leaf()
			} else {
				LeafHash([n as u8; 32])
			};
			nodes.extend(accumulator.append(&leaf).unwrap().nodes);
		}
		let proof = accumulator.prove(index, |hash| nodes.get(hash).copied()).unwrap();
		file.accumulator = Some(Leaf {
			index,
			proof: Some(proof),
		});
		(file, accumulator)
	}

	fn two_approve() -> Self {
		Self::published(2).tranche(24, &[10, 11]).approve(1, 10).approve(1, 11)
	}
}

/// Returns every story with its name.
pub(crate) fn all() -> Vec<(&'static str, ReceiptFile)> {
	vec![
		("settled", settled()),
		("confirmed", confirmed()),
		("one_head", one_head()),
		("unchecked", unchecked()),
		("unverified", unverified()),
		("audited", audited()),
		("contested", contested()),
		("upheld", upheld()),
		("disputed", disputed()),
		("overturned", overturned()),
		("void", void()),
		("refunded", refunded()),
		("conversation", conversation()),
	]
}

/// Two verifiers were asked for; one lapsed, and two seats replaced it, of which one went to the verifier that had
/// approved already. It is the sixth of eleven receipts.
pub(crate) fn settled() -> ReceiptFile {
	let file = Story::published(2)
		.tranche(24, &[10, 11])
		.approve(1, 10)
		.fault(11, Fault::Lapse)
		.tranche(33, &[12, 10])
		.approve(2, 12)
		.opened()
		.audit(Audit::Spared)
		.ends(Verdict::Confirmed, State::Settled, 34);
	Story::accumulated(file, 5, 11).0
}

/// Two verifiers approved a moment ago.
pub(crate) fn confirmed() -> ReceiptFile {
	Story::two_approve().ends(Verdict::Confirmed, State::Window, 25)
}

/// One provider was drawn for both seats.
pub(crate) fn one_head() -> ReceiptFile {
	Story::published(2)
		.tranche(24, &[10, 10])
		.approve(1, 10)
		.opened()
		.audit(Audit::Spared)
		.ends(Verdict::Confirmed, State::Settled, 25)
}

/// Nobody was asked to check. The node that was asked for the receipt keeps no proofs.
pub(crate) fn unchecked() -> ReceiptFile {
	let mut file = Story::published(0)
		.audit(Audit::Spared)
		.ends(Verdict::Unchecked, State::Settled, PUBLISHED);
	file.accumulator = Some(Leaf { index: 3, proof: None });
	file
}

/// All seats of four tranches lapsed, and nobody was left to audit.
pub(crate) fn unverified() -> ReceiptFile {
	let mut story = Story::published(1).tranche(24, &[10]).fault(10, Fault::Lapse);
	for (block, seats) in [(33, 2), (42, 4), (51, 8)] {
		story = story.tranche(block, &[11, 12].repeat(seats / 2));
		story = story.fault(11, Fault::Lapse).fault(12, Fault::Lapse);
	}
	story.audit(Audit::Nobody).ends(Verdict::Unverified, State::Settled, 60)
}

/// Nobody opened what two verifiers had approved; an auditor that had to be drawn approved.
pub(crate) fn audited() -> ReceiptFile {
	Story::two_approve()
		.fault(10, Fault::Lapse)
		.fault(11, Fault::Lapse)
		.auditor(207, 12, Some(true))
		.audit(Audit::Approved)
		.ends(Verdict::Unverified, State::Settled, 25)
}

/// A conversation whose answer nobody has opened yet.
pub(crate) fn conversation() -> ReceiptFile {
	let json = br#"{"messages": [{"role": "user", "content": "What is \"a receipt\"?"}]}"#;
	Story::asked(Input::Chat(json.to_vec().try_into().unwrap()), 1)
		.tranche(24, &[10])
		.approve(1, 10)
		.ends(Verdict::Confirmed, State::Window, 25)
}

/// The electorate did not decide on an objection.
pub(crate) fn contested() -> ReceiptFile {
	Story::two_approve()
		.opened()
		.disputed(Some(1), (15_000, 0), None)
		.audit(Audit::Spared)
		.ends(Verdict::Confirmed, State::Settled, 25)
}

/// The electorate decided against an objector.
pub(crate) fn upheld() -> ReceiptFile {
	Story::two_approve()
		.opened()
		.disputed(Some(12), (30_000, 10_000), Some(Decision::Upheld))
		.audit(Audit::Spared)
		.ends(Verdict::Confirmed, State::Settled, 25)
}

/// The electorate is at work.
pub(crate) fn disputed() -> ReceiptFile {
	Story::two_approve()
		.disputed(Some(12), (0, 0), None)
		.ends(Verdict::Confirmed, State::Disputed, 25)
}

/// An auditor found a lie, and the electorate agreed.
pub(crate) fn overturned() -> ReceiptFile {
	Story::published(1)
		.tranche(24, &[10])
		.approve(1, 10)
		.auditor(45, 12, Some(false))
		.audit(Audit::Rejected)
		.disputed(None, (10_000, 30_000), Some(Decision::Overturned))
		.fault(10, Fault::FalseClaim)
		.ends(Verdict::Overturned, State::Overturned, 25)
}

/// A verifier rejected the answer, and the electorate did not decide.
pub(crate) fn void() -> ReceiptFile {
	Story::published(2)
		.tranche(24, &[10, 11])
		.approve(1, 10)
		.reject(1, 11)
		.disputed(None, (20_000, 20_000), None)
		.ends(Verdict::Refunded(RefundReason::Undecided), State::Refunded, 80)
}

/// Three executors published nothing.
pub(crate) fn refunded() -> ReceiptFile {
	let mut file = Story::published(2).ends(Verdict::Refunded(RefundReason::NoOutput), State::Refunded, 60);
	(file.receipt.claim, file.receipt.answer, file.output) = (None, None, None);
	file.receipt.attempts = 3;
	file
}
