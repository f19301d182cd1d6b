//! `assay ask`: requests a job and follows it to its verdict and to finality.

use super::{build_file, checked_file, Context};
use crate::{
	amount::Asy,
	args::AskArgs,
	chain::{runtime, At, Job, Model, Until},
	error::CliError,
	keys::{name_of, Signer},
	output::Outcome,
	render,
};
use assay_primitives::{
	api::{JobPhase, Quote},
	job::Input,
	limits::MAX_INPUT_BYTES,
	Balance, JobId, SamplingParams, Verdict,
};
use assay_receipt::{Account, ChainReceipt};
use const_hex::encode_prefixed;
use serde_json::{json, Value};
use std::time::Duration;
use subxt::tx::Payload;

/// Time without a new block after which the chain counts as stalled.
const STALL_SECONDS: u64 = 60;
/// Blocks in a row that may fail to be read: a reorganization can drop a block while it is read.
const MAX_READ_FAILURES: u32 = 5;

/// Requests a job, follows it to its final verdict, and returns answer and receipt.
pub(crate) async fn run(cx: &Context, args: AskArgs) -> Result<Outcome, CliError> {
	let (input, params) = prompt_and_params(&args)?;
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
	let max_fee = accept(cx, &args, &signer.account(), &model, &quote)?;
	let call = runtime::tx().jobs().request(
		model.id.into(),
		runtime::bounded(input.to_vec()),
		params.into(),
		args.committee,
		max_fee,
	);
	let job = request(cx, &call, &signer).await?;

	let concluded = follow(cx, job, quote.t_max).await?;
	// The answer is known with the verdict; that the verdict stays takes a little longer.
	let first = build_file(cx, &concluded, job, false).await?;
	if first.output.is_some() {
		cx.report.early(&format!("\n{}\n", render::answer(&first)));
	}
	let (at, is_final) = if args.no_wait {
		(concluded, false)
	} else {
		(finality(cx, job).await?, true)
	};
	let (file, checked) = checked_file(cx, &at, job, is_final, args.save.as_deref()).await?;
	if matches!(file.receipt.verdict, Verdict::Refunded(_)) {
		return Err(CliError::NoAnswer {
			meaning: checked.to_string(),
			job,
		});
	}
	let mut text = render::receipt(&file, &checked, Some(&model.name));
	if file.output != first.output {
		// Another fork had another answer: the one that became final is shown too.
		text = format!("\n{}\n\n{text}", render::answer(&file));
	}
	Ok(Outcome::new(text, render::receipt_json(&file, &checked)))
}

/// Returns the prompt and the parameters if any chain could take them.
fn prompt_and_params(args: &AskArgs) -> Result<(Input, SamplingParams), CliError> {
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

/// Reports the quote and returns the fee to allow, unless `--max-fee` is below the quote.
fn accept(
	cx: &Context,
	args: &AskArgs,
	requester: &Account,
	model: &Model,
	quote: &Quote,
) -> Result<Balance, CliError> {
	let ceiling = Asy(quote.fee_ceiling);
	if let Some(allowed) = args.max_fee.filter(|allowed| *allowed < ceiling) {
		return Err(CliError::Refused {
			name: "Jobs::FeeTooLow".into(),
			next: format!("This job may cost up to {ceiling}, --max-fee allows {allowed}"),
		});
	}
	let facts = json!({
		"model": model.id, "name": model.name, "committee": args.committee, "fee_ceiling": ceiling,
		"deposit": Asy(quote.deposit), "t_max": quote.t_max, "requester": requester,
	});
	let text = format!("{} asks {}: at most {ceiling}", name_of(requester), model.name);
	cx.report.step("quoted", &text, facts);
	Ok(args.max_fee.unwrap_or(ceiling).0)
}

/// Submits the request and returns the job's id once a block has it.
async fn request<C: Payload>(cx: &Context, call: &C, signer: &Signer) -> Result<JobId, CliError> {
	let chain = cx.chain().await?;
	let included = chain.submit(call, signer, Until::InBlock, &cx.report).await?;
	let Some(event) = included.events.find_first::<runtime::jobs::events::Requested>() else {
		return Err(CliError::OtherRuntime {
			runtime: chain.runtime.clone(),
		});
	};
	let job: JobId = event.map_err(|e| chain.failed(e))?.job.0;
	let facts = json!({ "job": job, "block": included.number });
	cx.report.step("requested", &format!("job {job}"), facts);
	Ok(job)
}

/// Returns the only model that a provider serves.
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
	let mut progress = JobProgress::default();
	let mut failures = 0u32;
	let mut seen = 0u32;
	loop {
		let next = tokio::time::timeout(Duration::from_secs(STALL_SECONDS), chain.next(&mut blocks));
		let read = match next.await {
			Err(_) => {
				cx.report
					.warn(&format!("no new block for {STALL_SECONDS} s: the chain is stalled"));
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
			for (name, text, facts) in progress.update(view) {
				cx.report.step(name, &text, facts);
			}
			cx.report.waiting(waiting_for(view.phase));
		}
		if let Some(receipt) = receipt {
			let (text, facts) = conclusion(&receipt);
			cx.report.step("concluded", &text, facts);
			return Ok(at);
		}
		// t_max counts from the request; a job that is over it, or lost with its block, does not come back by waiting.
		if seen > t_max.saturating_add(20) {
			return Err(CliError::NotFound(format!(
				"job {job} has no verdict after {seen} blocks; its request may have been lost: see `assay job {job}`"
			)));
		}
	}
}

fn conclusion(receipt: &ChainReceipt) -> (String, Value) {
	let verdict = render::verdict(receipt.verdict);
	let (agreeing, n) = (receipt.agreeing(), receipt.committee.len());
	let text = format!(
		"verdict in block {}: {verdict}, {agreeing} of {n} agree",
		receipt.concluded_at
	);
	(
		text,
		json!({ "verdict": verdict, "agreeing": agreeing, "committee": n, "block": receipt.concluded_at }),
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
			let facts = json!({ "block": at.block_number(), "hash": encode_prefixed(at.block_hash()) });
			cx.report
				.step("finalized", &format!("final with block {}", at.block_number()), facts);
			return Ok(at);
		}
	}
}

type Step = (&'static str, String, Value);

/// The steps of a job that have been reported, so that each is reported once.
#[derive(Default)]
struct JobProgress {
	attempt: u8,
	drawn: bool,
	published: bool,
	committed: usize,
	revealed: usize,
}

impl JobProgress {
	/// Returns the steps that are new in this view of the job.
	fn update(&mut self, job: &Job) -> Vec<Step> {
		let mut steps = Vec::new();
		if job.phase == JobPhase::Concluded {
			return steps;
		}
		if job.attempt != self.attempt {
			if self.attempt != 0 {
				let text = format!("attempt {} failed: a new committee will be drawn", self.attempt);
				steps.push(("attempt_failed", text, json!({ "attempt": self.attempt })));
			}
			*self = Self {
				attempt: job.attempt,
				..Self::default()
			};
		}
		// While a later committee is drawn, the chain still shows the previous one.
		if job.phase == JobPhase::Drawing {
			return steps;
		}
		if !self.drawn && !job.committee.is_empty() {
			self.drawn = true;
			steps.push(drawn(job));
		}
		if let Some(output) = job.output.as_ref().filter(|_| !self.published) {
			self.published = true;
			let tokens = output.tokens.len();
			let text = format!("answer published, {tokens} tokens, not verified yet");
			steps.push(("published", text, json!({ "tokens": tokens })));
		}
		let n = job.committee.len();
		let committed = job.committee.iter().filter(|s| s.committed).count();
		if committed > self.committed {
			self.committed = committed;
			let facts = json!({ "votes": committed, "of": n });
			steps.push(("committed", format!("{committed} of {n} votes committed"), facts));
		}
		let revealed = job.committee.iter().filter(|s| s.revealed).count();
		if revealed > self.revealed {
			self.revealed = revealed;
			let facts = json!({ "votes": revealed, "of": n });
			steps.push(("revealed", format!("{revealed} of {n} votes revealed"), facts));
		}
		steps
	}
}

fn waiting_for(phase: JobPhase) -> &'static str {
	match phase {
		JobPhase::Drawing => "the committee is being drawn",
		JobPhase::Executing => "the executor computes",
		JobPhase::Committing => "the verifiers compute",
		JobPhase::Revealing => "votes are being revealed",
		JobPhase::Concluded => "concluded",
	}
}

fn drawn(job: &Job) -> Step {
	let mut names = job.committee.iter().map(|s| name_of(&s.provider));
	let executor = names.next().unwrap_or_default();
	let verifiers: Vec<String> = names.collect();
	let text = if verifiers.is_empty() {
		format!("committee drawn: {executor} executes, nobody verifies")
	} else {
		format!("committee drawn: {executor} executes; {} verify", verifiers.join(", "))
	};
	let accounts: Vec<_> = job.committee.iter().map(|s| s.provider).collect();
	("drawn", text, json!({ "attempt": job.attempt, "committee": accounts }))
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::args::{Cli, Command};
	use assay_primitives::{api::SeatView, FinishReason, ModelId, Output};
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
			let error = prompt_and_params(&args(&list)).err().unwrap();
			assert_eq!(error.exit_code(), 2);
			assert!(error.to_string().contains(word), "{error}");
		}
		let limit = "x".repeat(8192);
		assert!(prompt_and_params(&args(&[&limit])).is_ok());
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
		let (_, params) = prompt_and_params(&args(&list)).unwrap();
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

	fn names(progress: &mut JobProgress, view: &Job) -> Vec<&'static str> {
		progress.update(view).into_iter().map(|(name, ..)| name).collect()
	}

	#[test]
	fn each_step_of_a_job_is_reported_once() {
		use JobPhase::*;
		let mut progress = JobProgress::default();
		let fresh = [(false, false); 4];
		assert!(names(&mut progress, &job(Drawing, 1, &[], false)).is_empty());
		assert_eq!(names(&mut progress, &job(Executing, 1, &fresh, false)), ["drawn"]);
		assert!(names(&mut progress, &job(Executing, 1, &fresh, false)).is_empty());
		let one = [(true, false), (false, false), (false, false), (false, false)];
		assert_eq!(
			names(&mut progress, &job(Committing, 1, &one, true)),
			["published", "committed"]
		);
		let all = [(true, false); 4];
		assert_eq!(names(&mut progress, &job(Revealing, 1, &all, true)), ["committed"]);
		let open = [(true, true), (true, true), (true, true), (true, false)];
		assert_eq!(names(&mut progress, &job(Revealing, 1, &open, true)), ["revealed"]);
		assert!(names(&mut progress, &job(Concluded, 1, &open, true)).is_empty());
	}

	#[test]
	fn a_second_attempt_reports_its_steps_again() {
		use JobPhase::*;
		let mut progress = JobProgress::default();
		let all = [(true, true); 4];
		assert_eq!(
			names(&mut progress, &job(Revealing, 1, &all, true)),
			["drawn", "published", "committed", "revealed"]
		);
		assert_eq!(names(&mut progress, &job(Drawing, 2, &all, false)), ["attempt_failed"]);
		assert_eq!(
			names(&mut progress, &job(Executing, 2, &[(false, false); 4], false)),
			["drawn"]
		);
	}

	#[test]
	fn steps_that_happen_in_one_block_are_all_reported() {
		let mut progress = JobProgress::default();
		let steps = progress.update(&job(JobPhase::Revealing, 1, &[(true, false)], true));
		assert!(steps.iter().any(|(_, text, _)| text.contains("nobody verifies")));
	}
}
