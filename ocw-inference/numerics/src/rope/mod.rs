//! Rotary positions. The tables are computed once in f64 by a pure-Rust libm, rounded to f32, and hashed into the manifest.

mod scaling;

pub use scaling::{yarn_attention_factor, RopeScaling};

use alloc::vec::Vec;

/// cos and sin, each `[positions, head_dim / 2]`, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
	/// cos of every angle.
	pub cos: Vec<f32>,
	/// sin of every angle.
	pub sin: Vec<f32>,
}

impl Tables {
	/// The angle of position p and pair i is `p · f_i`, with `f_i = theta^(−2i / head_dim)` as the scaling changes it; both
	/// functions are multiplied by the scaling's factor.
	pub fn new(theta: f32, scaling: &RopeScaling, head_dim: usize, positions: usize) -> Self {
		let frequencies = scaling.frequencies(theta, head_dim);
		let factor = scaling.attention_factor();
		let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f64 * f));
		Self {
			cos: angles().map(|a| (libm::cos(a) * factor) as f32).collect(),
			sin: angles().map(|a| (libm::sin(a) * factor) as f32).collect(),
		}
	}

	/// Returns the hash of both tables: f32 little-endian, cos then sin.
	pub fn root(&self) -> [u8; 32] {
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/rope");
		for v in self.cos.iter().chain(&self.sin) {
			hasher.update(&v.to_le_bytes());
		}
		*hasher.finalize().as_bytes()
	}
}
