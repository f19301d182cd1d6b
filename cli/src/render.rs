//! Jobs, receipts and models as text for people and as JSON.

use crate::{
	amount::Asy,
	chain::{Job, Model, Provider},
	keys::name_of,
};
use assay_model_folder::manifest::ManifestFile;
use assay_primitives::{
	api::JobPhase, economics::Fault, receipt::SeatRecord, vote::Vote, Balance, Failure, FinishReason, Verdict,
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
		Verdict::Refunded(_) => "refunded",
	}
}

/// Returns the answer's text, or why there is none; empty after a refund.
pub(crate) fn answer(file: &ReceiptFile) -> String {
	match file.output.as_ref().map(|o| o.finish) {
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

fn seat(seat: &SeatRecord<Account>, winner: Option<Vote>, alone: bool) -> String {
	let word = match (&seat.vote, winner) {
		(Some(_), Some(_)) if alone => "answered",
		(Some(vote), Some(won)) if *vote == won => "agrees",
		(Some(Vote::Confirm { .. }), None) => "confirmed",
		(Some(Vote::Reject { .. }), None) => "rejected",
		(Some(_), Some(_)) => "dissents",
		(None, _) => "no vote",
	};
	let fault = match &seat.fault {
		None => "",
		Some(Fault::Rejected) => ", slashed: output rejected",
		Some(Fault::Dissent) => ", slashed: dissent",
		Some(Fault::NoReveal) => ", slashed: vote not revealed",
		Some(Fault::NoOutput) => ", slashed: no output",
	};
	format!("{} {word}{fault}", name_of(&seat.provider))
}

/// Draws a receipt.
pub(crate) fn receipt(file: &ReceiptFile, checked: &Checked, model: Option<&str>) -> String {
	let r = &file.receipt;
	let winner = r.answer.map(|a| Vote::Confirm {
		trace_root: a.trace_root,
	});
	let mut lines = vec![
		("job", r.job.to_string()),
		(
			"model",
			model.map_or_else(|| short(&r.model.0), |name| format!("{name} ({})", short(&r.model.0))),
		),
		("verdict", format!("{}, attempt {}", verdict(r.verdict), r.attempts)),
		("", checked.to_string()),
	];
	for (i, s) in r.committee.iter().enumerate() {
		lines.push((
			if i == 0 { "executor" } else { "verifier" },
			seat(s, winner, r.committee.len() == 1),
		));
	}
	if let Some(answer) = &r.answer {
		lines.push(("digest", short(&answer.digest.0)));
		let tokens = format!(
			"{} in, {} out; {}",
			answer.input_tokens,
			answer.output_tokens,
			finish(answer.finish)
		);
		lines.push(("tokens", tokens));
	}
	lines.push(("fee", Asy(r.fee).to_string()));
	lines.push((
		"blocks",
		format!("requested in {}, verdict in {}", r.requested_at, r.concluded_at),
	));
	let at = &file.read_at;
	let state = if at.finalized { "final" } else { "not final yet" };
	lines.push(("read", format!("at block {} ({}), {state}", at.number, short(&at.hash))));
	boxed("receipt", &lines)
}

/// Returns a receipt file as JSON, with its meaning in words.
pub(crate) fn receipt_json(file: &ReceiptFile, checked: &Checked) -> Value {
	json!({
		"job": file.receipt.job,
		"verdict": verdict(file.receipt.verdict),
		"meaning": checked.to_string(),
		"answer": file.answer(),
		"finish": file.output.as_ref().map(|o| o.finish),
		"agreeing": checked.agreeing,
		"committee": checked.committee,
		"fee": Asy(file.receipt.fee),
		"finalized": file.read_at.finalized,
		"file": file,
	})
}

/// Returns the word for a phase.
pub(crate) fn phase(phase: JobPhase) -> &'static str {
	match phase {
		JobPhase::Drawing => "drawing",
		JobPhase::Executing => "executing",
		JobPhase::Committing => "committing",
		JobPhase::Revealing => "revealing",
		JobPhase::Concluded => "concluded",
	}
}

/// Draws a job.
pub(crate) fn job(job: &Job) -> String {
	let mut lines = vec![
		("job", job.id.to_string()),
		("phase", format!("{}, attempt {}", phase(job.phase), job.attempt)),
		("model", short(&job.model.0)),
		(
			"requester",
			format!("{} in block {}", name_of(&job.requester), job.requested_at),
		),
		("prompt", String::from_utf8_lossy(&job.input).into_owned()),
	];
	for (i, s) in job.committee.iter().enumerate() {
		let state = if s.revealed {
			"has revealed"
		} else if s.committed {
			"has committed"
		} else {
			"computes"
		};
		lines.push((
			if i == 0 { "executor" } else { "verifier" },
			format!("{} {state}", name_of(&s.provider)),
		));
	}
	if let Some(output) = &job.output {
		lines.push(("published", format!("{} tokens", output.tokens.len())));
	}
	if let Some(deadline) = job.deadline {
		lines.push(("deadline", format!("block {deadline}")));
	}
	boxed("job", &lines)
}

/// Draws a table of models.
pub(crate) fn models(models: &[Model]) -> String {
	if models.is_empty() {
		return "No model is registered. Register one: `assay model register DIR --price-in … --price-out …`".into();
	}
	let mut out = format!(
		"{:<20} {:>9} {:>9}  {:<16} {:<16} {}\n",
		"name", "providers", "context", "ASY in", "ASY out", "id"
	);
	for m in models {
		let name = if m.terms.retired {
			format!("{} (retired)", m.name)
		} else {
			m.name.clone()
		};
		let (price_in, price_out) = (Asy(m.terms.price_in).to_string(), Asy(m.terms.price_out).to_string());
		out.push_str(&format!(
			"{name:<20} {:>9} {:>9}  {:<16} {:<16} {}\n",
			m.providers,
			m.terms.context_length,
			price_in.trim_end_matches(" ASY"),
			price_out.trim_end_matches(" ASY"),
			short(&m.id.0)
		));
	}
	out
}

/// Returns a model as JSON, with prices in ASY.
pub(crate) fn model_json(model: &Model) -> Value {
	with_asy(
		model,
		&[("price_in", model.terms.price_in), ("price_out", model.terms.price_out)],
	)
}

/// Returns a provider of a model as JSON, with the bond in ASY.
pub(crate) fn provider_json(provider: &Provider) -> Value {
	with_asy(provider, &[("bond", provider.bond)])
}

/// Returns a view's JSON in which amounts, which views give in base units, are in ASY.
fn with_asy(view: &impl Serialize, amounts: &[(&str, Balance)]) -> Value {
	let mut json = json!(view);
	for (name, amount) in amounts {
		json[*name] = json!(Asy(*amount));
	}
	json
}

/// Draws a model and its providers.
pub(crate) fn model(m: &Model, providers: &[Provider]) -> String {
	let percent = f64::from(m.terms.royalty.deconstruct()) / 10_000.0;
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
		("owner", name_of(&m.terms.owner)),
		(
			"prices",
			format!(
				"{} per prompt token, {} per answer token",
				Asy(m.terms.price_in),
				Asy(m.terms.price_out)
			),
		),
		("royalty", format!("{percent} %")),
		(
			"context",
			format!(
				"{} tokens, up to {} of them from the chat template",
				m.terms.context_length, m.terms.prompt_overhead
			),
		),
	];
	if m.terms.retired {
		lines.push(("state", "retired: takes no new jobs".into()));
	}
	for p in providers {
		let state = if p.available { "free" } else { "not available" };
		let load = format!(
			"{}: {} of {} jobs, bond {}, {state}",
			name_of(&p.provider),
			p.load,
			p.capacity,
			Asy(p.bond)
		);
		lines.push(("provider", load));
	}
	boxed("model", &lines)
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

	const GOLDEN: &str = include_str!("../../receipt/tests/golden.json");

	#[test]
	fn a_receipt_names_votes_slashes_and_the_fee() {
		let file = ReceiptFile::from_json(GOLDEN).unwrap();
		let text = receipt(&file, &check(&file).unwrap(), Some("assay-demo"));
		for part in [
			"confirmed, attempt 1",
			"3 of 4 providers computed this answer",
			"executor",
			"agrees",
			"dissents, slashed: dissent",
			"assay-demo (0x02020202…",
			"9 in, 4 out",
			"0.00637 ASY",
			"requested in 20, verdict in 24",
			", final",
		] {
			assert!(text.contains(part), "{part} is missing in\n{text}");
		}
		assert!(text.lines().all(|l| l.starts_with(['┌', '│', '└'])), "{text}");
	}

	#[test]
	fn an_unchecked_receipt_is_described_as_such() {
		let mut file = ReceiptFile::from_json(GOLDEN).unwrap();
		file.receipt.committee.truncate(1);
		file.receipt.verdict = Verdict::Unchecked;
		let checked = check(&file).unwrap();
		assert!(receipt(&file, &checked, None).contains("Nobody checked it."));
		assert_eq!(
			receipt_json(&file, &checked)["meaning"],
			"One provider computed this answer. Nobody checked it."
		);
	}

	#[test]
	fn a_failed_answer_is_explained() {
		let mut file = ReceiptFile::from_json(GOLDEN).unwrap();
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
