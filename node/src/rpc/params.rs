//! Parameters of this node's own methods. JSON-RPC's −32602 alone says neither which parameter is wrong nor why, so
//! methods take their parameters as they come, and read them here.

use jsonrpsee::types::{error::INVALID_PARAMS_CODE, ErrorObject, ErrorObjectOwned};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A parameter as it came.
pub type Param = Value;

/// A parameter that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid params: {name}: {reason}")]
pub struct InvalidParam {
	name: &'static str,
	reason: String,
}

impl InvalidParam {
	/// Refuses a parameter that was read, for its value.
	pub fn new(name: &'static str, reason: impl Into<String>) -> Self {
		let reason = reason.into();
		Self { name, reason }
	}
}

impl From<InvalidParam> for ErrorObjectOwned {
	fn from(error: InvalidParam) -> Self {
		ErrorObject::owned(INVALID_PARAMS_CODE, error.to_string(), None::<()>)
	}
}

/// Reads a parameter that must be there.
pub fn required<T: DeserializeOwned>(name: &'static str, param: Option<Param>) -> Result<T, InvalidParam> {
	optional(name, param)?.ok_or_else(|| InvalidParam::new(name, "it is missing"))
}

/// Reads a parameter that may be missing or null.
pub fn optional<T: DeserializeOwned>(name: &'static str, param: Option<Param>) -> Result<Option<T>, InvalidParam> {
	serde_json::from_value(param.unwrap_or_default()).map_err(|e| InvalidParam::new(name, e.to_string()))
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_primitives::JobId;
	use serde_json::json;

	#[test]
	fn a_wrong_parameter_is_named_with_what_is_wrong() {
		for (param, reason) in [
			(None, "it is missing"),
			(Some(Value::Null), "it is missing"),
			(Some(json!("0x12")), "expected 64 hex digits, with or without 0x"),
			(Some(json!([])), "invalid type: sequence, expected a string"),
		] {
			let error = required::<JobId>("job", param).unwrap_err();
			assert_eq!(error.to_string(), format!("Invalid params: job: {reason}"));
			assert_eq!(ErrorObjectOwned::from(error).code(), -32_602);
		}
		assert_eq!(optional::<u32>("block", Some(Value::Null)), Ok(None));
		let job = JobId([7; 32]);
		assert_eq!(required("job", Some(json!(job))), Ok(job));
	}
}
