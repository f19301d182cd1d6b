//! How families change the rotary frequencies, and the frequencies themselves (`docs/spec/c2.md` §2.6).

use crate::{Error, Result, F32};
use alloc::{format, vec::Vec};
use core::f64::consts::PI;

/// How the rotary frequencies are changed for contexts longer than those of the first training. Formulas: Hugging Face
/// transformers, `modeling_rope_utils.py`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "codec", derive(codec::Encode, codec::Decode))]
#[cfg_attr(
	feature = "serde",
	derive(serde::Serialize, serde::Deserialize),
	serde(rename_all = "snake_case", deny_unknown_fields)
)]
pub enum RopeScaling {
	/// They are not changed.
	#[default]
	#[cfg_attr(feature = "codec", codec(index = 0))]
	None,
	/// All are divided.
	#[cfg_attr(feature = "codec", codec(index = 1))]
	Linear {
		/// By this.
		factor: F32,
	},
	/// Long waves are divided, short ones stay, those between change over (Llama 3.1 and later).
	#[cfg_attr(feature = "codec", codec(index = 2))]
	Llama3 {
		/// What long waves are divided by.
		factor: F32,
		/// Waves longer than the original context by this factor are divided.
		low_freq_factor: F32,
		/// Waves shorter than the original context by this factor stay.
		high_freq_factor: F32,
		/// Context of the first training.
		original_max_position_embeddings: u32,
	},
	/// YaRN: pairs that turn often stay, pairs that turn seldom are divided, those between change over linearly.
	#[cfg_attr(feature = "codec", codec(index = 3))]
	Yarn {
		/// What seldom turning pairs are divided by.
		factor: F32,
		/// Context of the first training.
		original_max_position_embeddings: u32,
		/// Pairs with more turns within that context stay.
		beta_fast: F32,
		/// Pairs with fewer turns within that context are divided.
		beta_slow: F32,
		/// Factor of cos and sin.
		attention_factor: F32,
		/// Whether the two borders are rounded outwards to whole pairs.
		truncate: bool,
	},
}

impl RopeScaling {
	/// Refuses parameters that give no finite, growing waves.
	pub fn check(&self, theta: f32) -> Result<()> {
		let refused = |reason: &str| Err(Error::Parameter(reason.into()));
		let range = |name: &str, v: F32, from: f32, to: f32| {
			if v.0 >= from && v.0 <= to {
				Ok(())
			} else {
				Err(Error::Parameter(format!(
					"`{name}` is {}; {from} to {to} are supported",
					v.0
				)))
			}
		};
		let original = |length: u32| {
			const LIMIT: u32 = 1 << 20;
			if (1..=LIMIT).contains(&length) {
				Ok(())
			} else {
				Err(Error::Parameter(format!(
					"`original_max_position_embeddings` is {length}; 1 to {LIMIT} are supported"
				)))
			}
		};
		match *self {
			Self::None => Ok(()),
			Self::Linear { factor } => range("factor", factor, 1.0, 65_536.0),
			Self::Llama3 {
				factor,
				low_freq_factor: low,
				high_freq_factor: high,
				original_max_position_embeddings,
			} => {
				range("factor", factor, 1.0, 65_536.0)?;
				range("low_freq_factor", low, 1.0 / 1024.0, 65_536.0)?;
				range("high_freq_factor", high, 1.0 / 1024.0, 65_536.0)?;
				original(original_max_position_embeddings)?;
				if low.0 < high.0 {
					Ok(())
				} else {
					refused("`high_freq_factor` must be greater than `low_freq_factor`")
				}
			}
			Self::Yarn {
				factor,
				original_max_position_embeddings,
				beta_fast: fast,
				beta_slow: slow,
				attention_factor,
				truncate: _,
			} => {
				range("factor", factor, 1.0, 65_536.0)?;
				range("beta_fast", fast, 1.0 / 1024.0, 65_536.0)?;
				range("beta_slow", slow, 1.0 / 1024.0, 65_536.0)?;
				range("attention_factor", attention_factor, 1.0 / 1024.0, 1024.0)?;
				original(original_max_position_embeddings)?;
				if theta <= 1.0 {
					return refused("yarn needs a `rope_theta` above 1");
				}
				if slow.0 <= fast.0 {
					Ok(())
				} else {
					refused("`beta_fast` must not be smaller than `beta_slow`")
				}
			}
		}
	}

	/// Returns the angle by which pair i turns from one position to the next, for i below head_dim / 2.
	pub fn frequencies(&self, theta: f32, head_dim: usize) -> Vec<f64> {
		let theta = f64::from(theta);
		let own = |i: usize| libm::pow(theta, -((2 * i) as f64) / head_dim as f64);
		let pairs = 0..head_dim / 2;
		match *self {
			Self::None => pairs.map(own).collect(),
			Self::Linear { factor } => pairs.map(|i| own(i) / f64::from(factor.0)).collect(),
			Self::Llama3 {
				factor,
				low_freq_factor,
				high_freq_factor,
				original_max_position_embeddings,
			} => {
				let [factor, low, high] = [factor, low_freq_factor, high_freq_factor].map(|v| f64::from(v.0));
				let context = f64::from(original_max_position_embeddings);
				pairs
					.map(own)
					.map(|f| {
						let wave = 2.0 * PI / f;
						if wave < context / high {
							f
						} else if wave > context / low {
							f / factor
						} else {
							let smooth = (context / wave - low) / (high - low);
							(1.0 - smooth) * f / factor + smooth * f
						}
					})
					.collect()
			}
			Self::Yarn {
				factor,
				original_max_position_embeddings,
				beta_fast,
				beta_slow,
				truncate,
				..
			} => {
				let border = |turns: F32| {
					let context = f64::from(original_max_position_embeddings);
					head_dim as f64 * libm::log(context / (f64::from(turns.0) * 2.0 * PI)) / (2.0 * libm::log(theta))
				};
				let (low, high) = (border(beta_fast), border(beta_slow));
				let (low, high) = if truncate {
					(libm::floor(low), libm::ceil(high))
				} else {
					(low, high)
				};
				let (low, high) = (low.max(0.0), high.min(head_dim as f64 - 1.0));
				// The formula's own way around a division by zero.
				let high = if low == high { high + 0.001 } else { high };
				pairs
					.map(|i| {
						let keep = 1.0 - ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
						let f = own(i);
						f / f64::from(factor.0) * (1.0 - keep) + f * keep
					})
					.collect()
			}
		}
	}

	/// Returns the factor of cos and sin.
	pub fn attention_factor(&self) -> f64 {
		match self {
			Self::Yarn { attention_factor, .. } => f64::from(attention_factor.0),
			_ => 1.0,
		}
	}
}

/// Returns YaRN's attention factor where `config.json` gives none: `0.1 · m · ln(factor) + 1`, or the quotient of two
/// of them.
pub fn yarn_attention_factor(factor: f64, mscale: Option<(f64, f64)>) -> f64 {
	let scale = |m: f64| {
		if factor <= 1.0 {
			1.0
		} else {
			0.1 * m * libm::log(factor) + 1.0
		}
	};
	match mscale {
		Some((mscale, all_dim)) => scale(mscale) / scale(all_dim),
		None => scale(1.0),
	}
}
