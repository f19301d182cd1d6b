//! Jobs, receipts and models as text for people and as JSON.

mod directory;
mod model;

pub(crate) use directory::{bytes, manifest, vector};
pub(crate) use model::{model, model_json, models, provider_json};

use crate::{amount::Asy, chain::Job, keys::name_of};
use assay_primitives::{
	chat::Chat, economics::Fault, json::Json, receipt::SeatRecord, vote::Defect, Failure, FinishReason, Input, State,
	Verdict, Vote,
};
use assay_receipt::{
	assurance::{words, Worth},
	Account, Checked, ReceiptFile,
};
use const_hex::encode_prefixed;
use serde_json::{json, Value};

const WIDTH: usize = 76;

/// Draws a box with a title around labeled lines.
fn boxed(title: &str, lines: &[(&str, String)]) -> String {
	let rule = "─".repeat(WIDTH.saturating_sub(title.chars().count() + 4));
	let mut out = format!("┌─ {title} {rule}\n");
	for (label, text) in lines {
		out.push_str(&format!("│ {label:<9} {text}\n"));
	}
	out.push_str(&format!("└{}\n", "─".repeat(WIDTH.saturating_sub(1))));
	out
}

/// Returns the first and last digits of a hash, which are enough to recognize it.
pub(crate) fn short(bytes: &[u8; 32]) -> String {
	let all = encode_prefixed(bytes);
	match (all.get(..10), all.get(58..)) {
		(Some(head), Some(tail)) => format!("{head}…{tail}"),
		_ => all,
	}
}

/// Returns the word for a verdict.
pub(crate) fn verdict(verdict: Verdict) -> &'static str {
	match verdict {
		Verdict::Confirmed => "confirmed",
		Verdict::Unchecked => "unchecked",
		Verdict::Unverified => "unverified",
		Verdict::Overturned => "overturned",
		Verdict::Refunded(_) => "refunded",
	}
}

/// Returns the answer's text, or why there is none; empty after a refund, whatever was published.
pub(crate) fn answer(file: &ReceiptFile) -> String {
	let published = file.output.as_ref().filter(|_| stands(file.receipt.verdict));
	let text = file.answer().unwrap_or_default();
	match published.map(|o| o.finish) {
		None => String::new(),
		Some(FinishReason::Failed(failure)) if text.is_empty() => format!("({})", no_answer(failure)),
		Some(FinishReason::Failed(failure)) => format!("({} It names: {text})", no_answer(failure)),
		Some(_) => text.into(),
	}
}

/// Explains why a model gave no answer, and what to do.
pub(crate) fn no_answer(failure: Failure) -> &'static str {
	match failure {
		Failure::PromptTooLong => "No answer: the prompt fills the model's context. Ask something shorter.",
		Failure::NonFinite => "No answer: this prompt drives the model's numbers out of range. Ask in other words.",
		Failure::Template => "No answer: the model's chat template refuses this prompt. Ask in other words.",
		Failure::NoTokens => "No answer: this prompt has no tokens. Ask in other words.",
		Failure::NotGenerative => "No answer: this model generates no text. `assay models` lists others.",
		Failure::PartLeftOut => {
			"No answer: the model's chat template leaves out a part of this conversation. Ask without it, or ask another model."
		}
		Failure::Grammar => {
			"No answer: it cannot be held to these tools or this schema. Ask with simpler ones, or without them."
		}
	}
}

/// Explains why an answer ended.
pub(crate) fn finish(reason: FinishReason) -> &'static str {
	match reason {
		FinishReason::Eos => "the model ended it",
		FinishReason::Stop => "a stop text came up",
		FinishReason::Length => "the token limit or the context was reached",
		FinishReason::Failed(_) => "the model could not answer",
	}
}

/// Returns what a seat said, and what that cost.
fn seat(seat: &SeatRecord<Account>) -> String {
	let word = match &seat.vote {
		Some(cast) => match cast.vote {
			Vote::Approve(_) => "agrees".into(),
			Vote::Reject { defect, .. } => rejection(defect),
		},
		None if seat.fault == Some(Fault::Lapse) => "was late".into(),
		None => "has not voted".into(),
	};
	let cost = match seat.fault {
		None => "",
		Some(Fault::Lapse) if seat.approves() => ", fined: nobody opened the claim",
		Some(Fault::Lapse) => ", replaced by two",
		Some(Fault::FalseClaim) => ", convicted: the answer was false",
		Some(Fault::FalseRejection) => ", convicted: the answer was true",
		Some(Fault::FalseApproval) => ", convicted: that does not fit what was opened",
		Some(Fault::WrongJuror) => ", slashed: against the decision",
		Some(Fault::NoOutput) => ", fined: no output",
	};
	format!("{} {word}{cost}", name_of(&seat.provider))
}

fn rejection(defect: Defect) -> String {
	match defect {
		Defect::Output(position) => format!("rejects it from token {position} on"),
		Defect::Seal => "rejects its seal".into(),
	}
}

/// Lists seats, those of verifiers by their tranche.
fn seats(seats: &[SeatRecord<Account>]) -> Vec<(&'static str, String)> {
	let line = |s: &SeatRecord<Account>| match (s.is_auditor(), s.tranche) {
		(true, _) => ("auditor", seat(s)),
		(false, 0 | 1) => ("verifier", seat(s)),
		(false, tranche) => ("verifier", format!("{} (draw {tranche})", seat(s))),
	};
	seats.iter().map(line).collect()
}

/// Breaks a text into lines for a box.
fn wrapped(text: &str) -> Vec<String> {
	let mut lines = vec![String::new()];
	for word in text.split_whitespace() {
		match lines.last_mut() {
			Some(line) if line.is_empty() => line.push_str(word),
			Some(line) if line.chars().count() + word.chars().count() < WIDTH => {
				line.push(' ');
				line.push_str(word);
			}
			_ => lines.push(word.to_owned()),
		}
	}
	lines
}

/// Describes what the model was asked: a text, or the messages of a conversation. Only the beginning of each is shown.
fn input<Bytes: AsRef<[u8]>>(input: &Input<Bytes>) -> Vec<(&'static str, String)> {
	const MAX_SHOWN: usize = 8;
	let text = String::from_utf8_lossy(input.bytes());
	let chat = match input {
		Input::Text(_) => None,
		Input::Chat(json) => Chat::parse(json.as_ref()).ok(),
	};
	let Some(chat) = chat else {
		return vec![("asked", excerpt(&text))];
	};
	let mut texts: Vec<String> = (chat.messages.iter().take(MAX_SHOWN))
		.map(|message| {
			let [role, content] = ["role", "content"].map(|key| message.get(key).and_then(Json::as_text));
			excerpt(&format!(
				"{}: {}",
				role.unwrap_or_default(),
				content.unwrap_or("(no text)")
			))
		})
		.collect();
	let count = |n: usize, noun| words::number(u32::try_from(n).unwrap_or(u32::MAX), noun);
	let more = chat.messages.len().saturating_sub(MAX_SHOWN);
	texts.extend((more > 0).then(|| format!("and {}", count(more, "message"))));
	texts.extend((!chat.tools.is_empty()).then(|| format!("with {}", count(chat.tools.len(), "tool"))));
	let label = |i| if i == 0 { "asked" } else { "" };
	texts
		.into_iter()
		.enumerate()
		.map(|(i, text)| (label(i), text))
		.collect()
}

/// Returns the beginning of a text in one line.
fn excerpt(text: &str) -> String {
	const MAX_CHARS: usize = 56;
	let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
	match line.char_indices().nth(MAX_CHARS) {
		Some((end, _)) => format!("{}… ({} bytes)", line.get(..end).unwrap_or_default(), text.len()),
		None => line,
	}
}

/// Draws a receipt.
pub(crate) fn receipt(file: &ReceiptFile, checked: &Checked, worth: &Worth, model: Option<&str>) -> String {
	let r = &file.receipt;
	let mut lines = vec![
		("job", r.job.to_string()),
		(
			"model",
			model.map_or_else(|| short(&r.model.0), |name| format!("{name} ({})", short(&r.model.0))),
		),
		("listing", r.listing.to_string()),
		(
			"verdict",
			format!("{}, {}, attempt {}", verdict(r.verdict), state(r.state), r.attempts),
		),
	];
	lines.extend(input(&file.input));
	if let (Some(claim), Some(id)) = (&r.claim, &checked.claim) {
		lines.push(("claim", id.to_string()));
		lines.push(("executor", name_of(&claim.executor)));
		lines.extend(seats(&claim.seats));
		let root = claim
			.root
			.map_or_else(|| "not opened yet".into(), |root| short(&root.0));
		lines.push(("root", root));
	}
	if let Some(answer) = &r.answer {
		let tokens = format!(
			"{} in, {} out; {}",
			answer.input_tokens,
			answer.output_tokens,
			finish(answer.finish)
		);
		lines.push(("tokens", tokens));
	}
	lines.push(("fee", Asy(r.fee).to_string()));
	let closed = r
		.closed_at
		.map_or_else(String::new, |block| format!(", {} in {block}", state(r.state)));
	lines.push((
		"blocks",
		format!("requested in {}, verdict in {}{closed}", r.requested_at, r.verdict_at),
	));
	let at = &file.read_at;
	let finality = if at.finalized { "final" } else { "not final yet" };
	lines.push((
		"read",
		format!("at block {} ({}), {finality}", at.number, short(&at.hash)),
	));
	if let Some(leaf) = &file.accumulator {
		let proof = if leaf.proof.is_some() {
			"with a proof"
		} else {
			"the node has no proof"
		};
		lines.push(("leaf", format!("{} of the chain's accumulator, {proof}", leaf.index)));
	}
	for (i, line) in wrapped(&worth.text()).into_iter().enumerate() {
		lines.push((if i == 0 { "worth" } else { "" }, line));
	}
	boxed("receipt", &lines)
}

/// Returns a receipt file as JSON, with its meaning in words.
pub(crate) fn receipt_json(file: &ReceiptFile, checked: &Checked, worth: &Worth) -> Value {
	json!({
		"job": file.receipt.job,
		"claim": checked.claim,
		"verdict": verdict(file.receipt.verdict),
		"state": state(file.receipt.state),
		"settled": file.receipt.is_settled(),
		"checked": checked.is_checked(),
		"meaning": checked.to_string(),
		"answer": file.answer().filter(|_| stands(file.receipt.verdict)),
		"finish": file.output.as_ref().map(|o| o.finish),
		"verifiers": checked.asked,
		"agreeing": checked.approvals,
		"agreeing_providers": checked.checkers,
		"opened": checked.opened,
		"contested": checked.contested,
		"assurance": worth.json(),
		"fee": Asy(file.receipt.fee),
		"finalized": file.read_at.finalized,
		"file": file,
	})
}

/// Returns whether a verdict leaves the published answer as one that may be shown.
pub(crate) fn stands(verdict: Verdict) -> bool {
	!matches!(verdict, Verdict::Overturned | Verdict::Refunded(_))
}

/// Returns the word for a state.
pub(crate) fn state(state: State) -> &'static str {
	match state {
		State::Waiting => "waiting",
		State::Executing => "executing",
		State::Published => "published",
		State::Voting => "voting",
		State::Lapsed => "lapsed",
		State::Window => "not settled",
		State::Auditing => "being audited",
		State::Disputed => "disputed",
		State::Settled => "settled",
		State::Overturned => "overturned",
		State::Refunded => "refunded",
	}
}

/// Draws a job.
pub(crate) fn job(job: &Job) -> String {
	let mut lines = vec![
		("job", job.id.to_string()),
		("state", format!("{}, attempt {}", state(job.state), job.attempt)),
		("model", short(&job.model.0)),
		("listing", job.listing.to_string()),
		(
			"requester",
			format!("{} in block {}", name_of(&job.requester), job.requested_at),
		),
	];
	lines.extend(input(&job.input));
	if let Some(claim) = &job.claim {
		lines.push(("claim", claim.to_string()));
	}
	if let Some(executor) = &job.executor {
		lines.push(("executor", name_of(executor)));
	}
	lines.extend(seats(&job.seats));
	if let Some(output) = &job.output {
		lines.push(("published", format!("{} tokens", output.tokens.len())));
	}
	if let (Some(word), Some(block)) = (job.verdict, job.verdict_at) {
		lines.push(("verdict", format!("{} in block {block}", verdict(word))));
	}
	if let Some(deadline) = job.deadline {
		lines.push(("due", format!("block {deadline}")));
	}
	boxed("job", &lines)
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_primitives::assurance::Assumptions;
	use assay_receipt::{assurance, check};

	const SETTLED: &str = include_str!("../../../receipt/tests/golden/settled.json");
	const OVERTURNED: &str = include_str!("../../../receipt/tests/golden/overturned.json");
	const UNCHECKED: &str = include_str!("../../../receipt/tests/golden/unchecked.json");

	fn read(golden: &str) -> (ReceiptFile, Checked, Worth) {
		let file = ReceiptFile::from_json(golden).unwrap();
		let checked = check(&file).unwrap();
		let worth = assurance::of_receipt(&file.receipt, &checked, &Assumptions::default());
		(file, checked, worth)
	}

	fn drawn(golden: &str) -> String {
		let (file, checked, worth) = read(golden);
		receipt(&file, &checked, &worth, Some("assay-demo"))
	}

	#[test]
	fn a_receipt_names_votes_replacements_the_fee_and_its_worth() {
		let text = drawn(SETTLED);
		for part in [
			"confirmed, settled, attempt 1",
			"executor",
			"agrees",
			"was late, replaced by two",
			"agrees (draw 2)",
			"assay-demo (0x02020202…",
			"9 in, 4 out",
			"0.00637 ASY",
			"requested in 20, verdict in 34, settled in 234",
			", final",
			"worth",
			"It is settled",
		] {
			assert!(text.contains(part), "{part} is missing in\n{text}");
		}
		assert!(text.lines().all(|l| l.starts_with(['┌', '│', '└'])), "{text}");
		assert!(text.lines().all(|l| l.chars().count() <= WIDTH + 12), "{text}");
	}

	#[test]
	fn an_unchecked_receipt_is_described_as_such() {
		assert!(drawn(UNCHECKED).contains("Nobody was asked to check this answer."));
		let (file, checked, worth) = read(UNCHECKED);
		let json = receipt_json(&file, &checked, &worth);
		assert_eq!(json["meaning"], "One provider computed this answer. Nobody checked it.");
		assert_eq!(
			(&json["checked"], &json["assurance"]["numbers"]),
			(&json!(false), &Value::Null)
		);
	}

	#[test]
	fn an_overturned_answer_is_not_shown() {
		let (file, checked, worth) = read(OVERTURNED);
		assert_eq!(answer(&file), "");
		assert_eq!(receipt_json(&file, &checked, &worth)["answer"], Value::Null);
		let text = drawn(OVERTURNED);
		assert!(
			text.contains("rejects it from token 3 on") && text.contains("convicted: the answer was false"),
			"{text}"
		);
	}

	#[test]
	fn a_failed_answer_is_explained() {
		let (mut file, ..) = read(SETTLED);
		assert_eq!(answer(&file), "The stored outcome of a job.");
		if let Some(output) = &mut file.output {
			output.finish = FinishReason::Failed(Failure::PromptTooLong);
		}
		assert!(answer(&file).contains("fills the model's context"));
		file.output = None;
		assert_eq!(answer(&file), "");
	}
}
