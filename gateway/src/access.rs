//! Who may use the server: tokens, names in `Host`, and pages in browsers.

use crate::{config::Config, error::ApiError};
use axum::{
	body::to_bytes,
	extract::{Request, State},
	http::{
		header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE},
		HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
	},
	middleware::Next,
	response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};
use tower_http::cors::{AllowHeaders, CorsLayer};

/// Where Anthropic's clients put their key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT: Duration = Duration::from_secs(600);
/// How much of a stranger's body is read before it is refused, in bytes and in time.
const MAX_STRANGERS_BYTES: usize = 1 << 20;
const STRANGERS_TIME: Duration = Duration::from_secs(2);

/// Who may use the server.
pub(crate) struct Access {
	/// Hash of the token, whose comparison takes the same time whatever is compared.
	token: Option<blake3::Hash>,
	loopback: bool,
	hosts: Vec<String>,
	origins: Vec<String>,
}

impl Access {
	pub(crate) fn new(config: &Config) -> Self {
		Self {
			token: config.token.as_ref().map(|token| blake3::hash(token.as_bytes())),
			loopback: config.listen.ip().is_loopback(),
			hosts: config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
			origins: config.origins.clone(),
		}
	}

	/// Refuses what a browser sends for a page that has no business here.
	///
	/// A page of a stranger can name this server by a domain of its own that resolves to loopback; then `Host` has that
	/// domain. On other addresses nobody gets past the token.
	fn check_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
		let host = host(uri, headers);
		if self.loopback && !host.as_deref().is_some_and(|host| self.knows(host)) {
			return Err(forbidden(
				"foreign_host",
				"the `Host` of this request is not a name of this server; call it as 127.0.0.1 or localhost, or allow the name at the start (`assay serve --allow-host`)",
			));
		}
		let Some(origin) = headers.get(ORIGIN) else {
			return Ok(());
		};
		let origin = origin.to_str().unwrap_or_default();
		let own = || headers.get(HOST).and_then(|host| host.to_str().ok()) == origin.strip_prefix("http://");
		if self.origins.iter().any(|known| known == origin) || own() {
			return Ok(());
		}
		Err(forbidden(
			"foreign_origin",
			"pages of this origin may not use this server; allow the origin at the start (`assay serve --allow-origin`)",
		))
	}

	fn knows(&self, host: &str) -> bool {
		["localhost", "127.0.0.1", "[::1]"].contains(&host) || self.hosts.iter().any(|known| known == host)
	}

	fn check_token(&self, headers: &HeaderMap) -> Result<(), ApiError> {
		let Some(expected) = self.token else { return Ok(()) };
		let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
		let bearer = bearer.and_then(|value| value.split_once(' '));
		let bearer = bearer.and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()));
		let key = headers.get(API_KEY).and_then(|value| value.to_str().ok());
		// Some clients send both, and one of them is a placeholder.
		if [bearer, key]
			.into_iter()
			.flatten()
			.any(|token| blake3::hash(token.as_bytes()) == expected)
		{
			return Ok(());
		}
		Err(ApiError::new(
			StatusCode::UNAUTHORIZED,
			"invalid_api_key",
			"this server needs its token as API key: `Authorization: Bearer TOKEN` or `x-api-key: TOKEN`",
		))
	}
}

/// Returns the name in `Host`, in lower case and without its port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
	let named = match uri.authority() {
		Some(authority) => authority.as_str(),
		None => headers.get(HOST)?.to_str().ok()?,
	};
	let name = match named.rsplit_once(':') {
		Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
		_ => named,
	};
	Some(name.to_ascii_lowercase())
}

fn forbidden(code: &'static str, message: &str) -> ApiError {
	ApiError::new(StatusCode::FORBIDDEN, code, message)
}

/// Refuses requests for a foreign `Host` or from a foreign page.
pub(crate) async fn origin(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
	match access.check_origin(request.uri(), request.headers()) {
		Ok(()) => next.run(request).await,
		Err(error) => error.into_response(),
	}
}

/// Refuses requests without the token.
pub(crate) async fn token(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
	match access.check_token(request.headers()) {
		Ok(()) => next.run(request).await,
		Err(error) => {
			// A client that still writes when the connection is closed reads no answer.
			let body = to_bytes(request.into_body(), MAX_STRANGERS_BYTES);
			let _ = tokio::time::timeout(STRANGERS_TIME, body).await;
			([(WWW_AUTHENTICATE, "Bearer")], error).into_response()
		}
	}
}

/// Answers the preflight requests of pages whose origins are allowed.
pub(crate) fn cors(config: &Config) -> CorsLayer {
	let origins: Vec<HeaderValue> = config.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
	CorsLayer::new()
		.allow_origin(origins)
		.allow_methods([Method::GET, Method::POST])
		.allow_headers(AllowHeaders::mirror_request())
		.allow_private_network(true)
		.expose_headers([
			CONTENT_TYPE,
			crate::request::IGNORED,
			crate::request::ADJUSTED,
			crate::request::USED_KEY,
		])
		.max_age(PREFLIGHT)
}
