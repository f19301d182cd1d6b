//! Why a template was stopped.

/// Result of a step of a template.
pub(super) type Result<T> = std::result::Result<T, RenderError>;

/// Why a template was stopped, and on which line.
pub(super) struct RenderError {
	line: Option<u16>,
	reason: String,
}

impl RenderError {
	/// Adds the line, unless a statement further inside has its own.
	pub(super) fn or_at(self, line: Option<u16>) -> Self {
		Self {
			line: self.line.or(line),
			..self
		}
	}

	/// Returns the reason with its line.
	pub(super) fn into_reason(self) -> String {
		match self.line {
			Some(line) => format!("line {line}: {}", self.reason),
			None => self.reason,
		}
	}
}

impl<T: Into<String>> From<T> for RenderError {
	fn from(reason: T) -> Self {
		Self {
			line: None,
			reason: reason.into(),
		}
	}
}
