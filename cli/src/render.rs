//! Jobs, receipts and models as text for people and as JSON.

use crate::{
	amount::Asy,
	assurance::Worth,
	chain::{Job, Listing, Model, Provider},
	keys::name_of,
};
use assay_model_folder::manifest::ManifestFile;
use assay_primitives::{
	economics::Fault, model::Prices, receipt::SeatRecord, vote::Defect, Balance, Failure, FinishReason, State, Verdict,
	Vote,
};
use assay_receipt::{Account, Checked, ReceiptFile};
use const_hex::encode_prefixed;
use serde::Serialize;
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
fn short(bytes: &[u8; 32]) -> String {
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
	match published.map(|o| o.finish) {
		None => String::new(),
		Some(FinishReason::Failed(failure)) => format!("({})", no_answer(failure)),
		Some(_) => file.answer().unwrap_or_default().into(),
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
		("prompt", String::from_utf8_lossy(&job.input).into_owned()),
	];
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

/// Draws a table of models and their listings.
pub(crate) fn models(models: &[Model]) -> String {
	if models.is_empty() {
		return "No model is registered. Register one: `assay model register DIR --price-in … --price-out …`".into();
	}
	let mut out = format!(
		"{:<20} {:>9} {:>9}  {:>7}  {:<16} {:<16} {}\n",
		"name", "providers", "context", "listing", "ASY in", "ASY out", "id"
	);
	for m in models {
		let model = format!("{:<20} {:>9} {:>9}", m.name, m.providers, m.context_length);
		let id = short(&m.id.0);
		if m.listings.is_empty() {
			out.push_str(&format!("{model}  {:>7}  {:<16} {:<16} {id}\n", "none", "", ""));
		}
		for listing in &m.listings {
			let [price_in, price_out] = [listing.prices.price_in, listing.prices.price_out].map(|price| {
				let price = Asy(price).to_string();
				price.trim_end_matches(" ASY").to_owned()
			});
			let number = listing.listing.0;
			out.push_str(&format!("{model}  {number:>7}  {price_in:<16} {price_out:<16} {id}\n"));
		}
	}
	out
}

/// Returns a model as JSON, with amounts in ASY.
pub(crate) fn model_json(model: &Model) -> Value {
	let mut json = with_asy(model, &[("stake", model.stake)]);
	json["listings"] = model.listings.iter().map(listing_json).collect();
	json
}

/// Returns a listing as JSON, with amounts in ASY.
fn listing_json(listing: &Listing) -> Value {
	let prices = |prices: &Prices| [("price_in", prices.price_in), ("price_out", prices.price_out)];
	let amounts = [("deposit", listing.deposit), ("willing", listing.willing)];
	let mut json = with_asy(listing, &[amounts, prices(&listing.prices)].concat());
	if let Some(next) = &listing.next_prices {
		json["next_prices"] = with_asy(next, &prices(&next.prices));
	}
	json
}

/// Returns a provider of a model as JSON, with the stakes in ASY.
pub(crate) fn provider_json(provider: &Provider) -> Value {
	with_asy(provider, &[("bond", provider.bond), ("sealed", provider.sealed)])
}

/// Returns a view's JSON in which amounts, which views give in base units, are in ASY.
fn with_asy(view: &impl Serialize, amounts: &[(&str, Balance)]) -> Value {
	let mut json = json!(view);
	for (name, amount) in amounts {
		json[*name] = json!(Asy(*amount));
	}
	json
}

/// Draws a model, its listings and its providers.
pub(crate) fn model(m: &Model, providers: &[Provider]) -> String {
	let mut lines = vec![
		("model", m.name.clone()),
		("id", m.id.to_string()),
		(
			"kind",
			format!(
				"{}, {} parameters, {} bytes",
				m.architecture, m.parameters, m.weight_bytes
			),
		),
		(
			"context",
			format!(
				"{} tokens, up to {} of them from the chat template",
				m.context_length, m.prompt_overhead
			),
		),
	];
	let unlisted = m.listings.is_empty();
	lines.extend(unlisted.then(|| ("state", "no listing takes jobs".into())));
	lines.extend(m.listings.iter().map(|listing| ("listing", listing_line(listing))));
	for p in providers {
		let state = match (p.available, p.ready) {
			(true, _) => "free",
			(false, true) => "no free place",
			(false, false) => "not ready",
		};
		let load = format!(
			"{}: {} of {} jobs, bond {}, sealed {}, {state}",
			name_of(&p.provider),
			p.load,
			p.capacity,
			Asy(p.bond),
			Asy(p.sealed)
		);
		lines.push(("provider", load));
	}
	boxed("model", &lines)
}

/// Describes a listing in one line.
fn listing_line(listing: &Listing) -> String {
	let percent = f64::from(listing.royalty.deconstruct()) / 10_000.0;
	let prices = |prices: &Prices| format!("{} in, {} out", Asy(prices.price_in), Asy(prices.price_out));
	let next = listing.next_prices.as_ref().map_or_else(String::new, |next| {
		format!(", from block {} on {}", next.at, prices(&next.prices))
	});
	let willing = Asy(listing.willing);
	let checked = if listing.takes_checked_jobs {
		format!("stake of {willing} executes")
	} else {
		format!("only stake of {willing} executes: takes no checked jobs")
	};
	format!(
		"{} by {}: {}{next}, royalty {percent} %, deposit {}, {checked}",
		listing.listing,
		name_of(&listing.owner),
		prices(&listing.prices),
		Asy(listing.deposit)
	)
}

/// Formats a number of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
	indicatif::DecimalBytes(bytes).to_string()
}

/// Formats a vector's first and last numbers and its length.
pub(crate) fn vector(all: &[f32]) -> String {
	const ENDS: usize = 4;
	let list = |part: &[f32]| part.iter().map(|v| format!("{v:.6}")).collect::<Vec<_>>().join(", ");
	match (
		all.get(..ENDS),
		all.len().checked_sub(ENDS).and_then(|from| all.get(from..)),
	) {
		(Some(first), Some(last)) if all.len() > 2 * ENDS => {
			format!(
				"[{}, …, {}] ({} numbers; --json prints all)",
				list(first),
				list(last),
				all.len()
			)
		}
		_ => format!("[{}]", list(all)),
	}
}

/// Formats the hyperparameters of an architecture, as many to a line as fit.
fn hyperparameters(all: &Value) -> Vec<String> {
	const MAX_CHARS: usize = 64;
	let mut lines = vec![String::new()];
	// The fields of decoders and encoders are one level down.
	let groups = all.as_object().into_iter().flat_map(|map| map.iter());
	let fields = groups.flat_map(|(key, value)| match value.as_object() {
		Some(inner) => inner.iter().collect(),
		None => vec![(key, value)],
	});
	for (key, value) in fields {
		let text = format!("{key} {}", value.to_string().trim_matches('"'));
		match lines.last_mut() {
			Some(line) if line.is_empty() => *line = text,
			Some(line) if line.chars().count() + text.chars().count() + 2 <= MAX_CHARS => {
				line.push_str(", ");
				line.push_str(&text);
			}
			_ => lines.push(text),
		}
	}
	lines
}

/// Draws the manifest of a model directory.
pub(crate) fn manifest(file: &ManifestFile) -> String {
	let m = &file.manifest;
	let stated = |text: &str| if text.is_empty() { "not stated" } else { text }.to_owned();
	let mut lines = vec![
		("model", m.name.clone()),
		("id", file.model_id.to_string()),
		(
			"kind",
			format!(
				"{}, {} parameters, {} of weights",
				m.architecture,
				m.parameters(),
				bytes(m.weight_bytes())
			),
		),
		("profile", json!(m.profile).as_str().unwrap_or_default().to_owned()),
	];
	for (i, text) in hyperparameters(&json!(m.hyperparameters)).into_iter().enumerate() {
		lines.push((if i == 0 { "config" } else { "" }, text));
	}
	let origin = match m.hyperparameters.encoder() {
		Ok(_) => "special tokens",
		Err(_) => "from the chat template",
	};
	lines.push((
		"context",
		format!(
			"{} tokens, up to {} of them {origin}",
			m.context_length(),
			m.prompt_overhead
		),
	));
	lines.push(("tensors", format!("{} in model.safetensors", m.tensors.len())));
	lines.push(("source", stated(&m.provenance.source)));
	lines.push(("revision", stated(&m.provenance.revision)));
	for source in &m.provenance.upstream {
		lines.push(("", format!("{} {}", short(&source.root), source.name)));
	}
	lines.push(("quantizer", m.provenance.quantizer.clone()));
	if let Some(parent) = &m.provenance.parent {
		lines.push(("made from", parent.to_string()));
	}
	lines.push(("license", stated(&m.provenance.license)));
	let known = match &file.known_answer {
		Some(known) => format!("recorded: {} tokens to {:?}", known.max_tokens, known.prompt),
		None => "missing; no node serves it: `assay model check --record` adds it".into(),
	};
	lines.push(("answer", known));
	boxed("model directory", &lines)
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_receipt::check;

	use crate::assurance;
	use assay_primitives::assurance::Assumptions;

	const SETTLED: &str = include_str!("../../receipt/tests/golden/settled.json");
	const OVERTURNED: &str = include_str!("../../receipt/tests/golden/overturned.json");
	const UNCHECKED: &str = include_str!("../../receipt/tests/golden/unchecked.json");

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

	#[test]
	fn a_long_vector_is_cut_in_the_middle() {
		assert_eq!(vector(&[0.5, -1.0]), "[0.500000, -1.000000]");
		let long: Vec<f32> = (0..384u16).map(f32::from).collect();
		let text = vector(&long);
		assert!(
			text.starts_with("[0.000000, 1.000000") && text.contains("383.000000] (384 numbers"),
			"{text}"
		);
	}

	#[test]
	fn an_empty_catalog_names_the_command_that_registers() {
		assert!(models(&[]).contains("assay model register"));
	}
}
