//! Sampling parameters on the command line.

use crate::{amount::q16, error::CliError, output::Reporter};
use assay_primitives::{
	job::Stop,
	limits::{MAX_STOPS, MAX_STOP_BYTES},
	SamplingParams,
};
use clap::Args;

/// How tokens are sampled and when an answer ends.
#[derive(Args)]
pub(crate) struct SamplingArgs {
	/// Most tokens to generate
	#[arg(long, default_value_t = 128, value_name = "N",
		value_parser = clap::value_parser!(u32).range(1..=i64::from(assay_primitives::limits::MAX_OUTPUT_TOKENS)))]
	pub(crate) max_tokens: u32,
	/// Sampling temperature, 0 to 16; 0 always takes the likeliest token
	#[arg(long, default_value = "0", value_name = "X", value_parser = temperature)]
	pub(crate) temperature: u32,
	/// Sample among this many likeliest tokens only; 0 among all
	#[arg(long, default_value_t = 0, value_name = "K")]
	pub(crate) top_k: u32,
	/// Drop tokens whose probability is below this part of the likeliest token's, 0 to 1
	#[arg(long, default_value = "0", value_name = "P", value_parser = min_p)]
	pub(crate) min_p: u32,
	/// End the answer before this text, of up to 32 bytes; up to four times. Special tokens have no text
	#[arg(long, value_name = "TEXT")]
	pub(crate) stop: Vec<String>,
}

impl SamplingArgs {
	/// Returns the parameters as chain and engine take them.
	pub(crate) fn params(&self) -> Result<SamplingParams, CliError> {
		let mut params = SamplingParams::greedy(self.max_tokens);
		params.temperature = self.temperature;
		params.top_k = self.top_k;
		params.min_p = self.min_p;
		for text in &self.stop {
			if text.is_empty() {
				return Err(CliError::Usage("--stop must not be empty".into()));
			}
			let stop = Stop::try_from(text.clone().into_bytes())
				.map_err(|_| CliError::Usage(format!("--stop {text}: longer than {MAX_STOP_BYTES} bytes")))?;
			params
				.stop
				.try_push(stop)
				.map_err(|_| CliError::Usage(format!("at most {MAX_STOPS} --stop")))?;
		}
		Ok(params)
	}

	/// Warns of stop strings that are written like special tokens.
	pub(crate) fn warn_of_special(&self, report: &Reporter, is_special: impl Fn(&str) -> bool) {
		for stop in self.stop.iter().filter(|stop| is_special(stop)) {
			report.warn(&format!(
				"--stop {stop}: a special token has no text, so a stop string never meets one; the model's end tokens end the \
				 answer by themselves"
			));
		}
	}
}

pub(super) fn temperature(text: &str) -> Result<u32, String> {
	at_most(q16(text)?, 16 << 16, "the temperature is at most 16")
}

fn min_p(text: &str) -> Result<u32, String> {
	at_most(q16(text)?, 1 << 16, "min-p is at most 1")
}

fn at_most(value: u32, limit: u32, error: &str) -> Result<u32, String> {
	(value <= limit).then_some(value).ok_or_else(|| error.into())
}
