//! A connection that is lost right behind a request: the request is executed once, `assay` finds it, and repeats it no second time.

use crate::proxy::{self, Handling};
use assay_e2e::{eventually, program, Chain, Node, NodeOptions};
use assay_primitives::{JobId, Verdict};
use serde_json::Value;
use std::process::{Output, Stdio};
use tokio::process::Command;

/// Runs `assay --json` and returns its exit code and its result.
async fn assay(url: &str, args: &[&str]) -> (i32, Value) {
	let mut command = Command::new(program("assay").unwrap());
	command.args(["--json", "--url", url]).args(args);
	command.env_remove("ASSAY_SURI").stdin(Stdio::null());
	let Output { status, stdout, stderr } = command.output().await.unwrap();
	let json = serde_json::from_slice(&stdout);
	let json = json.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&stderr)));
	(status.code().unwrap(), json)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_which_the_connection_is_lost_is_found_and_not_repeated() {
	let options = NodeOptions {
		dev: true,
		..Default::default()
	};
	let node = Node::start(options).unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let proxy = proxy::before(node.url(), |text| {
		if text.contains("author_submitAndWatchExtrinsic") {
			Handling::Cut
		} else {
			Handling::Pass(text.into())
		}
	})
	.await;

	let question = ["ask", "Who pays whom?"];
	let (code, json) = assay(&proxy, &question).await;
	assert_eq!((code, &json["error"]["kind"]), (3, &"sent".into()), "{json}");
	let sent = &json["error"]["transaction"];
	let (hash, since) = (sent["hash"].as_str().unwrap(), sent["since"].to_string());
	let nonce = sent["nonce"].to_string();

	let look = ["transaction", hash, "--since", &since];
	let url = node.url();
	let found = eventually("the transaction is in a final block", 60, || async {
		let (code, json) = assay(&url, &look).await;
		assert!(code == 0 || code == 3, "{json}");
		Ok((code == 0 && json["finalized"] == true).then_some(json))
	})
	.await
	.unwrap();
	assert_eq!(found["succeeded"], true);

	// Neither of the two is paid twice.
	let again = [&question[..], &["--nonce", &nonce]].concat();
	let (code, json) = assay(&url, &again).await;
	assert_eq!(code, 1, "{json}");
	assert!(
		json["error"]["message"].as_str().unwrap().contains("the nonce is used"),
		"{json}"
	);

	let job: JobId = found["job"].as_str().unwrap().parse().unwrap();
	assert_eq!(chain.verdict(&job, 60).await.unwrap().verdict, Verdict::Confirmed);
}
