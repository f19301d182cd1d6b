//! `assay ask`: requests a job and follows it to its verdict, to finality, and to its settlement if asked to.

mod progress;

use super::{build_file, checked_file, ensure_writable, Context};
use crate::{
	amount::Asy,
	args::AskArgs,
	assurance,
	chain::{runtime, At, Chain, Model, Until},
	error::CliError,
	interrupt,
	keys::{name_of, Signer},
	output::{Outcome, STALL_SECONDS},
	render,
};
use assay_primitives::{
	api::Quote, job::Input, limits::MAX_INPUT_BYTES, Balance, JobId, SamplingParams, Target, Verdict,
};
use assay_receipt::{Account, ChainReceipt};
use const_hex::encode_prefixed;
use progress::{waiting_for, JobProgress};
use serde_json::{json, Value};
use std::time::Duration;
use subxt::tx::Payload;

/// Blocks in a row that may fail to be read: a reorganization can drop a block while it is read.
const MAX_READ_FAILURES: u32 = 5;

/// Requests a job, follows it to its final verdict, and returns answer and receipt.
pub(crate) async fn run(cx: &Context, args: AskArgs) -> Result<Outcome, CliError> {
	let (input, params) = prompt_and_params(&args)?;
	args.save.as_deref().map_or(Ok(()), ensure_writable)?;
	// The chain does not know the model's tokens; most special ones are written like this.
	let looks_special =
		|text: &str| text.starts_with('<') && text.ends_with('>') && !text.contains(char::is_whitespace);
	args.sampling.warn_of_special(&cx.report, looks_special);
	let chain = cx.chain().await?;
	let signer = args.key.signer(chain.development)?;
	let at = chain.best().await?;
	let (model, target) = asked(chain, &at, &args).await?;
	let bytes = u32::try_from(input.len()).unwrap_or(u32::MAX);
	let quote = chain
		.quote(&at, target, bytes, params.max_tokens, args.verifiers)
		.await?;
	let max_fee = accept(cx, &args, &signer.account(), &model, &quote)?;
	let call = runtime::request(target, &input, params, args.verifiers, max_fee);
	let job = request(cx, &call, &signer).await?;
	let answer = tokio::select! {
		answer = answer(cx, &args, job, &model, quote.t_max) => answer,
		interrupted = interrupt::wait() => Err(interrupted),
	};
	answer.map_err(|error| error.of_job(job))
}

/// Follows a requested job to its final verdict, and returns answer and receipt.
async fn answer(cx: &Context, args: &AskArgs, job: JobId, model: &Model, t_max: u32) -> Result<Outcome, CliError> {
	let decided = follow(cx, job, t_max).await?;
	// The answer is known with the verdict; that the verdict stays takes a little longer.
	let first = build_file(cx, &decided, job, false).await?;
	let early = render::answer(&first);
	if !early.is_empty() {
		cx.report.early(&format!("\n{early}\n"));
	}
	let (at, is_final) = match (args.no_wait, args.settled) {
		(true, _) => (decided, false),
		(false, settled) => (finality(cx, job, settled).await?, true),
	};
	let (file, checked) = checked_file(cx, &at, job, is_final, args.save.as_deref()).await?;
	if !render::stands(file.receipt.verdict) {
		return Err(CliError::NoAnswer {
			meaning: checked.to_string(),
			job,
		});
	}
	let worth = assurance::of_receipt(&file.receipt, &checked, &args.assume.assumptions());
	let mut text = render::receipt(&file, &checked, &worth, Some(&model.name));
	if file.output != first.output || early.is_empty() {
		// Another fork had another answer, or a later decision: what became final is shown too.
		text = format!("\n{}\n\n{text}", render::answer(&file));
	}
	Ok(Outcome::new(text, render::receipt_json(&file, &checked, &worth)))
}

/// Returns the model that is asked, and how the request names it.
async fn asked(chain: &Chain, at: &At, args: &AskArgs) -> Result<(Model, Target), CliError> {
	if let Some(id) = args.listing {
		let listing = chain.listing(at, id).await?;
		let model = chain.model(at, &listing.model.to_string()).await?;
		return Ok((model, id.into()));
	}
	let model = match &args.model {
		Some(named) => chain.model(at, named).await?,
		None => only_one(chain.models(at).await?)?,
	};
	let target = model.id.into();
	Ok((model, target))
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
	let worth = assurance::of_quote(quote, args.verifiers, &args.assume.assumptions());
	let facts = json!({
		"model": model.id, "listing": quote.listing, "name": model.name, "verifiers": args.verifiers, "fee_ceiling": ceiling,
		"seat_fee": Asy(quote.seat_fee), "deposit": Asy(quote.deposit), "jobs_ahead": quote.jobs_ahead,
		"longest_wait": quote.longest_wait, "t_max": quote.t_max, "requester": requester, "assurance": worth.json(),
	});
	let text = format!(
		"{} asks {} at listing {}: at most {ceiling}; {}",
		name_of(requester),
		model.name,
		quote.listing,
		queue(quote)
	);
	cx.report.step("quoted", &text, facts);
	if args.verifiers == 0 {
		cx.report.warn(&worth.text());
	} else {
		cx.report.step("assured", &worth.text(), worth.json());
	}
	Ok(args.max_fee.unwrap_or(ceiling).0)
}

/// Says how long the job may wait for an executor.
fn queue(quote: &Quote) -> String {
	let ahead = assurance::words::number(quote.jobs_ahead, "job");
	format!(
		"{ahead} ahead, refunded if no provider is free within {} blocks",
		quote.longest_wait
	)
}

/// Submits the request and returns the job's id once a block has it.
async fn request<C: Payload>(cx: &Context, call: &C, signer: &Signer) -> Result<JobId, CliError> {
	let chain = cx.chain().await?;
	let included = chain.submit(call, signer, Until::InBlock, &cx.report).await?;
	let job: JobId = included.first::<runtime::jobs::events::Requested>(chain)?.job.0;
	let facts = json!({ "job": job, "block": included.number });
	cx.report.step("requested", &format!("job {job}"), facts);
	Ok(job)
}

/// Returns the only model that a provider serves.
fn only_one(models: Vec<Model>) -> Result<Model, CliError> {
	let mut served = models.into_iter().filter(|m| !m.listings.is_empty() && m.providers > 0);
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

/// Follows a job on the best chain until it has a verdict; returns the block that shows it.
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
			cx.report.waiting(waiting_for(view.state));
		}
		if let Some(receipt) = receipt {
			let (text, facts) = verdict(&receipt);
			cx.report.step("verdict", &text, facts);
			return Ok(at);
		}
		// t_max counts from the request; a job that is over it, or lost with its block, does not come back by waiting.
		if seen > t_max.saturating_add(20) {
			return Err(CliError::NotFound(format!(
				"it has no verdict after {seen} blocks, so a fork may have lost the request"
			)));
		}
	}
}

fn verdict(receipt: &ChainReceipt) -> (String, Value) {
	let verdict = render::verdict(receipt.verdict);
	let agreeing = receipt.claim.as_ref().map_or(0, |claim| claim.approvals().count());
	let text = match receipt.verdict {
		Verdict::Confirmed | Verdict::Unverified => {
			format!(
				"verdict in block {}: {verdict}, {agreeing} seats agree",
				receipt.verdict_at
			)
		}
		_ => format!("verdict in block {}: {verdict}", receipt.verdict_at),
	};
	(
		text,
		json!({ "verdict": verdict, "agreeing": agreeing, "block": receipt.verdict_at }),
	)
}

/// Waits until a finalized block has the verdict, or the settlement; returns that block.
async fn finality(cx: &Context, job: JobId, settled: bool) -> Result<At, CliError> {
	let chain = cx.chain().await?;
	let mut blocks = chain.finalized_blocks().await?;
	let mut progress = JobProgress::after_the_verdict();
	cx.report.waiting("waiting until the verdict is final");
	loop {
		let next = tokio::time::timeout(Duration::from_secs(STALL_SECONDS), chain.next(&mut blocks));
		let Ok(at) = next.await else {
			cx.report.warn(&format!("nothing was finalized for {STALL_SECONDS} s"));
			continue;
		};
		let at = at?;
		let receipt = chain.receipt(&at, job).await?;
		if receipt.as_ref().is_some_and(|receipt| receipt.is_settled() || !settled) {
			let facts = json!({ "block": at.block_number(), "hash": encode_prefixed(at.block_hash()) });
			cx.report
				.step("finalized", &format!("final with block {}", at.block_number()), facts);
			return Ok(at);
		}
		if let Some(view) = chain.job(&at, job).await?.filter(|_| settled) {
			for (name, text, facts) in progress.update(&view) {
				cx.report.step(name, &text, facts);
			}
			cx.report.waiting(waiting_for(view.state));
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::args::{Cli, Command};
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

	#[test]
	fn a_quote_says_how_long_the_job_may_wait() {
		let quote = Quote {
			listing: Default::default(),
			willing: 1,
			fee_ceiling: 1,
			deposit: 2,
			input_tokens: 3,
			output_tokens: 4,
			seat_fee: 5,
			electorate: Default::default(),
			median_stake: 6,
			jobs_ahead: 1,
			longest_wait: 600,
			t_max: 1000,
		};
		assert_eq!(
			queue(&quote),
			"1 job ahead, refunded if no provider is free within 600 blocks"
		);
	}
}
