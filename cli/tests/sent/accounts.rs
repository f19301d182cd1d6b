//! Accounts that are kept sign like any other.

use super::{run, stderr, Does, Node};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_account_signs_once_its_passphrase_is_given() {
	let node = Node::start(Does::Cuts).await;
	let dir = tempfile::tempdir().unwrap();
	let (store, passphrase) = (dir.path().join("accounts"), dir.path().join("passphrase"));
	std::fs::write(&passphrase, "correct horse\n").unwrap();
	let (store, passphrase) = (store.to_str().unwrap(), passphrase.to_str().unwrap());
	let options = ["--keystore", store, "--passphrase-file", passphrase];
	let with = |args: &[&'static str]| [args, &options[..]].concat();

	let output = run(&node, &with(&["account", "new", "main", "--json"])).await;
	let made: Value = serde_json::from_slice(&output.stdout).unwrap();
	assert_eq!(made["phrase"].as_str().unwrap().split(' ').count(), 12, "{made}");
	let address = made["account"].as_str().unwrap();

	let output = run(&node, &with(&["account", "list"])).await;
	assert!(String::from_utf8_lossy(&output.stdout).contains(address));

	let bond = ["provider", "bond", "1", "--json", "--account", "main"];
	let output = run(&node, &with(&bond)).await;
	assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
	let sent: Value = serde_json::from_slice(&output.stdout).unwrap();
	assert_eq!(sent["error"]["transaction"]["account"], address);

	// Without a terminal and a file nobody can be asked, and nothing is sent under another account.
	let node = Node::start(Does::Cuts).await;
	let output = run(&node, &[&bond[..], &["--keystore", store]].concat()).await;
	assert_eq!(output.status.code(), Some(2));
	let output = run(&node, &[&bond[..], &options[..], &["--suri", "//Alice"]].concat()).await;
	assert_eq!(output.status.code(), Some(2));
	assert!(!node.got_one());
}
