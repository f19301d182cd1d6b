//! A job before it is followed: whom it asks, what it may cost, and its request.

use crate::{
	amount::Asy,
	args::OrderArgs,
	chain::{runtime, At, Chain, Model, Until},
	commands::Context,
	error::CliError,
	keys::{name_of, Signer},
	stream::{is_loopback, Drafts, Sources},
};
use assay_primitives::{api::Quote, Balance, Input, JobId, Target};
use assay_receipt::{assurance, Account};
use serde_json::json;
use subxt::tx::Payload;

/// A job that was requested.
pub(in crate::commands) struct Requested {
	/// The job.
	pub(in crate::commands) job: JobId,
	/// The model that answers.
	pub(in crate::commands) model: Model,
	/// Most blocks until it is final.
	pub(in crate::commands) t_max: u32,
}

/// Requests a job, at most for what is allowed.
pub(in crate::commands) async fn order(
	cx: &Context,
	args: &OrderArgs,
	signer: &Signer,
	input: Input,
) -> Result<Requested, CliError> {
	let params = args.sampling.params()?;
	let chain = cx.chain().await?;
	let at = chain.best().await?;
	let (model, target) = asked(chain, &at, args).await?;
	let bytes = u32::try_from(input.bytes().len()).unwrap_or(u32::MAX);
	let quote = chain
		.quote(&at, target, bytes, params.max_tokens, args.verifiers)
		.await?;
	let max_fee = accept(cx, args, &signer.account(), &model, &quote)?;
	let call = runtime::request(target, input, params, args.verifiers, max_fee);
	let job = request(cx, &call, signer).await?;
	let t_max = quote.t_max;
	Ok(Requested { job, model, t_max })
}

/// Returns the drafts of a job; none where nobody would see them.
pub(in crate::commands) async fn drafts(
	cx: &Context,
	args: &OrderArgs,
	job: JobId,
) -> Result<Option<Drafts>, CliError> {
	if args.stream.no_stream || !cx.report.shows_drafts() {
		return Ok(None);
	}
	let sources = sources(cx.chain().await?, &cx.global.url, args.stream.allow_private_endpoints);
	Ok(Some(Drafts::new(job, sources)))
}

/// Returns where drafts of a chain may be read. On a development chain of this machine all providers are here too.
pub(in crate::commands) fn sources(chain: &Chain, url: &str, private: bool) -> Sources {
	Sources {
		genesis: chain.genesis(),
		url: url.to_owned(),
		private: private || (chain.development && is_loopback(url)),
	}
}

/// Returns the model that is asked, and how the request names it.
async fn asked(chain: &Chain, at: &At, args: &OrderArgs) -> Result<(Model, Target), CliError> {
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

/// Reports the quote and returns the fee to allow, unless `--max-fee` is below the quote.
fn accept(
	cx: &Context,
	args: &OrderArgs,
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

#[cfg(test)]
mod tests {
	use super::*;

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
