//! The safetensors header: what is read, and what is refused with its reason.

use assay_model_folder::{
	header::{Header, MAX_NAME_BYTES},
	Error,
};

pub(crate) fn header(json: &str, data: usize) -> Result<Header, Error> {
	let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
	bytes.extend(json.as_bytes());
	bytes.extend(vec![0u8; data]);
	Header::read(&mut bytes.as_slice(), bytes.len() as u64)
}

#[test]
fn an_honest_header_is_read() {
	let header = header(r#"{"b":{"dtype":"I8","shape":[2],"data_offsets":[4,6]},"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 6).unwrap();
	assert_eq!(
		header.in_file_order().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
		["a", "b"]
	);
}

#[test]
fn metadata_may_be_null_as_the_formats_own_library_has_it() {
	let with = |metadata: &str| header(&format!(r#"{{"__metadata__":{metadata}}}"#), 0);
	assert_eq!(
		with("null").unwrap(),
		with("{}")
			.map(|mut other| {
				other.data_start += 2;
				other
			})
			.unwrap()
	);
	for other in ["[]", "1", "\"text\"", "false"] {
		assert!(with(other).is_err(), "{other}");
	}
}

#[test]
fn a_lying_header_is_refused_with_its_reason() {
	let one =
		|shape: &str, offsets: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
	for (json, data, reason) in [
		(one("[2]", "[0,4]"), 4, "does not fit"),
		(one("[1]", "[4,0]"), 4, "does not fit"),
		(one("[4294967296,4294967296,4]", "[0,4]"), 4, "does not fit"),
		(one("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 dimensions"),
		(one("[1]", "[0,4]"), 8, "the data at 8"),
		(one("[2]", "[0,8]"), 4, "the data at 4"),
		(one("[1]", "[4,8]"), 8, "begins at 4"),
		(one("[-1]", "[0,4]"), 4, "invalid value"),
		(one("[1]", "[0,4]").replace("F32", "F8_E4M3"), 4, "tensor `a`: its type is F8_E4M3"),
		(one("[1]", "[0,4]").replace("\"shape\"", "\"strides\":[1],\"shape\""), 4, "unknown field"),
		(r#"{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}"#.into(), 3, "begins at 1"),
		(r#"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}"#.into(), 2, "appears twice"),
		(r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0, "appears twice"),
		(r#"{"__metadata__":{"a":1}}"#.into(), 0, "invalid type"),
		("[]".into(), 0, "invalid type"),
		("{".into(), 0, "EOF"),
		("".into(), 0, "EOF"),
	] {
		let error = header(&json, data).unwrap_err().to_string();
		assert!(error.contains(reason), "{json}: {error}");
	}
}

#[test]
fn a_header_is_bounded_before_it_is_read() {
	for length in [u64::MAX, (8 << 20) + 1, 1 << 20] {
		let bytes = length.to_le_bytes();
		assert!(matches!(Header::read(&mut bytes.as_slice(), 8), Err(Error::Header(_))));
	}
	assert!(matches!(
		Header::read(&mut [0u8; 3].as_slice(), 3),
		Err(Error::Header(_))
	));
	let many: Vec<_> = (0..20_001)
		.map(|i| format!(r#""{i}":{{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}"#))
		.collect();
	let error = header(&format!("{{{}}}", many.join(",")), 0).unwrap_err().to_string();
	assert!(error.contains("more than 20000"), "{error}");
}

#[test]
fn names_of_tensors_are_bounded() {
	let named = |name: &str| {
		header(
			&format!(r#"{{"{name}":{{"dtype":"I8","shape":[0],"data_offsets":[0,0]}}}}"#),
			0,
		)
	};
	assert!(named(&"x".repeat(MAX_NAME_BYTES)).is_ok());
	for name in [&"x".repeat(MAX_NAME_BYTES + 1), "a\\nb", "\\u0000", "\\u001b[2J"] {
		let error = named(name).unwrap_err().to_string();
		assert!(error.contains("without control characters"), "{error}");
		assert!(!error.chars().any(char::is_control), "{error:?}");
	}
}
