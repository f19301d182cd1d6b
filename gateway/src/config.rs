//! Settings of a gateway, and what is wrong with them.

use assay_primitives::{limits::MAX_VERIFIERS, Balance};
use axum::http::HeaderValue;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Shortest token that may stand between strangers and an account.
const MIN_TOKEN_BYTES: usize = 16;

/// Settings of a gateway.
#[derive(Clone, Debug)]
pub struct Config {
	/// Where it listens. Elsewhere than on loopback it needs a token.
	pub listen: SocketAddr,
	/// The token that clients must present, as `Authorization: Bearer …` or `x-api-key`.
	pub token: Option<String>,
	/// Names, besides those of loopback, by which clients may call this server in `Host`. Only checked on loopback.
	pub hosts: Vec<String>,
	/// Origins, as `https://example.org`, whose pages may use this server in a browser.
	pub origins: Vec<String>,
	/// How many verifiers are drawn if a request does not say.
	pub verifiers: u8,
	/// The directory of the page that is served at `/`; none, or one without a page, is explained there.
	pub page: Option<PathBuf>,
	/// What requests may spend.
	pub spending: SpendingLimits,
	/// Most jobs that wait for their verdict at once.
	pub max_jobs: usize,
	/// Most open connections.
	pub max_connections: usize,
	/// Times after which the server gives up.
	pub timeouts: Timeouts,
}

/// What requests may spend, in base units. A fee ceiling counts until the fee is known.
#[derive(Clone, Debug, Default)]
pub struct SpendingLimits {
	/// The most that one request may cost.
	pub per_request: Option<Balance>,
	/// The most that all requests of a day (UTC) may cost.
	pub per_day: Option<Balance>,
	/// The file in which today's spending outlives a restart. It is needed for `per_day`.
	pub file: Option<PathBuf>,
}

/// Times after which the server gives up.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
	/// For the head of a request, and for the next request on an open connection.
	pub head: Duration,
	/// For the whole body of a request.
	pub body: Duration,
	/// For a client to read anything of what was written for it.
	pub write: Duration,
	/// For a verdict, and for its block to be finalized if a client waits for it. The job goes on.
	pub verdict: Duration,
	/// For the settlement, if a client waits for it.
	pub settlement: Duration,
	/// Between signs of life in a stream without news.
	pub keep_alive: Duration,
}

impl Default for Config {
	fn default() -> Self {
		Self {
			listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
			token: None,
			hosts: Vec::new(),
			origins: Vec::new(),
			verifiers: 2,
			page: None,
			spending: SpendingLimits::default(),
			max_jobs: 256,
			max_connections: 1024,
			timeouts: Timeouts::default(),
		}
	}
}

impl Default for Timeouts {
	fn default() -> Self {
		Self {
			head: Duration::from_secs(15),
			body: Duration::from_secs(20),
			write: Duration::from_secs(30),
			verdict: Duration::from_secs(600),
			settlement: Duration::from_secs(3600),
			keep_alive: Duration::from_secs(5),
		}
	}
}

impl Config {
	/// Refuses settings that are unsafe or inconsistent.
	pub(crate) fn check(&self) -> Result<(), StartError> {
		match &self.token {
			None if !self.listen.ip().is_loopback() => return Err(StartError::TokenNeeded(self.listen)),
			Some(token) if token.len() < MIN_TOKEN_BYTES || !token.bytes().all(|b| b.is_ascii_graphic()) => {
				return Err(StartError::BadToken)
			}
			_ => {}
		}
		if self.verifiers > MAX_VERIFIERS {
			return Err(StartError::TooManyVerifiers(self.verifiers));
		}
		if self.spending.per_day.is_some() && self.spending.file.is_none() {
			return Err(StartError::NoSpendingFile);
		}
		match self.origins.iter().find(|origin| !is_origin(origin)) {
			Some(origin) => Err(StartError::BadOrigin(origin.clone())),
			None => Ok(()),
		}
	}
}

/// Returns whether a text is an origin as browsers send it: a scheme and a host, maybe a port, and nothing else.
fn is_origin(text: &str) -> bool {
	let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
	host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '@', ' ']))
		&& HeaderValue::from_str(text).is_ok()
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
	/// Strangers could spend the account's money.
	#[error(
		"{0} is not on loopback, so whoever reaches it could spend your money: set a token, or listen on 127.0.0.1"
	)]
	TokenNeeded(SocketAddr),
	/// The token is too short, or cannot stand in a header.
	#[error("the token needs at least {MIN_TOKEN_BYTES} printable ASCII characters without spaces, as `openssl rand -hex 32` makes them")]
	BadToken,
	/// More verifiers than the chain draws.
	#[error("{0} verifiers are too many: a job has at most {MAX_VERIFIERS}")]
	TooManyVerifiers(u8),
	/// A restart would forget what was spent today.
	#[error("a limit for a day needs a file that outlives a restart: name one")]
	NoSpendingFile,
	/// Not an origin.
	#[error("`{0}` is not an origin like https://example.org; a path or `*` cannot be given")]
	BadOrigin(String),
	/// The file of today's spending cannot be read or written.
	#[error("the file {file} of today's spending cannot be used: {reason}; repair it, or remove it to begin at zero")]
	SpendingFile {
		/// The file.
		file: PathBuf,
		/// Why.
		reason: String,
	},
	/// A metric cannot be registered.
	#[error("metrics: {0}")]
	Metrics(#[from] prometheus::Error),
}
