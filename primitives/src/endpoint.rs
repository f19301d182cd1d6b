//! The endpoint of a provider: the URL of the WebSocket server at which its node serves the streams of its drafts.
//!
//! Chain and clients check it with this one function. Clients connect to what a stranger published, so an endpoint has
//! only the parts that one needs: a scheme, a host, and perhaps a port and a path.

use crate::limits::MAX_ENDPOINT_BYTES;
use core::{fmt, net::Ipv6Addr};

/// Longest name of a host, in bytes.
const MAX_HOST_BYTES: usize = 253;
/// Longest part of a host's name between dots, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// Why an endpoint is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
	/// Longer than [`MAX_ENDPOINT_BYTES`].
	TooLong,
	/// A space, a control character, or one beyond ASCII.
	NotPrintable,
	/// Another scheme than `ws://` and `wss://`.
	Scheme,
	/// A query or a fragment.
	QueryOrFragment,
	/// A user's name or password.
	UserInfo,
	/// No host, or none that is a name, an IPv4 address, or an IPv6 address in brackets.
	Host,
	/// A port that is not a number from 1 to 65535.
	Port,
}

impl fmt::Display for EndpointError {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::TooLong => write!(f, "an endpoint has at most {MAX_ENDPOINT_BYTES} bytes"),
			Self::NotPrintable => {
				f.write_str("an endpoint has printable ASCII characters and no spaces; write an international name in its ASCII form")
			}
			Self::Scheme => f.write_str("an endpoint begins with `ws://` or `wss://`"),
			Self::QueryOrFragment => f.write_str("an endpoint has no query and no fragment; leave out what follows `?` or `#`"),
			Self::UserInfo => f.write_str("an endpoint is public and has no user info; leave out what precedes `@`"),
			Self::Host => f.write_str(
				"an endpoint names a host after `://`: a name, an IPv4 address, or an IPv6 address in brackets",
			),
			Self::Port => f.write_str("the port of an endpoint is a number from 1 to 65535"),
		}
	}
}

impl core::error::Error for EndpointError {}

/// Checks an endpoint.
pub fn check(endpoint: &[u8]) -> Result<(), EndpointError> {
	if endpoint.len() > MAX_ENDPOINT_BYTES as usize {
		return Err(EndpointError::TooLong);
	}
	let text = core::str::from_utf8(endpoint).map_err(|_| EndpointError::NotPrintable)?;
	if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
		return Err(EndpointError::NotPrintable);
	}
	let rest = text.strip_prefix("wss://").or_else(|| text.strip_prefix("ws://"));
	let rest = rest.ok_or(EndpointError::Scheme)?;
	if rest.contains(['?', '#']) {
		return Err(EndpointError::QueryOrFragment);
	}
	let authority = rest.split('/').next().unwrap_or_default();
	if authority.contains('@') {
		return Err(EndpointError::UserInfo);
	}
	check_authority(authority)
}

/// Checks a host, and the port if there is one.
fn check_authority(authority: &str) -> Result<(), EndpointError> {
	let (is_host, port) = match authority.strip_prefix('[') {
		Some(rest) => {
			let (address, port) = rest.split_once(']').ok_or(EndpointError::Host)?;
			(address.parse::<Ipv6Addr>().is_ok(), port)
		}
		None => {
			let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
			(is_name(name), port)
		}
	};
	if !is_host {
		return Err(EndpointError::Host);
	}
	match port.strip_prefix(':') {
		None if port.is_empty() => Ok(()),
		None => Err(EndpointError::Host),
		Some(digits) => check_port(digits),
	}
}

fn check_port(digits: &str) -> Result<(), EndpointError> {
	let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
	let port = digits.parse::<u16>().ok().filter(|port| is_number && *port > 0);
	port.map(drop).ok_or(EndpointError::Port)
}

/// Returns whether this is a host's name, or an IPv4 address, which is written like one.
fn is_name(name: &str) -> bool {
	let is_label = |label: &str| {
		let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
		(1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(letters)
	};
	name.len() <= MAX_HOST_BYTES && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn urls_of_websocket_servers_are_endpoints() {
		for good in [
			"ws://127.0.0.1:9944",
			"wss://provider.example",
			"wss://provider.example:443/streams/1",
			"ws://[::1]:9944/",
			"wss://[2001:db8::7]",
			"ws://localhost",
			"wss://node_1.xn--bcher-kva.example/a@b",
		] {
			assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
		}
	}

	#[test]
	fn each_refusal_has_its_reason() {
		use EndpointError::*;
		let label = format!("ws://{}.example", "a".repeat(64));
		let long = format!("ws://a/{}", "a".repeat(250));
		for (bad, reason) in [
			("", Scheme),
			("ws:/a", Scheme),
			("WS://a", Scheme),
			("http://a", Scheme),
			("wss:a", Scheme),
			("ws://", Host),
			("ws:///path", Host),
			("ws://:80", Host),
			("ws://a..b", Host),
			("ws://a.", Host),
			("ws://a\\b", Host),
			("ws://a%2fb", Host),
			("ws://[::1", Host),
			("ws://[127.0.0.1]", Host),
			("ws://[::1%25eth0]", Host),
			("ws://[::1]x", Host),
			("ws://::1", Host),
			(&label, Host),
			("ws://a:", Port),
			("ws://a:0", Port),
			("ws://a:+80", Port),
			("ws://a:65536", Port),
			("ws://a:80:80", Port),
			("ws://me@a", UserInfo),
			("ws://me:secret@a:80/", UserInfo),
			("ws://a?b", QueryOrFragment),
			("ws://a/#b", QueryOrFragment),
			("ws://a /", NotPrintable),
			("ws://a\n", NotPrintable),
			("ws://bücher.example", NotPrintable),
			(&long, TooLong),
		] {
			assert_eq!(check(bad.as_bytes()), Err(reason), "{bad}");
			assert!(!reason.to_string().is_empty());
		}
		assert_eq!(check(b"ws://\xff"), Err(NotPrintable));
	}

	proptest! {
		#[test]
		fn what_is_built_of_good_parts_is_an_endpoint(
			secure in any::<bool>(),
			labels in prop::collection::vec("[a-zA-Z0-9_-]{1,20}", 1..5),
			port in prop::option::of(1u16..),
			path in prop::option::of("/[!\"$-.0-9:;<=>@A-Za-z~]{0,40}"),
		) {
			let scheme = if secure { "wss" } else { "ws" };
			let port = port.map_or(String::new(), |port| format!(":{port}"));
			let url = format!("{scheme}://{}{port}{}", labels.join("."), path.unwrap_or_default());
			prop_assert_eq!(check(url.as_bytes()), Ok(()), "{}", url);
		}

		#[test]
		fn an_endpoint_has_no_other_part_than_it_may(bytes in prop::collection::vec(any::<u8>(), 0..80), scheme in 0usize..3) {
			let mut url = ["", "ws://", "wss://"][scheme].as_bytes().to_vec();
			url.extend(bytes);
			if check(&url).is_ok() {
				let text = core::str::from_utf8(&url).unwrap();
				let (scheme, rest) = text.split_once("://").unwrap();
				let authority = rest.split('/').next().unwrap();
				prop_assert!(["ws", "wss"].contains(&scheme));
				prop_assert!(!authority.is_empty() && !authority.contains('@'));
				prop_assert!(!text.contains(['?', '#', ' ']) && text.bytes().all(|byte| byte.is_ascii_graphic()));
			}
		}
	}
}
