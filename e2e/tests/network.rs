//! Four validators, each with its own engine: a lying provider, and a power cut between commitment and reveal.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_e2e::{eventually, program, Chain, TestNetwork};
use assay_primitives::{economics::Fault, Verdict, Vote};
use rustix::process::Signal;
use subxt::dynamic::{self, Value};
use subxt_signer::sr25519::{dev, Keypair};

/// One network at a time: four nodes are enough for a small machine.
static ONE_NETWORK: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const UNIT: u128 = 1_000_000_000_000;

/// Gives a provider the funds of two others to bond, so that it is drawn first nine times out of ten.
async fn make_heavy(chain: &Chain, who: &Keypair) {
	for giver in [dev::eve(), dev::ferdie()] {
		let to = Value::unnamed_variant("Id", [Value::from_bytes(who.public_key().0)]);
		let give = dynamic::transaction("Balances", "transfer_keep_alive", vec![to, Value::u128(900_000 * UNIT)]);
		chain.submit(&give, &giver).await.unwrap();
	}
	let more = dynamic::transaction("Providers", "bond_extra", vec![Value::u128(2_600_000 * UNIT)]);
	chain.submit(&more, who).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_other_weights_is_slashed_and_the_answer_is_honest() {
	let _alone = ONE_NETWORK.lock().await;
	let liar = program("assay-liar").unwrap();
	let network = TestNetwork::start(|node| {
		if node.name.as_deref() == Some("dave") {
			node.engine = Some(liar.clone());
		}
	})
	.unwrap();
	let chain = Chain::connect(&network.nodes[0].url()).await.unwrap();
	let dave = dev::dave().public_key().0;
	make_heavy(&chain, &dev::dave()).await;
	let model = chain.demo_model().await.unwrap();
	let before = chain.free(&dave).await.unwrap();

	// Drawn first almost surely, the liar executes, is rejected, and then verifies the honest answer of the second attempt.
	let mut faults = Vec::new();
	for _ in 0..3 {
		let job = chain
			.ask(&model, "What happens to a liar?", 4, &dev::eve())
			.await
			.unwrap();
		let receipt = chain.verdict(&job, 180).await.unwrap();
		assert_eq!(receipt.verdict, Verdict::Confirmed, "{receipt:?}");
		assert_eq!(receipt.agreeing(), 3, "three honest voters decide: {receipt:?}");
		let won = Vote::Confirm {
			trace_root: receipt.answer.unwrap().trace_root,
		};
		for seat in &receipt.committee {
			assert_eq!(
				seat.provider == dave,
				seat.vote != Some(won),
				"only the liar dissents: {receipt:?}"
			);
			assert_eq!(seat.provider == dave, seat.fault == Some(Fault::Dissent), "{receipt:?}");
		}
		assert_ne!(
			receipt.committee[0].provider, dave,
			"the honest answer is not the liar's"
		);
		if receipt.attempts > 1 {
			faults.push(Fault::Rejected);
		}
		faults.push(Fault::Dissent);
		if faults.contains(&Fault::Rejected) {
			break;
		}
	}
	assert!(
		faults.contains(&Fault::Rejected),
		"the liar was also caught as the executor: {faults:?}"
	);
	eventually("finality has passed the verdict", 60, || async {
		Ok((chain.free(&dave).await? <= before).then_some(()))
	})
	.await
	.expect("the liar earned nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_after_its_commitment_reveals_the_same_vote() {
	let _alone = ONE_NETWORK.lock().await;
	let mut network = TestNetwork::start(|_| {}).unwrap();
	let chain = Chain::connect(&network.nodes[0].url()).await.unwrap();
	let charlie = dev::charlie().public_key().0;
	make_heavy(&chain, &dev::alice()).await;
	// Dave will be paused, so he should not be the executor.
	let less = dynamic::transaction("Providers", "unbond", vec![Value::u128(90_000 * UNIT)]);
	chain.submit(&less, &dev::dave()).await.unwrap();
	let model = chain.demo_model().await.unwrap();

	// With Dave paused the committee cannot go on to the reveals, so there is time for the power cut.
	network.nodes[3].signal(Signal::STOP);
	let job = chain
		.ask(&model, "What is a commitment?", 4, &dev::eve())
		.await
		.unwrap();
	eventually("Charlie has committed", 240, || async {
		let seen = chain.job(&job).await?;
		Ok(seen.filter(|job| {
			job.committee
				.iter()
				.any(|seat| seat.provider == charlie && seat.committed)
		}))
	})
	.await
	.unwrap();
	network.nodes[2].kill_and_restart().unwrap();
	Chain::connect(&network.nodes[2].url()).await.expect("Charlie is back");
	network.nodes[3].signal(Signal::CONT);

	let receipt = chain.verdict(&job, 180).await.unwrap();
	assert_eq!(receipt.verdict, Verdict::Confirmed, "{receipt:?}");
	let won = Vote::Confirm {
		trace_root: receipt.answer.unwrap().trace_root,
	};
	let seat = receipt.committee.iter().find(|seat| seat.provider == charlie).unwrap();
	assert_eq!(
		(seat.vote, seat.fault),
		(Some(won), None),
		"Charlie's vote matches its commitment: {receipt:?}"
	);
	assert!(receipt
		.committee
		.iter()
		.all(|seat| seat.vote.is_none() || seat.vote == Some(won)));
}
