//! `assay ask`: a question becomes a job; the job is followed to its verdict and to finality.

use super::{build_file, save, Context};
use crate::{
	amount::Asy,
	args::AskArgs,
	chain::{hex, runtime, At, Job, Model, Until},
	error::CliError,
	keys::name_of,
	output::Outcome,
	render,
};
use assay_primitives::{api::JobPhase, job::Input, limits::MAX_INPUT_BYTES, JobId, SamplingParams, Verdict};
use assay_receipt::{check, ChainReceipt};
use serde_json::{json, Value};
use std::time::Duration;

/// A chain that makes no block for so long stands still.
const STALL_SECONDS: u64 = 60;
/// Blocks that may fail to be read one after the other: a re-organisation can drop a block while it is read.
const MAX_READ_FAILURES: u32 = 5;

/// Asks, follows, prints.
pub(crate) async fn run(cx: &Context, args: AskArgs) -> Result<Outcome, CliError> {
	let (input, params) = request(&args)?;
	let chain = cx.chain().await?;
	let signer = args.key.signer(chain.development)?;
	let at = chain.best().await?;
	let model = match &args.model {
		Some(named) => chain.model(&at, named).await?,
		None => only_one(chain.models(&at).await?)?,
	};
	let bytes = u32::try_from(input.len()).unwrap_or(u32::MAX);
	let quote = chain
		.quote(&at, model.id, bytes, params.max_tokens, args.committee)
		.await?;
	if let Some(Asy(max)) = args.max_fee.filter(|max| max.0 < quote.fee_ceiling) {
		return Err(CliError::Refused {
			name: "Jobs::FeeTooLow".into(),
			next: format!(
				"This job may cost up to {}, --max-fee allows {}",
				Asy(quote.fee_ceiling),
				Asy(max)
			),
		});
	}
	let facts = json!({
		"model": model.id, "name": model.name, "committee": args.committee, "fee_ceiling": Asy(quote.fee_ceiling),
		"deposit": Asy(quote.deposit), "t_max": quote.t_max, "requester": signer.account(),
	});
	let text = format!(
		"{} asks {}: at most {}",
		name_of(&signer.account()),
		model.name,
		Asy(quote.fee_ceiling)
	);
	cx.report.step("quoted", &text, facts);

	let call = runtime::tx().jobs().request(
		model.id.into(),
		runtime::bounded(input.to_vec()),
		params.into(),
		args.committee,
		args.max_fee.map_or(quote.fee_ceiling, |max| max.0),
	);
	let included = chain.submit(&call, &signer, Until::InBlock, &cx.report).await?;
	let requested = included.events.find_first::<runtime::jobs::events::Requested>();
	let job: JobId = match requested {
		Some(event) => event.map_err(|e| chain.failed(e))?.job.0,
		None => {
			return Err(CliError::OtherRuntime {
				runtime: chain.runtime.clone(),
			})
		}
	};
	cx.report.step(
		"requested",
		&format!("job {job}"),
		json!({ "job": job, "block": included.number }),
	);

	let concluded = follow(cx, job, quote.t_max).await?;
	// The answer stands with the verdict; only that the verdict stays takes a little longer.
	let first = build_file(cx, &concluded, job, false).await?;
	if first.output.is_some() {
		cx.report.say(&format!("\n{}\n", render::answer(&first)));
	}
	let (at, is_final) = if args.no_wait {
		(concluded, false)
	} else {
		(finality(cx, job).await?, true)
	};
	let file = build_file(cx, &at, job, is_final).await?;
	let checked =
		check(&file).map_err(|e| CliError::NotVerified(format!("The chain's own receipt does not fit: {e}")))?;
	save(cx, &file, args.save.as_deref())?;

	let shown = render::receipt(&file, &checked, Some(&model.name));
	match file.receipt.verdict {
		Verdict::Refunded(_) => Err(CliError::NoAnswer {
			meaning: checked.to_string(),
			job,
		}),
		_ => {
			// Another fork may have had another answer; then the one that became final is shown too.
			let text = match file.output == first.output {
				true => shown,
				false => format!("\n{}\n\n{shown}", render::answer(&file)),
			};
			Ok(Outcome::new(text, render::receipt_json(&file, &checked)))
		}
	}
}

/// The prompt and parameters, if any chain could take them.
fn request(args: &AskArgs) -> Result<(Input, SamplingParams), CliError> {
	if args.prompt.is_empty() {
		return Err(CliError::Usage("the prompt is empty: ask something".into()));
	}
	let length = args.prompt.len();
	let input = Input::try_from(args.prompt.clone().into_bytes()).map_err(|_| {
		CliError::Usage(format!(
			"the prompt has {length} bytes, the limit is {MAX_INPUT_BYTES}: shorten it"
		))
	})?;
	Ok((input, args.sampling.params()?))
}

/// The only model that somebody serves.
fn only_one(models: Vec<Model>) -> Result<Model, CliError> {
	let mut served = models.into_iter().filter(|m| !m.terms.retired && m.providers > 0);
	match (served.next(), served.next()) {
		(Some(only), None) => Ok(only),
		(Some(_), Some(_)) => Err(CliError::Usage(
			"several models are served: choose one with --model, see `assay models`".into(),
		)),
		(None, _) => Err(CliError::NotFound(
			"no provider serves a model now: see `assay models`".into(),
		)),
	}
}

/// Follows a job on the best chain until it has a receipt; returns the block that shows it.
async fn follow(cx: &Context, job: JobId, t_max: u32) -> Result<At, CliError> {
	let chain = cx.chain().await?;
	let mut blocks = chain.best_blocks().await?;
	let mut story = Story::default();
	let mut failures = 0u32;
	let mut seen = 0u32;
	loop {
		let next = tokio::time::timeout(Duration::from_secs(STALL_SECONDS), chain.next(&mut blocks));
		let read = match next.await {
			Err(_) => {
				cx.report
					.warn(&format!("no new block for {STALL_SECONDS} s: the chain stands still"));
				continue;
			}
			Ok(Err(e)) => Err(e),
			Ok(Ok(at)) => match (chain.receipt(&at, job).await, chain.job(&at, job).await) {
				(Ok(receipt), Ok(view)) => Ok((at, receipt, view)),
				(Err(e), _) | (_, Err(e)) => Err(e),
			},
		};
		let (at, receipt, view) = match read {
			Ok(read) => read,
			Err(e) if failures >= MAX_READ_FAILURES => return Err(e),
			Err(_) => {
				failures = failures.saturating_add(1);
				continue;
			}
		};
		failures = 0;
		seen = seen.saturating_add(1);
		if let Some(view) = &view {
			for (name, text, facts) in story.tell(view) {
				cx.report.step(name, &text, facts);
			}
			cx.report.waiting(story.waiting(view));
		}
		if let Some(receipt) = receipt {
			let (text, facts) = conclusion(&receipt);
			cx.report.step("concluded", &text, facts);
			return Ok(at);
		}
		// T_max counts from the request; a job that is over it, or gone with its block, will not come back by waiting.
		if seen > t_max.saturating_add(20) {
			return Err(CliError::NotFound(format!(
				"job {job} has no verdict after {seen} blocks; its request may have been lost: `assay job {job}` tells"
			)));
		}
	}
}

fn conclusion(receipt: &ChainReceipt) -> (String, Value) {
	let word = render::verdict(receipt.verdict);
	let (agreeing, n) = (receipt.agreeing(), receipt.committee.len());
	let text = format!(
		"verdict in block {}: {word}, {agreeing} of {n} agree",
		receipt.concluded_at
	);
	(
		text,
		json!({ "verdict": word, "agreeing": agreeing, "committee": n, "block": receipt.concluded_at }),
	)
}

/// Waits until a finalized block has the receipt; returns that block.
async fn finality(cx: &Context, job: JobId) -> Result<At, CliError> {
	let chain = cx.chain().await?;
	let mut blocks = chain.finalized_blocks().await?;
	cx.report.waiting("waiting until the verdict is final");
	loop {
		let next = tokio::time::timeout(Duration::from_secs(STALL_SECONDS), chain.next(&mut blocks));
		let Ok(at) = next.await else {
			cx.report.warn(&format!("nothing was finalized for {STALL_SECONDS} s"));
			continue;
		};
		let at = at?;
		if chain.receipt(&at, job).await?.is_some() {
			let facts = json!({ "block": at.block_number(), "hash": hex(&at.block_hash().0) });
			cx.report
				.step("finalized", &format!("final with block {}", at.block_number()), facts);
			return Ok(at);
		}
	}
}

/// What has been told of a job so far, so that each step is told once.
#[derive(Default)]
struct Story {
	attempt: u8,
	drawn: bool,
	published: bool,
	committed: usize,
	revealed: usize,
}

impl Story {
	/// What is new in this view of the job.
	fn tell(&mut self, job: &Job) -> Vec<(&'static str, String, Value)> {
		let mut steps = Vec::new();
		if job.phase == JobPhase::Concluded {
			return steps;
		}
		if job.attempt != self.attempt {
			if self.attempt != 0 {
				let text = format!("attempt {} failed: a fresh committee", self.attempt);
				steps.push(("attempt_failed", text, json!({ "attempt": self.attempt })));
			}
			*self = Self {
				attempt: job.attempt,
				..Self::default()
			};
		}
		// While a later committee is drawn, the chain still shows the one before.
		if job.phase == JobPhase::Drawing {
			return steps;
		}
		let n = job.committee.len();
		if !self.drawn && n > 0 {
			self.drawn = true;
			let mut names = job.committee.iter().map(|s| name_of(&s.provider));
			let executor = names.next().unwrap_or_default();
			let verifiers: Vec<String> = names.collect();
			let text = match verifiers.is_empty() {
				true => format!("committee drawn: {executor} executes, nobody verifies"),
				false => format!("committee drawn: {executor} executes; {} verify", verifiers.join(", ")),
			};
			let accounts: Vec<_> = job.committee.iter().map(|s| s.provider).collect();
			steps.push(("drawn", text, json!({ "attempt": job.attempt, "committee": accounts })));
		}
		if let Some(output) = job.output.as_ref().filter(|_| !self.published) {
			self.published = true;
			let tokens = output.tokens.len();
			steps.push((
				"published",
				format!("answer published, {tokens} tokens, not checked yet"),
				json!({ "tokens": tokens }),
			));
		}
		let committed = job.committee.iter().filter(|s| s.committed).count();
		if committed > self.committed {
			self.committed = committed;
			steps.push((
				"committed",
				format!("{committed} of {n} votes in, blinded"),
				json!({ "votes": committed, "of": n }),
			));
		}
		let revealed = job.committee.iter().filter(|s| s.revealed).count();
		if revealed > self.revealed {
			self.revealed = revealed;
			steps.push((
				"revealed",
				format!("{revealed} of {n} votes open"),
				json!({ "votes": revealed, "of": n }),
			));
		}
		steps
	}

	fn waiting(&self, job: &Job) -> &'static str {
		match job.phase {
			JobPhase::Drawing => "the committee is being drawn",
			JobPhase::Executing => "the executor computes",
			JobPhase::Committing => "the verifiers compute",
			JobPhase::Revealing => "votes are being opened",
			JobPhase::Concluded => "concluded",
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::args::{Cli, Command};
	use assay_primitives::{api::SeatView, FinishReason, ModelId, Output};
	use assay_receipt::Account;
	use clap::Parser;

	fn args(list: &[&str]) -> AskArgs {
		match Cli::parse_from(["assay", "ask"].iter().chain(list)).command {
			Command::Ask(args) => args,
			_ => unreachable!(),
		}
	}

	#[test]
	fn prompts_and_stops_over_the_limit_are_refused_with_the_limit() {
		let long = "x".repeat(8193);
		let wide = "x".repeat(33);
		for (list, word) in [
			(vec![""], "empty"),
			(vec![long.as_str()], "8192"),
			(vec!["hi", "--stop", ""], "--stop"),
			(vec!["hi", "--stop", wide.as_str()], "32"),
			(
				vec![
					"hi", "--stop", "a", "--stop", "b", "--stop", "c", "--stop", "d", "--stop", "e",
				],
				"4",
			),
		] {
			let error = request(&args(&list)).err().unwrap();
			assert_eq!(error.exit_code(), 2);
			assert!(error.to_string().contains(word), "{error}");
		}
		let limit = "x".repeat(8192);
		assert!(request(&args(&[&limit])).is_ok());
	}

	#[test]
	fn options_become_sampling_parameters() {
		let list = [
			"hi",
			"--temperature",
			"0.5",
			"--top-k",
			"40",
			"--min-p",
			"0.25",
			"--stop",
			"END",
		];
		let (_, params) = request(&args(&list)).unwrap();
		assert_eq!((params.temperature, params.top_k, params.min_p), (1 << 15, 40, 1 << 14));
		assert_eq!(params.stop.first().map(|s| s.as_slice()), Some(&b"END"[..]));
		assert!(params.is_valid());
	}

	fn job(phase: JobPhase, attempt: u8, seats: &[(bool, bool)], published: bool) -> Job {
		let seat = |(i, (committed, revealed)): (usize, &(bool, bool))| SeatView {
			provider: Account([u8::try_from(i).unwrap(); 32]),
			committed: *committed,
			revealed: *revealed,
		};
		let output = Output {
			input_tokens: 3,
			tokens: vec![1, 2].try_into().unwrap(),
			text: b"yes".to_vec().try_into().unwrap(),
			finish: FinishReason::Eos,
		};
		Job {
			id: JobId([1; 32]),
			requester: Account([9; 32]),
			model: ModelId([2; 32]),
			params: SamplingParams::greedy(2),
			phase,
			attempt,
			committee: seats
				.iter()
				.enumerate()
				.map(seat)
				.collect::<Vec<_>>()
				.try_into()
				.unwrap(),
			deadline: Some(50),
			input: b"hi".to_vec(),
			output: published.then_some(output),
			requested_at: 1,
			genesis: [0; 32],
		}
	}

	fn told(story: &mut Story, view: &Job) -> Vec<&'static str> {
		story.tell(view).into_iter().map(|(name, ..)| name).collect()
	}

	#[test]
	fn each_step_of_a_job_is_told_once() {
		use JobPhase::*;
		let mut story = Story::default();
		let fresh = [(false, false); 4];
		assert!(told(&mut story, &job(Drawing, 1, &[], false)).is_empty());
		assert_eq!(told(&mut story, &job(Executing, 1, &fresh, false)), ["drawn"]);
		assert!(told(&mut story, &job(Executing, 1, &fresh, false)).is_empty());
		let one = [(true, false), (false, false), (false, false), (false, false)];
		assert_eq!(
			told(&mut story, &job(Committing, 1, &one, true)),
			["published", "committed"]
		);
		let all = [(true, false); 4];
		assert_eq!(told(&mut story, &job(Revealing, 1, &all, true)), ["committed"]);
		let open = [(true, true), (true, true), (true, true), (true, false)];
		assert_eq!(told(&mut story, &job(Revealing, 1, &open, true)), ["revealed"]);
		assert!(told(&mut story, &job(Concluded, 1, &open, true)).is_empty());
	}

	#[test]
	fn a_second_attempt_starts_a_new_story() {
		use JobPhase::*;
		let mut story = Story::default();
		let all = [(true, true); 4];
		assert_eq!(
			told(&mut story, &job(Revealing, 1, &all, true)),
			["drawn", "published", "committed", "revealed"]
		);
		assert_eq!(told(&mut story, &job(Drawing, 2, &all, false)), ["attempt_failed"]);
		assert_eq!(
			told(&mut story, &job(Executing, 2, &[(false, false); 4], false)),
			["drawn"]
		);
	}

	#[test]
	fn steps_that_happen_in_one_block_are_all_told() {
		let mut story = Story::default();
		let steps = story.tell(&job(JobPhase::Revealing, 1, &[(true, false)], true));
		assert!(steps.iter().any(|(_, text, _)| text.contains("nobody verifies")));
	}
}
