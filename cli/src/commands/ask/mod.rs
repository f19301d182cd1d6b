//! `assay ask`: requests a job and follows it to its verdict, to finality, and to its settlement if asked to.

mod follow;
mod order;
mod progress;
mod question;

pub(super) use follow::{finality, follow};
pub(super) use order::{drafts, order, sources};
pub(super) use question::conversation;

use super::{build_file, checked_file, ensure_writable, Context};
use crate::{
	args::AskArgs,
	error::CliError,
	interrupt,
	output::{printable, Outcome},
	render,
};
use assay_receipt::assurance;
use order::Requested;

/// Requests a job, follows it to its final verdict, and returns answer and receipt.
pub(crate) async fn run(cx: &Context, args: AskArgs) -> Result<Outcome, CliError> {
	let input = question::input(&args)?;
	args.save.as_deref().map_or(Ok(()), ensure_writable)?;
	args.order.sampling.params()?;
	// The chain does not know the model's tokens; most special ones are written like this.
	let looks_special =
		|text: &str| text.starts_with('<') && text.ends_with('>') && !text.contains(char::is_whitespace);
	args.order.sampling.warn_of_special(&cx.report, looks_special);
	let signer = args.order.key.signer(cx.chain().await?.development, &cx.report)?;
	let requested = order(cx, &args.order, &signer, input).await?;
	let job = requested.job;
	let answer = tokio::select! {
		answer = answer(cx, &args, &requested) => answer,
		interrupted = interrupt::wait() => Err(interrupted),
	};
	answer.map_err(|error| error.of_job(job))
}

/// Follows a requested job to its final verdict, and returns answer and receipt.
async fn answer(cx: &Context, args: &AskArgs, requested: &Requested) -> Result<Outcome, CliError> {
	let Requested { job, model, t_max } = requested;
	let drafts = drafts(cx, &args.order, *job).await?;
	let followed = follow(cx, *job, *t_max, drafts).await?;
	// The answer is known with the verdict; that the verdict stays takes a little longer.
	let first = build_file(cx.chain().await?, &followed.at, *job, false, None).await?;
	let early = render::answer(&first);
	if !early.is_empty() {
		cx.report.early(&shown(&early, &followed.draft));
	}
	let (at, is_final) = match (args.no_wait, args.settled) {
		(true, _) => (followed.at, false),
		(false, settled) => (finality(cx, *job, settled).await?, true),
	};
	let evidence = followed.contradiction.as_ref();
	let (file, checked) = checked_file(cx, &at, *job, is_final, evidence, args.save.as_deref()).await?;
	if !render::stands(file.receipt.verdict) {
		return Err(CliError::NoAnswer {
			meaning: checked.to_string(),
			job: *job,
		});
	}
	let worth = assurance::of_receipt(&file.receipt, &checked, &args.order.assume.assumptions());
	let mut text = render::receipt(&file, &checked, &worth, Some(&model.name));
	if file.output != first.output || early.is_empty() {
		// Another fork had another answer, or a later decision: what became final is shown too.
		text = format!("\n{}\n\n{text}", render::answer(&file));
	}
	Ok(Outcome::new(text, render::receipt_json(&file, &checked, &worth)))
}

/// Returns an answer that has a verdict as it is shown: not a second time where the draft above is the same.
pub(super) fn shown(answer: &str, draft: &str) -> String {
	if !draft.is_empty() && answer == draft {
		return "The draft above is the answer.\n".into();
	}
	format!("\n{}\n", printable(answer))
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::args::{Cli, Command};
	use assay_primitives::SamplingParams;
	use clap::Parser;

	fn params(list: &[&str]) -> Result<SamplingParams, CliError> {
		match Cli::parse_from(["assay", "ask", "hi"].iter().chain(list)).command {
			Command::Ask(args) => args.order.sampling.params(),
			_ => unreachable!(),
		}
	}

	#[test]
	fn stops_over_the_limit_are_refused_with_the_limit() {
		let wide = "x".repeat(33);
		for (list, word) in [
			(vec!["--stop", ""], "--stop"),
			(vec!["--stop", wide.as_str()], "32"),
			(
				vec![
					"--stop", "a", "--stop", "b", "--stop", "c", "--stop", "d", "--stop", "e",
				],
				"4",
			),
		] {
			let error = params(&list).err().unwrap();
			assert_eq!(error.exit_code(), 2);
			assert!(error.to_string().contains(word), "{error}");
		}
	}

	#[test]
	fn options_become_sampling_parameters() {
		let list = [
			"--temperature",
			"0.5",
			"--top-k",
			"40",
			"--min-p",
			"0.25",
			"--stop",
			"END",
		];
		let params = params(&list).unwrap();
		assert_eq!((params.temperature, params.top_k, params.min_p), (1 << 15, 40, 1 << 14));
		assert_eq!(params.stop.first().map(|s| s.as_slice()), Some(&b"END"[..]));
		assert!(params.is_valid());
	}

	#[test]
	fn an_answer_is_shown_once() {
		assert!(shown("yes", "yes").contains("above is the answer"));
		for draft in ["", "ye", "no"] {
			assert!(shown("yes", draft).contains("yes"), "{draft}");
		}
	}
}
