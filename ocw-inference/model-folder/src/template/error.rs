//! Why a template was stopped.

use crate::Error;

/// Result of a step of a template.
pub(super) type Result<T> = std::result::Result<T, RenderError>;

/// Why a template was stopped.
pub(super) enum RenderError {
	/// It failed, perhaps on a known line.
	Failed {
		/// The line.
		line: Option<u16>,
		/// Why.
		reason: String,
	},
	/// It raised an exception with this message.
	Raised(String),
}

impl RenderError {
	/// Adds the line, unless a statement further inside has its own.
	pub(super) fn or_at(self, at: Option<u16>) -> Self {
		match self {
			Self::Failed { line, reason } => Self::Failed {
				line: line.or(at),
				reason,
			},
			raised => raised,
		}
	}
}

impl From<RenderError> for Error {
	fn from(error: RenderError) -> Self {
		match error {
			RenderError::Failed {
				line: Some(line),
				reason,
			} => Self::Template(format!("line {line}: {reason}")),
			RenderError::Failed { line: None, reason } => Self::Template(reason),
			RenderError::Raised(message) => Self::Raised(message),
		}
	}
}

impl<T: Into<String>> From<T> for RenderError {
	fn from(reason: T) -> Self {
		Self::Failed {
			line: None,
			reason: reason.into(),
		}
	}
}
