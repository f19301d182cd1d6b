//! From the sampling fields of both protocols to those of the chain's sampler.

use crate::{error::ApiError, network::Model, request::Notes};
use assay_primitives::{
	limits::{MAX_OUTPUT_TOKENS, MAX_STOPS, MAX_STOP_BYTES},
	SamplingParams,
};

/// Largest temperature, as in OpenAI's protocol.
const MAX_TEMPERATURE: f64 = 2.0;
/// 1.0 as Q16.16.
const ONE: f64 = 65_536.0;

/// The sampling fields of a request, whatever its protocol.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampling {
	/// Most tokens, and the name of the field that says so.
	pub(crate) max_tokens: Option<(u64, &'static str)>,
	/// Most tokens if the request does not say.
	pub(crate) default_tokens: Option<u32>,
	pub(crate) temperature: Option<f64>,
	pub(crate) top_p: Option<f64>,
	pub(crate) top_k: Option<u32>,
	pub(crate) min_p: Option<f64>,
	pub(crate) seed: bool,
	pub(crate) stop: Vec<String>,
	/// The name of the field of stop strings.
	pub(crate) stop_name: &'static str,
}

impl Sampling {
	/// Returns the chain's parameters, and notes what they do not do as said.
	pub(crate) fn params(&self, model: &Model, notes: &mut Notes) -> Result<SamplingParams, ApiError> {
		let temperature = q16(self.temperature.unwrap_or(1.0), "temperature", MAX_TEMPERATURE)?;
		let min_p = q16(self.min_p.unwrap_or(0.0), "min_p", 1.0)?;
		let min_p = min_p.max(self.nucleus(temperature, notes)?);
		if self.seed && temperature != 0 {
			return Err(ApiError::unsupported(
				"seed",
				"the chain draws the seed, so that nobody can choose an answer among many; leave `seed` out, or set \
				 `temperature` to 0 for the same answer each time",
			));
		}
		let params = SamplingParams {
			max_tokens: self.tokens(model, notes)?,
			temperature,
			top_k: self.top_k.unwrap_or(0),
			min_p,
			stop: self.stops()?,
		};
		if !params.is_valid() {
			return Err(ApiError::invalid("", "the sampling fields are out of range"));
		}
		Ok(params)
	}

	/// Returns the `min_p` that takes the place of `top_p`, which the sampler does not have.
	fn nucleus(&self, temperature: u32, notes: &mut Notes) -> Result<u32, ApiError> {
		let Some(top_p) = self.top_p else { return Ok(0) };
		let kept = q16(top_p, "top_p", 1.0)?;
		if kept == 0 {
			return Err(ApiError::invalid(
				"top_p",
				"`top_p` must be above 0; for the likeliest token set `temperature` to 0",
			));
		}
		let cut = (ONE as u32).saturating_sub(kept);
		// Greedy sampling takes the likeliest token with every filter.
		if cut == 0 || temperature == 0 {
			return Ok(0);
		}
		notes.adjust(format!(
			"top_p: {top_p} became min_p: {}, because the sampler has no nucleus filter",
			f64::from(cut) / ONE
		));
		Ok(cut)
	}

	fn tokens(&self, model: &Model, notes: &mut Notes) -> Result<u32, ApiError> {
		let most = MAX_OUTPUT_TOKENS.min(model.context_length).max(1);
		let Some((asked, name)) = self.max_tokens else {
			return Ok(self.default_tokens.unwrap_or(most).min(most));
		};
		match u32::try_from(asked) {
			Ok(0) => Err(ApiError::invalid(name, format!("`{name}` must be at least 1"))),
			Ok(asked) if asked <= most => Ok(asked),
			_ => {
				notes.adjust(format!(
					"{name}: {asked} became {most}, the most that an answer of this model may have"
				));
				Ok(most)
			}
		}
	}

	fn stops(&self) -> Result<assay_primitives::job::Stops, ApiError> {
		let name = self.stop_name;
		if self.stop.len() > MAX_STOPS as usize {
			return Err(ApiError::invalid(
				name,
				format!("at most {MAX_STOPS} stop strings can be given"),
			));
		}
		let stop = |text: &String| {
			let bytes = text.as_bytes().to_vec();
			let bounded = (!bytes.is_empty()).then(|| bytes.try_into().ok()).flatten();
			bounded.ok_or_else(|| {
				ApiError::invalid(
					name,
					format!(
						"a stop string has 1 to {MAX_STOP_BYTES} bytes; `{text}` has {}",
						text.len()
					),
				)
			})
		};
		let stops = self.stop.iter().map(stop).collect::<Result<Vec<_>, _>>()?;
		stops
			.try_into()
			.map_err(|_| ApiError::invalid(name, "too many stop strings"))
	}
}

/// Returns a number from 0 to `most` as Q16.16, rounded to the nearest.
fn q16(x: f64, name: &str, most: f64) -> Result<u32, ApiError> {
	if (0.0..=most).contains(&x) {
		// In range, so nothing is cut off.
		Ok((x * ONE).round() as u32)
	} else {
		Err(ApiError::invalid(
			name,
			format!("`{name}` must be a number from 0 to {most}"),
		))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_primitives::ModelId;

	fn model() -> Model {
		Model {
			id: ModelId([1; 32]),
			name: "m".into(),
			context_length: 2048,
			providers: 1,
			prices: None,
			created: None,
			chat_template: None,
		}
	}

	fn read(sampling: Sampling) -> (Result<SamplingParams, ApiError>, Notes) {
		let mut notes = Notes::default();
		(sampling.params(&model(), &mut notes), notes)
	}

	#[test]
	fn without_fields_the_temperature_is_one_and_the_answer_long() {
		let (params, notes) = read(Sampling::default());
		let params = params.unwrap();
		assert_eq!(
			(params.temperature, params.max_tokens, params.min_p, params.top_k),
			(65_536, 2048, 0, 0)
		);
		assert!(notes.adjusted.is_empty());
	}

	#[test]
	fn a_nucleus_becomes_min_p_and_is_told() {
		let with = |top_p, temperature| {
			read(Sampling {
				top_p: Some(top_p),
				temperature: Some(temperature),
				..Default::default()
			})
		};
		let (params, notes) = with(0.75, 0.5);
		assert_eq!(params.unwrap().min_p, 16_384);
		assert_eq!(notes.adjusted.len(), 1);
		for (top_p, temperature) in [(1.0, 1.0), (0.1, 0.0)] {
			let (params, notes) = with(top_p, temperature);
			assert_eq!((params.unwrap().min_p, notes.adjusted.len()), (0, 0));
		}
		assert_eq!(with(0.0, 1.0).0.unwrap_err().param.as_deref(), Some("top_p"));
	}

	#[test]
	fn more_tokens_than_possible_are_cut_and_told() {
		let with = |tokens| {
			read(Sampling {
				max_tokens: Some((tokens, "max_tokens")),
				..Default::default()
			})
		};
		assert_eq!(with(7).0.unwrap().max_tokens, 7);
		let (params, notes) = with(u64::MAX);
		assert_eq!((params.unwrap().max_tokens, notes.adjusted.len()), (2048, 1));
		assert_eq!(with(0).0.unwrap_err().param.as_deref(), Some("max_tokens"));
	}

	#[test]
	fn numbers_out_of_range_are_refused_by_name() {
		for (sampling, param) in [
			(
				Sampling {
					temperature: Some(2.1),
					..Default::default()
				},
				"temperature",
			),
			(
				Sampling {
					temperature: Some(-0.1),
					..Default::default()
				},
				"temperature",
			),
			(
				Sampling {
					temperature: Some(f64::NAN),
					..Default::default()
				},
				"temperature",
			),
			(
				Sampling {
					min_p: Some(1.5),
					..Default::default()
				},
				"min_p",
			),
			(
				Sampling {
					seed: true,
					..Default::default()
				},
				"seed",
			),
			(
				Sampling {
					stop: vec!["x".into(); 5],
					stop_name: "stop",
					..Default::default()
				},
				"stop",
			),
			(
				Sampling {
					stop: vec!["x".repeat(33)],
					stop_name: "stop",
					..Default::default()
				},
				"stop",
			),
			(
				Sampling {
					stop: vec![String::new()],
					stop_name: "stop",
					..Default::default()
				},
				"stop",
			),
		] {
			assert_eq!(read(sampling).0.unwrap_err().param.as_deref(), Some(param));
		}
		let greedy = Sampling {
			seed: true,
			temperature: Some(0.0),
			..Default::default()
		};
		assert_eq!(read(greedy).0.unwrap().temperature, 0);
	}
}
