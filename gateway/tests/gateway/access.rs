//! Who may use the server.

use crate::support::{ask, Client, Scripted};
use assay_gateway::{Config, Gateway, SpendingLimits, StartError};
use axum::{body::Body, http::Request};
use serde_json::json;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn client(config: Config) -> Client {
	Client(Scripted::new().gateway(config).router())
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
	let mut request = Request::get(path);
	for (name, value) in headers {
		request = request.header(*name, *value);
	}
	request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn on_loopback_only_its_own_names_are_answered() {
	let client = client(Config {
		hosts: vec!["Gateway.Internal".into()],
		..Config::default()
	});
	for host in [
		"localhost",
		"127.0.0.1:8080",
		"[::1]:8080",
		"LOCALHOST:1",
		"gateway.internal:8080",
	] {
		let reply = client.send(request("/v1/models", &[("host", host)])).await;
		assert_eq!(reply.status, 200, "{host}");
	}
	for host in [
		"evil.example",
		"localhost.evil.example",
		"127.0.0.1.evil.example:8080",
		"",
		"evil.example:localhost",
	] {
		let reply = client.send(request("/v1/models", &[("host", host)])).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["code"]),
			(403, &json!("foreign_host")),
			"{host}"
		);
	}
	assert_eq!(client.send(request("/health", &[])).await.status, 403);
}

#[tokio::test]
async fn pages_of_strangers_are_refused_and_those_allowed_get_their_headers() {
	let client = client(Config {
		origins: vec!["https://app.example".into()],
		..Config::default()
	});
	let host = ("host", "localhost:8080");
	for origin in [
		"https://evil.example",
		"null",
		"https://app.example.evil",
		"http://app.example",
		"http://localhost:9999",
	] {
		let reply = client.send(request("/v1/models", &[host, ("origin", origin)])).await;
		assert_eq!(
			(reply.status.as_u16(), &reply.json()["error"]["code"]),
			(403, &json!("foreign_origin")),
			"{origin}"
		);
		assert_eq!(reply.header("access-control-allow-origin"), "");
	}
	let reply = client
		.send(request("/v1/models", &[host, ("origin", "https://app.example")]))
		.await;
	assert_eq!(
		(reply.status.as_u16(), reply.header("access-control-allow-origin")),
		(200, "https://app.example")
	);
	assert_eq!(
		client
			.send(request("/", &[host, ("origin", "http://localhost:8080")]))
			.await
			.status,
		200
	);
	let mut preflight = request(
		"/v1/chat/completions",
		&[
			host,
			("origin", "https://app.example"),
			("access-control-request-method", "POST"),
			("access-control-request-headers", "authorization,content-type"),
			("access-control-request-private-network", "true"),
		],
	);
	*preflight.method_mut() = axum::http::Method::OPTIONS;
	let reply = client.send(preflight).await;
	assert_eq!(reply.header("access-control-allow-private-network"), "true");
	assert_eq!(
		reply.header("access-control-allow-headers"),
		"authorization,content-type"
	);
}

#[tokio::test]
async fn elsewhere_the_token_opens_everything_but_health() {
	let config = Config {
		listen: ([0, 0, 0, 0], 8080).into(),
		token: Some(TOKEN.into()),
		..Config::default()
	};
	let network = Scripted::new();
	let client = Client(network.gateway(config).router());
	let host = ("host", "gateway.example");
	let bearer = format!("Bearer {TOKEN}");
	for path in ["/v1/models", "/metrics", "/openapi.json"] {
		for wrong in [
			"",
			"Bearer",
			"Bearer ",
			"Bearer 0123456789abcdef",
			&format!("Basic {TOKEN}"),
			TOKEN,
		] {
			let reply = client.send(request(path, &[host, ("authorization", wrong)])).await;
			assert_eq!(
				(reply.status.as_u16(), &reply.json()["error"]["code"]),
				(401, &json!("invalid_api_key")),
				"{wrong}"
			);
			assert_eq!(reply.header("www-authenticate"), "Bearer");
		}
		assert_eq!(client.send(request(path, &[host])).await.status, 401);
		assert_eq!(
			client
				.send(request(path, &[host, ("authorization", &bearer)]))
				.await
				.status,
			200
		);
		let both = [host, ("authorization", "Bearer placeholder"), ("x-api-key", TOKEN)];
		assert_eq!(client.send(request(path, &both)).await.status, 200);
	}
	let reply = client.chat(ask("hi"), &[]).await;
	assert_eq!((reply.status.as_u16(), network.paid()), (401, 0));
	assert_eq!(client.send(request("/health", &[host])).await.status, 200);
}

#[test]
fn unsafe_settings_do_not_start() {
	let start = |config: Config| Gateway::new(config, Scripted::new()).err();
	let anywhere = Config {
		listen: ([192, 168, 1, 2], 8080).into(),
		..Config::default()
	};
	assert!(matches!(start(anywhere.clone()), Some(StartError::TokenNeeded(_))));
	for token in ["", "short", "0123456789 abcdef 0123456789"] {
		let config = Config {
			token: Some(token.into()),
			..anywhere.clone()
		};
		assert!(matches!(start(config), Some(StartError::BadToken)));
	}
	let with = |origin: &str| Config {
		origins: vec![origin.into()],
		..Config::default()
	};
	for origin in [
		"*",
		"null",
		"example.org",
		"https://example.org/",
		"https://*.example.org",
		"https://",
	] {
		assert!(
			matches!(start(with(origin)), Some(StartError::BadOrigin(_))),
			"{origin}"
		);
	}
	let forgetful = Config {
		spending: SpendingLimits {
			per_day: Some(1),
			..SpendingLimits::default()
		},
		..Config::default()
	};
	assert!(matches!(start(forgetful), Some(StartError::NoSpendingFile)));
	let many = Config {
		verifiers: 9,
		..Config::default()
	};
	assert!(matches!(start(many), Some(StartError::TooManyVerifiers(9))));
}
