//! Nodes whose chain does not go on from what this program knows of it.

use super::{
	assay,
	node::{block_hash, Does, Node, SINCE},
	stderr,
};
use serde_json::json;
use std::{fs, path::Path};

/// Runs `assay serve`, which compares the node's chain with what is known of it, up to a block. Returns its error.
async fn refusal(node: &Node, number: u32, hash: [u8; 32]) -> String {
	let home = tempfile::tempdir().unwrap();
	remember(home.path(), number, hash);
	let mut command = assay(node, &["serve", "--suri", "//Alice", "--listen", "127.0.0.1:0"]);
	command.env("HOME", home.path()).env("XDG_DATA_HOME", home.path());
	let output = tokio::task::spawn_blocking(move || command.output().unwrap())
		.await
		.unwrap();
	assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
	stderr(&output)
}

/// Writes the anchor that this program keeps of the node's chain.
fn remember(home: &Path, number: u32, hash: [u8; 32]) {
	let genesis = block_hash(0);
	let anchors = home.join("assay/anchors");
	fs::create_dir_all(&anchors).unwrap();
	let anchor = json!({
		"format": 1, "chain": "A chain", "genesis": const_hex::encode_prefixed(genesis),
		"number": number, "hash": const_hex::encode_prefixed(hash), "time": 1, "set_id": 0,
		"authorities": [{ "key": const_hex::encode_prefixed([1; 32]), "weight": 1 }], "max_age": null,
	});
	let path = anchors.join(format!("{}.json", const_hex::encode(genesis)));
	fs::write(path, anchor.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_is_told_from_one_with_another_history() {
	let node = Node::start(Does::Nothing).await;
	node.is_live();
	let behind = refusal(&node, SINCE + 5, block_hash(SINCE + 5)).await;
	assert!(
		behind.contains("it is behind") && !behind.contains("another history"),
		"{behind}"
	);
	let another = refusal(&node, SINCE - 1, [7; 32]).await;
	assert!(
		another.contains("another history") && another.contains("anchors"),
		"{another}"
	);
}
