//! What clients send to the chain: conversations and endpoints.

use assay_primitives::{
	chat::{Chat, LIMITS},
	endpoint,
	json::Json,
};

/// A conversation as JSON.
pub fn chat(data: &[u8]) {
	let parsed = Chat::parse(data);
	let Ok(json) = LIMITS.parse::<Json>(data) else {
		return assert!(parsed.is_err(), "what is no JSON is no conversation");
	};
	let written = serde_json::to_vec(&json).unwrap();
	// Numbers may be written with more characters than they were read with.
	if written.len() as u64 <= LIMITS.bytes {
		assert_eq!(
			LIMITS.parse::<Json>(&written).as_ref(),
			Ok(&json),
			"it is read as it is written"
		);
		assert_eq!(Chat::parse(&written), parsed, "spaces and spellings change nothing");
	}
	assert_eq!(Chat::from_json(json), parsed);
}

/// The endpoint of a provider.
pub fn endpoint(data: &[u8]) {
	if endpoint::check(data).is_ok() {
		assert!(data.iter().all(u8::is_ascii_graphic));
		let path = data.splitn(4, |byte| *byte == b'/').nth(2);
		assert!(
			path.is_some_and(|host| !host.is_empty() && !host.contains(&b'@')),
			"it has a host"
		);
	}
}
