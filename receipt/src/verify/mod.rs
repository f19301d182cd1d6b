//! The verification: from an anchor to an answer that others checked, step by step.

mod lead_on;
mod reason;
mod report;

pub use reason::Reason;
pub use report::{Outcome, Report, Step, StepId};

use crate::{
	check,
	finality::{AuthoritySet, Header, Justification, Proof},
	storage, Anchor, Block, Checked, Finality, Handover, MaxAge, ReceiptFile,
};
use alloc::{
	format,
	string::{String, ToString},
};
use assay_primitives::{assurance::Assumptions, rules::WINDOW, State, Verdict};

/// What a verifier demands and assumes.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
	/// The time, in Unix seconds.
	pub now: u64,
	/// How old the anchor may be.
	pub max_age: MaxAge,
	/// Whether the receipt has to be settled.
	pub settled: bool,
	/// What is assumed for the sentences about the answer's worth.
	pub assumptions: Assumptions,
}

impl Policy {
	/// Returns a policy that demands nothing more than finality.
	pub fn at(now: u64) -> Self {
		Self {
			now,
			max_age: MaxAge::default(),
			settled: false,
			assumptions: Assumptions::default(),
		}
	}
}

/// Verifies the JSON form of a receipt file.
#[cfg(feature = "std")]
pub fn verify(text: &str, anchor: Option<&Anchor>, policy: &Policy) -> Report {
	match ReceiptFile::from_json(text) {
		Ok(file) => verify_file(&file, anchor, policy),
		Err(error) => Report::unreadable(&error),
	}
}

/// Verifies a receipt file.
pub fn verify_file(file: &ReceiptFile, anchor: Option<&Anchor>, policy: &Policy) -> Report {
	let mut report = Report::new();
	if let Err(reason) = run(&mut report, file, anchor, policy) {
		report.because(reason);
	}
	report
}

/// Takes the steps. A file that is not final is verified further; one that is unverifiable is not.
fn run(report: &mut Report, file: &ReceiptFile, anchor: Option<&Anchor>, policy: &Policy) -> Result<(), Reason> {
	let form = if file.is_well_formed() {
		Ok(())
	} else {
		Err(Reason::Malformed)
	};
	report.step(StepId::File, form, |()| format!("The file has format {}.", file.format))?;
	let contents = check(file).map_err(Reason::Inconsistent);
	let checked = report.step(StepId::Contents, contents, |_| {
		"Nothing in the receipt contradicts the prompt, the answer, or anything else in it.".into()
	})?;
	report.checked = Some(checked);
	report.settled = file.receipt.is_settled();
	#[cfg(feature = "std")]
	{
		report.assurance = Some(crate::assurance::of_receipt(
			&file.receipt,
			&checked,
			&policy.assumptions,
		));
	}
	if let Err(reason) = report.step(StepId::Verdict, check_verdict(&checked), |()| checked.to_string()) {
		report.because(reason);
	}
	report.anchor_age = anchor.and_then(|anchor| anchor.age(policy.now));
	let start = report.step(StepId::Anchor, start(file, anchor, policy), Start::text)?;
	let handed_over = hand_over(&start);
	let (set, last) = report.step(StepId::Handovers, handed_over, |(set, _)| {
		match start.evidence.set_id.saturating_sub(start.anchor.set_id) {
			0 => format!(
				"The set of the anchor finalized the block: set {}.",
				start.anchor.set_id
			),
			n => format!(
				"{n} handovers lead to set {} of {} validators.",
				start.evidence.set_id,
				set.len()
			),
		}
	})?;
	let finalized = check_finalized(file, &start, &set, last);
	let (header, block, _) = report.step(StepId::Justification, finalized, |(_, block, voters)| {
		let (set_id, all) = (start.evidence.set_id, set.len());
		format!(
			"{voters} of the {all} validators of set {set_id} finalized block {}.",
			block.number
		)
	})?;
	let stored = Proof::new(header.state_root, &start.evidence.state).and_then(|proof| storage::check(file, proof));
	let mut not_proved = report.step(StepId::State, stored, |_| {
		"The state of that block stores the receipt.".into()
	})?;
	if file.stream.is_some() {
		not_proved.push("stream.key");
	}
	(report.block, report.not_proved) = (Some(block), not_proved);
	report.objections_until = objections_until(file, &block);
	let window = if policy.settled && !report.settled {
		Err(Reason::NotSettled)
	} else {
		Ok(report.objections_until)
	};
	let settled = report.settled;
	report
		.step(StepId::Window, window, |until| window_text(*until, settled))
		.map(drop)
}

/// Checks that the answer stands as checked by others.
fn check_verdict(checked: &Checked) -> Result<(), Reason> {
	if checked.is_checked() {
		return Ok(());
	}
	Err(match checked.verdict {
		_ if checked.state == State::Disputed => Reason::Disputed,
		_ if checked.contested => Reason::Contested,
		Verdict::Unchecked => Reason::Unchecked,
		Verdict::Confirmed | Verdict::Unverified => Reason::Unverified,
		Verdict::Overturned => Reason::Overturned,
		Verdict::Refunded(_) => Reason::Refunded,
	})
}

/// Where the way begins.
struct Start<'a> {
	anchor: &'a Anchor,
	set: AuthoritySet,
	evidence: &'a Finality,
	/// The handovers of earlier sets than the anchor's.
	before: &'a [Handover],
	/// The others.
	handovers: &'a [Handover],
}

impl Start<'_> {
	fn text(&self) -> String {
		let Anchor {
			chain, number, set_id, ..
		} = self.anchor;
		format!(
			"The anchor is block {number} of {chain:?}, with set {set_id} of {} validators.",
			self.set.len()
		)
	}
}

/// Checks that the evidence leads on from the anchor.
fn start<'a>(file: &'a ReceiptFile, anchor: Option<&'a Anchor>, policy: &Policy) -> Result<Start<'a>, Reason> {
	let evidence = file.finality.as_ref().ok_or(Reason::NoEvidence)?;
	let anchor = anchor.ok_or(Reason::NoAnchor)?;
	if anchor.genesis != file.genesis {
		return Err(Reason::OtherChain);
	}
	begin(anchor, evidence, policy.now, policy.max_age)
}

/// Checks that the anchor is not too old, and that the evidence has all handovers from its set on.
fn begin<'a>(anchor: &'a Anchor, evidence: &'a Finality, now: u64, max_age: MaxAge) -> Result<Start<'a>, Reason> {
	if anchor.is_old(now, max_age) {
		return Err(Reason::OldAnchor);
	}
	let set = anchor.set().ok_or(Reason::BadAuthorities)?;
	let first = evidence.first_set().ok_or(Reason::Malformed)?;
	let before = anchor.set_id.checked_sub(first).ok_or(Reason::Gap)?;
	let before = usize::try_from(before).map_err(|_| Reason::BeforeAnchor)?;
	let (before, handovers) = evidence
		.handovers
		.split_at_checked(before)
		.ok_or(Reason::BeforeAnchor)?;
	Ok(Start {
		anchor,
		set,
		evidence,
		before,
		handovers,
	})
}

/// Follows the handovers. Returns the set that has to have finalized the block, and the last block that is known to be
/// finalized before it.
fn hand_over(start: &Start<'_>) -> Result<(AuthoritySet, Block), Reason> {
	// Of earlier handovers nothing is known, and nothing is needed.
	for Handover { header, justification } in start.before {
		Header::read(header)?;
		Justification::read(justification)?;
	}
	let mut set = start.set.clone();
	let mut last = Block {
		number: start.anchor.number,
		hash: start.anchor.hash,
	};
	for (set_id, handover) in (start.anchor.set_id..).zip(start.handovers) {
		let header = Header::read(&handover.header)?;
		let block = header.block();
		if block.number <= last.number {
			return Err(Reason::BadOrder);
		}
		Justification::read(&handover.justification)?.verify(&block, set_id, &set)?;
		(set, last) = (header.next_set()?, block);
	}
	Ok((set, last))
}

/// Checks that the set finalized the block, and that the file was read at it. Returns the number of voters too.
fn check_finalized(
	file: &ReceiptFile,
	start: &Start<'_>,
	set: &AuthoritySet,
	last: Block,
) -> Result<(Header, Block, usize), Reason> {
	let header = Header::read(&start.evidence.header)?;
	let block = header.block();
	let read_at = file.read_at;
	if (block.number, block.hash, true) != (read_at.number, read_at.hash, read_at.finalized) {
		return Err(Reason::ReadAt);
	}
	let voters = check_justified(&block, start, set, last)?;
	Ok((header, block, voters))
}

/// Checks that the set finalized the evidence's block, and that it comes after what is known to be finalized. Returns the
/// number of voters.
fn check_justified(block: &Block, start: &Start<'_>, set: &AuthoritySet, last: Block) -> Result<usize, Reason> {
	let evidence = start.evidence;
	if block.number < start.anchor.number {
		return Err(Reason::BeforeAnchor);
	}
	if block.number < last.number || (block.number == last.number && *block != last) {
		return Err(Reason::BadOrder);
	}
	Justification::read(&evidence.justification)?.verify(block, evidence.set_id, set)
}

/// Returns the block before which an objection is possible; none if none is.
fn objections_until(file: &ReceiptFile, at: &Block) -> Option<u32> {
	let receipt = &file.receipt;
	let disputed = receipt.claim.as_ref().is_some_and(|claim| claim.dispute.is_some());
	let until = receipt.verdict_at.saturating_add(WINDOW);
	(!receipt.is_settled() && !disputed && at.number < until).then_some(until)
}

fn window_text(until: Option<u32>, settled: bool) -> String {
	match until {
		Some(until) => format!("It is not settled: an objection is possible until block {until}."),
		None if settled => "It is settled: nothing about it can change any more.".into(),
		None => "It is not settled, and no further objection is possible.".into(),
	}
}
