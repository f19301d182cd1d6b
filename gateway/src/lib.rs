//! An HTTP server that unchanged clients of OpenAI and Anthropic can use, as a library.
//!
//! It knows HTTP and the two protocols. What answers is a [`Network`].

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod access;
mod answer;
mod anthropic;
mod calls;
mod catalog;
mod config;
mod error;
mod jobs;
mod marks;
mod metrics;
pub mod network;
mod openai;
mod page;
mod pages;
mod reading;
mod request;
mod responses;
mod sampling;
mod server;
mod service;
mod spending;
mod stream;
mod thinking;

pub use config::{Config, SpendingLimits, StartError, Timeouts};
pub use network::Network;

use access::Access;
use axum::{
	middleware::from_fn_with_state,
	routing::{get, post},
	Router,
};
use service::Service;
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How long the node's health is used before it is read again.
const MAX_HEALTH_AGE: Duration = Duration::from_secs(1);
/// How long what the page has to know is used before it is read again.
const MAX_PAGE_AGE: Duration = Duration::from_secs(60);

/// A server before a network.
pub struct Gateway {
	config: Config,
	router: Router,
}

impl Gateway {
	/// Prepares a server. It must be called within a Tokio runtime.
	pub fn new(config: Config, network: Arc<dyn Network>) -> Result<Self, StartError> {
		config.check()?;
		let spending = spending::Spending::load(&config.spending)?;
		let service = Arc::new(Service {
			catalog: catalog::Catalog::new(network.clone()),
			health: catalog::Kept::new(MAX_HEALTH_AGE),
			page_facts: catalog::Kept::new(MAX_PAGE_AGE),
			chain_spec: catalog::Kept::new(MAX_PAGE_AGE),
			jobs: Arc::new(jobs::Jobs::new(network.clone(), spending, &config)),
			items: Arc::default(),
			metrics: Arc::new(metrics::Metrics::new()?),
			config: config.clone(),
			network,
		});
		let router = router(&config, service);
		Ok(Self { config, router })
	}

	/// Returns the server's routes, for who has connections of another kind. Limits on connections are not among them.
	pub fn router(&self) -> Router {
		self.router.clone()
	}

	/// Serves the connections of a listener until `shutdown` is ready. Jobs go on after it.
	pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
		server::serve(listener, self.router, &self.config, shutdown).await
	}
}

fn router(config: &Config, service: Arc<Service>) -> Router {
	let access = Arc::new(Access::new(config));
	let closed = Router::new()
		.route("/v1/chat/completions", post(openai::chat))
		.route("/v1/completions", post(openai::completion))
		.route("/v1/responses", post(responses::create))
		.route("/v1/messages", post(anthropic::messages))
		.route("/v1/messages/count_tokens", post(anthropic::count_tokens))
		.route("/v1/models", get(pages::models))
		.route("/v1/models/{*id}", get(pages::model))
		.route("/v1/receipts/{job}", get(pages::receipt))
		.route("/metrics", get(pages::metrics))
		.route("/openapi.json", get(pages::openapi))
		.route("/api", get(pages::api))
		.fallback(pages::not_found)
		.method_not_allowed_fallback(pages::wrong_method)
		.route_layer(from_fn_with_state(access.clone(), access::token));
	// Who watches a server has no token, nor has who opens a page.
	Router::new()
		.route("/health", get(pages::health))
		.merge(page::routes(config.page.as_deref()))
		.merge(closed)
		.layer(access::cors(config))
		.layer(from_fn_with_state(access, access::origin))
		.layer(from_fn_with_state(service.metrics.clone(), error::render))
		.with_state(service)
}
