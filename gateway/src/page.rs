//! The page: its files, and what it has to know of the chain.
//!
//! It needs no token: who opens it in a browser cannot send one, and it tells nothing of the account and spends nothing of
//! it.

use crate::{error::ApiError, network::PageFacts, pages, service::Service};
use axum::{
	extract::{Request, State},
	http::{
		header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
		HeaderName, HeaderValue,
	},
	middleware::{from_fn, Next},
	response::Response,
	routing::get,
	Json, Router,
};
use serde_json::Value;
use std::{path::Path, sync::Arc};
use tower_http::services::{ServeDir, ServeFile};

/// What the page may do: run its own scripts and the light client's Wasm, and connect to nodes and peers.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; \
	img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Names under this path contain hashes of what they name.
const ASSETS: &str = "/assets";
const FOREVER: &str = "public, max-age=31536000, immutable";

/// JSON that browsers ask for again.
type Fresh<T> = ([(HeaderName, &'static str); 1], Json<T>);

/// Returns the routes of the page; those of its files only if the directory has one.
pub(crate) fn routes(directory: Option<&Path>) -> Router<Arc<Service>> {
	let facts = Router::new()
		.route("/page/config.json", get(config))
		.route("/page/chain-spec.json", get(chain_spec));
	let index = directory.map(|directory| directory.join("index.html"));
	let files = match (directory, index) {
		(Some(directory), Some(index)) if index.is_file() => Router::new()
			.route_service("/", ServeFile::new(index))
			.route_service("/icon.svg", ServeFile::new(directory.join("icon.svg")))
			.nest_service(
				ASSETS,
				ServeDir::new(directory.join("assets")).append_index_html_on_directories(false),
			)
			.layer(from_fn(policy)),
		_ => Router::new().route("/", get(pages::no_page)),
	};
	facts.merge(files)
}

/// Adds what browsers have to know of the page's files.
async fn policy(request: Request, next: Next) -> Response {
	let hashed = request.uri().path().starts_with(ASSETS);
	let mut response = next.run(request).await;
	let lasts = hashed && response.status().is_success();
	let headers: [(HeaderName, &'static str); 4] = [
		(CONTENT_SECURITY_POLICY, POLICY),
		(X_CONTENT_TYPE_OPTIONS, "nosniff"),
		(REFERRER_POLICY, "no-referrer"),
		(CACHE_CONTROL, if lasts { FOREVER } else { "no-cache" }),
	];
	for (name, value) in headers {
		response.headers_mut().insert(name, HeaderValue::from_static(value));
	}
	response
}

/// Returns which chain the page is for, a node, and the anchor at which its proofs begin.
async fn config(State(service): State<Arc<Service>>) -> Result<Fresh<PageFacts>, ApiError> {
	Ok(([(CACHE_CONTROL, "no-cache")], Json(service.page_facts().await?)))
}

/// Returns the chain's specification for the light client of the page.
async fn chain_spec(State(service): State<Arc<Service>>) -> Result<Fresh<Value>, ApiError> {
	Ok(([(CACHE_CONTROL, "no-cache")], Json(service.chain_spec().await?)))
}
