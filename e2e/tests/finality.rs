//! A third of the validators goes silent, so that nothing can be finalized any more: finality returns without a hand, and
//! whoever was away follows when it is back.
//!
//! `make chaos` runs it: it waits for sessions, short ones.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_e2e::{eventually, report, Chain, ChainSpec, Node, NodeOptions};
use rustix::process::Signal;
use std::time::Instant;

/// Slots of a session: a minute. The chain's own would take hours.
const SESSION: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a quarter of an hour: make chaos"]
async fn when_a_third_of_the_validators_is_silent_finality_returns() {
	let spec = ChainSpec::with_sessions_of(SESSION, 3).unwrap();
	let mut nodes: Vec<Node> = Vec::new();
	for (key, name) in (1..).zip(["alice", "bob", "charlie"]) {
		let options = NodeOptions {
			name: Some(name.into()),
			chain: Some(spec.path()),
			bootnode: nodes.first().map(Node::address),
			key,
			..Default::default()
		};
		nodes.push(Node::start(options).unwrap());
	}
	let chain = Chain::connect(&nodes[0].url()).await.unwrap();
	chain.finality(SESSION as u32 / 2, 120).await.unwrap();
	assert_eq!(chain.validators().await.unwrap(), 3);

	// Two of three are not more than two thirds.
	nodes[2].signal(Signal::KILL);
	let (silent_at, start) = (chain.height().await.unwrap(), Instant::now());
	eventually("the chain goes on without finality", 120, || async {
		Ok((chain.height().await? >= silent_at + 10).then_some(()))
	})
	.await
	.unwrap();
	let stuck_at = chain.finalized().await.unwrap();
	assert!(stuck_at <= silent_at + 1, "{stuck_at} {silent_at}");

	// Its seat is lost after a session or two, finality has stalled two sessions later at the slowest, and the change is
	// forced at the end of that session: about six minutes.
	eventually("finality returns", 900, || async {
		Ok((chain.finalized().await? > stuck_at + SESSION).then_some(()))
	})
	.await
	.unwrap();
	report(&format!(
		"one of three validators silent: finality returned after {} s, from block {stuck_at} on",
		start.elapsed().as_secs()
	));
	assert_eq!(chain.validators().await.unwrap(), 2, "the set has shrunk");

	// It follows the set that was changed without it, and gets its seat back.
	nodes[2].kill_and_restart().unwrap();
	let returned = Chain::connect(&nodes[2].url()).await.unwrap();
	let height = u32::try_from(chain.height().await.unwrap()).unwrap();
	returned.finality(height, 300).await.unwrap();
	eventually("whoever was away validates again", 300, || async {
		Ok((chain.validators().await? == 3).then_some(()))
	})
	.await
	.unwrap();
	let height = u32::try_from(chain.height().await.unwrap()).unwrap();
	chain.finality(height + 5, 120).await.unwrap();
}
