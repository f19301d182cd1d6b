//! The JSON form of an anchor.

use super::{Anchor, ANCHOR_FORMAT};
use crate::json;
use core::fmt;
use std::string::{String, ToString};

/// Most bytes of JSON that are read: 1 024 authorities take a tenth of it.
const MAX_ANCHOR_BYTES: usize = 1024 * 1024;
/// Longest name of a chain, in bytes.
const MAX_CHAIN_BYTES: usize = 256;

/// Why an anchor could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorError {
	/// Longer than is read: so many bytes at most.
	TooLong(usize),
	/// Not an anchor, and why.
	Malformed(String),
	/// Not a raw chain specification from which an anchor follows, and why.
	Spec(&'static str),
}

impl fmt::Display for AnchorError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::TooLong(most) => write!(f, "it is too long: at most {most} bytes are read"),
			Self::Malformed(why) => write!(f, "this is not an anchor, as `assay anchor` writes one: {why}"),
			Self::Spec(why) => write!(
				f,
				"no anchor follows from this chain specification: {why}; write a raw one with `assay-node export-chain-spec \
				 --raw`, or an anchor with `assay anchor`"
			),
		}
	}
}

impl std::error::Error for AnchorError {}

impl Anchor {
	/// Reads the JSON form, as strictly as a receipt file.
	pub fn from_json(text: &str) -> Result<Self, AnchorError> {
		if text.len() > MAX_ANCHOR_BYTES {
			return Err(AnchorError::TooLong(MAX_ANCHOR_BYTES));
		}
		let json = json::read(text).map_err(AnchorError::Malformed)?;
		let anchor: Self = json::read_as(text, &json).map_err(AnchorError::Malformed)?;
		anchor.check()?;
		Ok(anchor)
	}

	/// Writes the JSON form, for people: indented, with a newline at the end.
	pub fn to_json(&self) -> Result<String, AnchorError> {
		let mut text = serde_json::to_string_pretty(self).map_err(|e| AnchorError::Malformed(e.to_string()))?;
		text.push('\n');
		Ok(text)
	}

	pub(super) fn check(&self) -> Result<(), AnchorError> {
		let why = if self.format != ANCHOR_FORMAT {
			"it has another format than 1"
		} else if self.chain.len() > MAX_CHAIN_BYTES {
			"the name of its chain is too long"
		} else if self.set().is_none() {
			"it has no authorities, too many, one twice, or one without weight"
		} else if self.number == 0 && self.hash != self.genesis {
			"its block 0 is not that of its chain"
		} else {
			return Ok(());
		};
		Err(AnchorError::Malformed(why.into()))
	}
}
