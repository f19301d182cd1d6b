//! Requests before a node that loses connections, transactions and blocks: none is signed twice.

// The programs' tests use more of it.
#[allow(dead_code)]
#[path = "../../tests/sent/node.rs"]
mod node;

use super::*;
use crate::{keys::signer, output::Reporter};
use assay_gateway::network::{IdempotencyKey, JobRequest, JobTerms, Network, NetworkError};
use assay_primitives::{Input, JobId, ModelId, SamplingParams};
use node::{Does, Ends, Node, JOB, SINCE};
use std::{
	collections::BTreeSet,
	future::Future,
	time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// The last block that can have a transaction of these tests.
const LAST: u32 = SINCE + 63;

fn request(key: &str, question: &str) -> JobRequest {
	JobRequest {
		key: IdempotencyKey::parse(key).unwrap(),
		terms: JobTerms {
			model: ModelId([2; 32]),
			input: Input::Text(question.as_bytes().to_vec().try_into().unwrap()),
			params: SamplingParams::greedy(4),
			verifiers: 2,
		},
		max_fee: 5,
	}
}

async fn network(node: &Node, data: &Path) -> ChainNetwork {
	let chain = Chain::connect(&node.url, &Reporter::quiet()).await.unwrap();
	let signer = signer("//Alice").unwrap();
	start(node.url.clone(), chain, signer, data, None, None, Folders::default())
		.await
		.unwrap()
}

/// Runs a gateway in a runtime of its own until `f` is done, and stops it there as a crash does.
fn until_crash<F: Future<Output = T>, T>(f: F) -> T {
	let runtime = Runtime::new().unwrap();
	let done = runtime.block_on(f);
	runtime.shutdown_timeout(Duration::from_secs(10));
	done
}

/// Starts a node in a runtime that lives on while gateways crash.
fn node(does: Does) -> (Runtime, Node) {
	let runtime = Runtime::new().unwrap();
	let node = runtime.block_on(Node::start(does));
	node.follow();
	(runtime, node)
}

async fn wait(what: &str, done: impl Fn() -> bool) {
	let since = Instant::now();
	while !done() {
		assert!(since.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
		tokio::time::sleep(Duration::from_millis(50)).await;
	}
}

/// Returns how many different transactions a node was sent.
fn signed(node: &Node) -> usize {
	node.all_sent().into_iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn a_request_is_found_after_a_crash_and_signed_once() {
	let (_runtime, node) = node(Does::Nothing);
	let data = tempfile::tempdir().unwrap();
	until_crash(async {
		let network = network(&node, data.path()).await;
		let asked = network.request(request("k", "Who pays?"));
		tokio::select! {
			ticket = asked => panic!("{ticket:?}"),
			() = wait("the transaction is sent", || node.got_one()) => {}
		}
	});
	until_crash(async {
		let network = network(&node, data.path()).await;
		wait("it is sent again", || node.all_sent().len() == 2).await;
		node.include(SINCE + 1, Ends::Requested);
		node.go_on(SINCE + 1, SINCE);
		let ticket = network.request(request("k", "Who pays?")).await.unwrap();
		assert_eq!((ticket.job, ticket.new, ticket.fee_ceiling), (JOB, false, 5));
		let other = network.request(request("k", "Who else?")).await;
		assert_eq!(other, Err(NetworkError::KeyReused));
	});
	// The job is known without looking.
	until_crash(async {
		node.prune();
		let network = network(&node, data.path()).await;
		let key = IdempotencyKey::parse("k").unwrap();
		assert_eq!(network.find(&key).await, Ok(Some(JOB)));
		assert_eq!(network.find(&IdempotencyKey::parse("other").unwrap()).await, Ok(None));
	});
	assert_eq!(signed(&node), 1);
}

#[test]
fn a_node_that_restarts_is_sent_the_same_bytes() {
	let (_runtime, node) = node(Does::Cuts);
	let data = tempfile::tempdir().unwrap();
	let ticket = until_crash(async {
		let network = network(&node, data.path()).await;
		let asked = tokio::spawn(async move { network.request(request("k", "Who pays?")).await });
		wait("the transaction is sent", || node.got_one()).await;
		node.now(Does::Includes(Ends::Requested));
		node.cut();
		tokio::time::timeout(Duration::from_secs(60), asked)
			.await
			.unwrap()
			.unwrap()
	});
	assert_eq!(ticket.map(|ticket| (ticket.job, ticket.new)), Ok((JOB, true)));
	assert!(node.all_sent().len() >= 2);
	assert_eq!(signed(&node), 1);
}

#[test]
fn many_who_repeat_a_request_at_once_pay_once() {
	let (_runtime, node) = node(Does::Includes(Ends::Requested));
	let data = tempfile::tempdir().unwrap();
	let jobs: Vec<JobId> = until_crash(async {
		let network = Arc::new(network(&node, data.path()).await);
		let asked = (0..20).map(|_| {
			let network = network.clone();
			tokio::spawn(async move { network.request(request("k", "Who pays?")).await.unwrap() })
		});
		let tickets = futures::future::join_all(asked).await;
		let tickets: Vec<_> = tickets.into_iter().map(|ticket| ticket.unwrap()).collect();
		assert_eq!(tickets.iter().filter(|ticket| ticket.new).count(), 1);
		tickets.iter().map(|ticket| ticket.job).collect()
	});
	assert_eq!(jobs, [JOB; 20]);
	assert_eq!(node.all_sent().len(), 1);
}

#[test]
fn a_new_transaction_is_signed_only_when_the_old_one_is_impossible() {
	let (_runtime, node) = node(Does::Nothing);
	let data = tempfile::tempdir().unwrap();
	until_crash(async {
		let network = Arc::new(network(&node, data.path()).await);
		let again = network.clone();
		let asked = tokio::spawn(async move { again.request(request("k", "Who pays?")).await });
		wait("the transaction is sent", || node.got_one()).await;
		node.go_on(LAST + 5, LAST - 1);
		tokio::time::sleep(Duration::from_secs(5)).await;
		assert!(!asked.is_finished() && signed(&node) == 1);
		node.go_on(LAST + 5, LAST);
		let ended = tokio::time::timeout(Duration::from_secs(60), asked)
			.await
			.unwrap()
			.unwrap();
		assert!(matches!(ended, Err(NetworkError::Unreachable(_))), "{ended:?}");
		let retry = network.request(request("k", "Who pays?"));
		tokio::select! {
			ticket = retry => panic!("{ticket:?}"),
			() = wait("another transaction is sent", || signed(&node) == 2) => {}
		}
	});
}

#[test]
fn what_the_pool_or_the_chain_refuses_frees_its_key() {
	let (_runtime, node) = node(Does::Refuses(1010, "Invalid Transaction", "Inability to pay some fees"));
	let data = tempfile::tempdir().unwrap();
	until_crash(async {
		let network = network(&node, data.path()).await;
		let refused = network.request(request("k", "Who pays?")).await;
		assert!(matches!(refused, Err(NetworkError::Unfunded(_))), "{refused:?}");
		// Another question is no other use of the key: nothing was paid with it.
		node.now(Does::Includes(Ends::Failed));
		let failed = network.request(request("k", "Who else?")).await;
		assert!(matches!(failed, Err(NetworkError::Refused { .. })), "{failed:?}");
		let dear = JobRequest {
			max_fee: 4,
			..request("k", "Who else?")
		};
		assert_eq!(
			network.request(dear).await,
			Err(NetworkError::TooExpensive { ceiling: 5 })
		);
	});
	assert!(Journal::open(data.path()).unwrap().1.is_empty());
}

#[test]
fn a_journal_of_another_account_is_not_taken_over() {
	let (_runtime, node) = node(Does::Nothing);
	let data = tempfile::tempdir().unwrap();
	until_crash(async {
		let network = network(&node, data.path()).await;
		let asked = network.request(request("k", "Who pays?"));
		tokio::select! {
			ticket = asked => panic!("{ticket:?}"),
			() = wait("the transaction is sent", || node.got_one()) => {}
		}
	});
	until_crash(async {
		let chain = Chain::connect(&node.url, &Reporter::quiet()).await.unwrap();
		let bob = signer("//Bob").unwrap();
		let error = start(
			node.url.clone(),
			chain,
			bob,
			data.path(),
			None,
			None,
			Folders::default(),
		)
		.await
		.err()
		.unwrap();
		assert!(error.to_string().contains("another account"), "{error}");
	});
}
