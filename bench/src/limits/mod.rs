//! What the device can do at most, measured in the same run: reading memory, and multiplying int8.

pub mod cpu;
pub mod gpu;

use serde_json::{json, Value};

/// A second's worth.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
	/// Bytes read.
	pub read: f64,
	/// Multiply-accumulates of int8; none where no instruction for them is known.
	pub int8: Option<f64>,
}

impl Limits {
	/// The answer of an engine that was asked for limits.
	pub fn answer(self) -> Value {
		json!({ "read": self.read, "int8": self.int8 })
	}
}
