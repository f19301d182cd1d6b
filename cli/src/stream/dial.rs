//! Connections to nodes that serve streams. A stranger's endpoint is dialed with care: its address is resolved once and looked
//! at, what it may send is limited, and so is its time.

use super::wire::MAX_MESSAGE_BYTES;
use std::{
	net::{IpAddr, Ipv6Addr, SocketAddr},
	time::Duration,
};
use tokio::{
	net::{lookup_host, TcpStream},
	time::timeout,
};
use tokio_tungstenite::{
	client_async_tls_with_config,
	tungstenite::{client::IntoClientRequest, http::Uri, protocol::WebSocketConfig},
	MaybeTlsStream, WebSocketStream,
};

/// A connection to a node.
pub(super) type Connection = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long connecting may take.
const CONNECT_SECONDS: u64 = 10;
/// Longest address of a node.
const MAX_URL_BYTES: usize = 1024;

/// Which addresses a name may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
	/// Any: the user named the node.
	Any,
	/// Public ones: a stranger named it.
	Public,
}

/// Host and port of an address.
#[derive(Debug, PartialEq, Eq)]
struct Target {
	host: String,
	port: u16,
}

fn target(url: &str) -> Result<Target, String> {
	if url.len() > MAX_URL_BYTES {
		return Err("its address is too long".into());
	}
	let malformed = || "its address is no ws:// or wss:// address".to_owned();
	let uri: Uri = url.parse().map_err(|_| malformed())?;
	let default = match uri.scheme_str() {
		Some("ws") => 80,
		Some("wss") => 443,
		_ => return Err(malformed()),
	};
	if uri
		.authority()
		.is_some_and(|authority| authority.as_str().contains('@'))
	{
		return Err("its address has user information".into());
	}
	let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
	Ok(Target {
		host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
		port: uri.port_u16().unwrap_or(default),
	})
}

/// Returns whether an address is one of this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
	let Ok(Target { host, .. }) = target(url) else {
		return false;
	};
	host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

/// Connects to a node within a time limit.
pub(super) async fn dial(url: &str, reach: Reach) -> Result<Connection, String> {
	let connecting = async {
		let Target { host, port } = target(url)?;
		let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), port))
			.await
			.map_err(|e| format!("{host} has no address ({e})"))?
			.collect();
		let addresses = allowed(&addresses, reach).ok_or_else(|| {
			format!("{host} is not in the public network; --allow-private-endpoints reads it all the same")
		})?;
		// By the addresses that were looked at: the name could have another one by now.
		let stream = TcpStream::connect(&addresses[..]).await.map_err(|e| e.to_string())?;
		let request = url.into_client_request().map_err(|e| e.to_string())?;
		let config = WebSocketConfig::default()
			.max_message_size(Some(MAX_MESSAGE_BYTES))
			.max_frame_size(Some(MAX_MESSAGE_BYTES));
		let opened = client_async_tls_with_config(request, stream, Some(config), None).await;
		opened.map(|(connection, _)| connection).map_err(|e| e.to_string())
	};
	timeout(Duration::from_secs(CONNECT_SECONDS), connecting)
		.await
		.map_err(|_| format!("it does not answer within {CONNECT_SECONDS} s"))?
}

/// Returns the addresses that may be dialed; none if there is no such one.
fn allowed(addresses: &[SocketAddr], reach: Reach) -> Option<Vec<SocketAddr>> {
	let dialed = |address: &&SocketAddr| reach == Reach::Any || is_public(address.ip());
	let allowed: Vec<SocketAddr> = addresses.iter().filter(dialed).copied().collect();
	(!allowed.is_empty()).then_some(allowed)
}

/// Returns whether an address is one of the public internet, and none of a machine or a network of one's own.
fn is_public(ip: IpAddr) -> bool {
	match ip.to_canonical() {
		IpAddr::V4(ip) => {
			let [a, b, c, _] = ip.octets();
			// Without names in the standard library: "this network", carriers' NAT, IETF protocols, benchmarks, reserved.
			let special = a == 0
				|| (a == 100 && b & 0xC0 == 64)
				|| (a, b, c) == (192, 0, 0)
				|| (a == 198 && b & 0xFE == 18)
				|| a >= 240;
			!(special
				|| ip.is_loopback()
				|| ip.is_private()
				|| ip.is_link_local()
				|| ip.is_multicast()
				|| ip.is_documentation())
		}
		IpAddr::V6(ip) => {
			let [a, b, c, ..] = ip.segments();
			// 2000::/3 is all that is assigned to the internet; within it, documentation, and addresses that lead to IPv4 ones.
			let global = a & 0xE000 == 0x2000 && (a, b) != (0x2001, 0x0DB8) && a != 0x3FFF && (a, b) != (0x2001, 0);
			let embedded = (a == 0x2002).then(|| Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, b, c));
			global && embedded.is_none_or(|ip| is_public(IpAddr::V6(ip)))
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn only_addresses_of_the_internet_are_public() {
		for public in [
			"1.1.1.1",
			"100.128.0.1",
			"172.32.0.1",
			"2606:4700::1111",
			"2002:0101:0101::1",
		] {
			assert!(is_public(public.parse().unwrap()), "{public}");
		}
		for own in [
			"127.0.0.1",
			"127.8.8.8",
			"10.1.2.3",
			"172.16.0.1",
			"192.168.1.1",
			"169.254.169.254",
			"100.64.0.1",
			"0.0.0.0",
			"192.0.0.8",
			"198.18.0.1",
			"224.0.0.1",
			"255.255.255.255",
			"::",
			"::1",
			"fe80::1",
			"fc00::1",
			"fd12::1",
			"ff02::1",
			"::ffff:127.0.0.1",
			"::ffff:10.0.0.1",
			"::127.0.0.1",
			"64:ff9b::7f00:1",
			"2002:7f00:1::",
			"2002:c0a8:101::1",
			"2001:db8::1",
			"2001:0:1::1",
		] {
			assert!(!is_public(own.parse().unwrap()), "{own}");
		}
	}

	#[test]
	fn an_address_is_a_host_and_a_port() {
		let of = |url| target(url).map(|Target { host, port }| (host, port));
		assert_eq!(of("ws://example.org"), Ok(("example.org".into(), 80)));
		assert_eq!(of("wss://example.org/path"), Ok(("example.org".into(), 443)));
		assert_eq!(of("ws://[::1]:9944"), Ok(("::1".into(), 9944)));
		let long = format!("ws://{}", "a".repeat(2000));
		for wrong in [
			"http://example.org",
			"example.org:80",
			"ws://",
			"ws://a@b",
			"wss://a b",
			&long,
		] {
			assert!(of(wrong).is_err(), "{wrong}");
		}
		assert!(is_loopback("ws://127.0.0.1:9944") && is_loopback("ws://LocalHost") && is_loopback("ws://[::1]:1"));
		assert!(!is_loopback("ws://10.0.0.1:9944") && !is_loopback("ws://localhost.example.org"));
	}

	#[tokio::test]
	async fn a_strangers_endpoint_on_this_machine_is_not_dialed() {
		let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
		let port = listener.local_addr().unwrap().port();
		for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
			let error = dial(&format!("ws://{host}:{port}"), Reach::Public).await.err().unwrap();
			assert!(error.contains("not in the public network"), "{error}");
		}
		assert!(timeout(Duration::from_millis(200), listener.accept()).await.is_err());
	}

	#[tokio::test]
	async fn an_encrypted_address_of_what_speaks_no_tls_is_an_error() {
		let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
		let url = format!("wss://{}", listener.local_addr().unwrap());
		tokio::spawn(async move { drop(listener.accept().await) });
		assert!(dial(&url, Reach::Any).await.is_err());
	}
}
