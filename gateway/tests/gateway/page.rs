//! The page's files, and what the page has to know.

use crate::support::{Client, Scripted};
use assay_gateway::Config;
use axum::{body::Body, http::Request};
use serde_json::json;
use std::{fs, path::Path};
use tempfile::TempDir;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn client(page: Option<&Path>) -> Client {
	let config = Config {
		page: page.map(Into::into),
		..Config::default()
	};
	Client(Scripted::new().gateway(config).router())
}

/// Returns a directory with a page, beside a file that does not belong to it.
fn built() -> (TempDir, std::path::PathBuf) {
	let directory = TempDir::new().unwrap();
	let page = directory.path().join("page");
	fs::create_dir_all(page.join("assets")).unwrap();
	fs::write(page.join("index.html"), "<!doctype html>the page").unwrap();
	fs::write(page.join("icon.svg"), "<svg/>").unwrap();
	fs::write(page.join("assets/index-abc.js"), "1").unwrap();
	fs::write(page.join("assets/index-abc.css"), "p {}").unwrap();
	fs::write(directory.path().join("secret.txt"), "secret").unwrap();
	(directory, page)
}

#[tokio::test]
async fn files_have_their_types_their_age_and_a_strict_policy() {
	let (_directory, page) = built();
	let client = client(Some(&page));
	for (path, kind, cache) in [
		("/", "text/html", "no-cache"),
		("/icon.svg", "image/svg+xml", "no-cache"),
		(
			"/assets/index-abc.js",
			"text/javascript",
			"public, max-age=31536000, immutable",
		),
		(
			"/assets/index-abc.css",
			"text/css",
			"public, max-age=31536000, immutable",
		),
	] {
		let reply = client.get(path).await;
		assert_eq!(reply.status, 200, "{path}");
		assert!(
			reply.header("content-type").starts_with(kind),
			"{path}: {}",
			reply.header("content-type")
		);
		assert_eq!(reply.header("cache-control"), cache, "{path}");
		assert_eq!(reply.header("x-content-type-options"), "nosniff");
		let policy = reply.header("content-security-policy");
		for part in [
			"default-src 'none'",
			"script-src 'self' 'wasm-unsafe-eval'",
			"connect-src 'self' ws: wss:",
		] {
			assert!(policy.contains(part), "{path}: {policy}");
		}
		assert!(
			!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"),
			"{policy}"
		);
	}
}

#[tokio::test]
async fn nothing_outside_of_the_page_is_served() {
	let (_directory, page) = built();
	let client = client(Some(&page));
	for path in [
		"/assets/../../secret.txt",
		"/assets/%2e%2e/%2e%2e/secret.txt",
		"/assets/..%2f..%2fsecret.txt",
		"/assets/%5c..%5csecret.txt",
		"/assets//etc/passwd",
		"/assets/",
		"/assets/none.js",
		"/secret.txt",
	] {
		let reply = client.get(path).await;
		assert_eq!(reply.status, 404, "{path}: {}", reply.body);
		assert!(!reply.header("cache-control").contains("immutable"), "{path}");
	}
}

#[tokio::test]
async fn the_page_is_only_read() {
	let (_directory, page) = built();
	let client = client(Some(&page));
	for path in ["/", "/assets/index-abc.js", "/page/config.json"] {
		assert_eq!(client.post(path, "{}", &[]).await.status, 405, "{path}");
		let head = Request::head(path)
			.header("host", "localhost:8080")
			.body(Body::empty())
			.unwrap();
		let reply = client.send(head).await;
		assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, ""), "{path}");
	}
}

#[tokio::test]
async fn without_a_page_the_root_says_what_to_do() {
	let empty = TempDir::new().unwrap();
	for page in [None, Some(empty.path())] {
		let reply = client(page).get("/").await;
		assert_eq!(reply.status, 200);
		assert!(
			reply.body.contains("make build") && reply.body.contains("--page"),
			"{}",
			reply.body
		);
	}
	let (_directory, page) = built();
	let reply = client(Some(&page)).get("/api").await;
	assert!(reply.body.contains("/v1/chat/completions") && !reply.body.contains("make build"));
}

#[tokio::test]
async fn the_page_needs_no_token_and_knows_its_chain() {
	let (_directory, page) = built();
	let config = Config {
		token: Some(TOKEN.into()),
		page: Some(page),
		..Config::default()
	};
	let client = Client(Scripted::new().gateway(config).router());
	for path in ["/", "/assets/index-abc.js"] {
		assert_eq!(client.get(path).await.status, 200, "{path}");
	}
	assert_eq!(client.get("/v1/models").await.status, 401);
	let reply = client.get("/page/config.json").await;
	assert_eq!(
		reply.json(),
		json!({ "chain": "Scripted", "node": "ws://127.0.0.1:9944", "anchor": null })
	);
	assert_eq!(client.get("/page/chain-spec.json").await.status, 500);
}

#[tokio::test]
async fn a_page_of_a_stranger_cannot_read_it_by_another_name() {
	let (_directory, page) = built();
	let request = Request::get("/page/config.json").header("host", "evil.example");
	let reply = client(Some(&page)).send(request.body(Body::empty()).unwrap()).await;
	assert_eq!(reply.status, 403);
}
