//! Liars: as executors, as verifiers, among themselves; and verifiers that say nothing.
//!
//! The engines that lie do so where the prompt tells them to, see `assay-liar`.

use assay_e2e::{eventually, program, Chain, ChainSpec, Node, NodeOptions, Receipt, TestNetwork};
use assay_primitives::{
	dispute::Decision, economics::Fault, receipt::Audit, rules::WINDOW, JobId, ModelId, SamplingParams, State, Verdict,
};
use std::process::Command;
use subxt_signer::sr25519::{dev, Keypair};

/// Bond in ASY and capacity of Alice, Bob, Charlie and Dave.
///
/// Only Dave executes, and Dave and Charlie lie together. That both sit on one claim, executor and only verifier, happens to
/// about one claim in four. The honest have more than twice the stake of both, so that the electorate can convict them:
/// 240 000 against 102 000.
const PROVIDERS: [(u64, u32); 4] = [(130_000, 0), (110_000, 0), (90_000, 0), (12_000, 32)];
/// Claims that Dave forges, with one verifier each. That Charlie verifies none of them happens once in 600 runs.
const FORGED: usize = 20;
/// Claims of Dave's that Charlie denies, with eight seats each. That Charlie holds none of them happens once in 2 000 runs.
const DENIED: usize = 3;
/// Most tokens of an answer: few, so that Dave may execute all at once.
const MAX_TOKENS: u32 = 16;
const UNIT: u128 = 1_000_000_000_000;

/// One network at a time: four nodes are enough for a small machine.
static ONE_NETWORK: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn prompts(directive: &str, count: usize) -> Vec<String> {
	(0..count)
		.map(|n| format!("[{directive}] What is the number {n}?"))
		.collect()
}

/// Waits for the first receipt among these jobs that satisfies a condition.
async fn first(
	what: &str,
	chain: &Chain,
	jobs: &[JobId],
	seconds: u64,
	condition: impl Fn(&Receipt) -> bool,
) -> Receipt {
	let condition = &condition;
	eventually(what, seconds, || async move {
		for job in jobs {
			if let Some(receipt) = chain.receipt(job).await?.filter(condition) {
				return Ok(Some(receipt));
			}
		}
		Ok(None)
	})
	.await
	.unwrap()
}

fn decision(receipt: &Receipt) -> Option<Decision> {
	receipt.claim.as_ref()?.dispute.as_ref()?.decision
}

fn objector(receipt: &Receipt) -> Option<[u8; 32]> {
	receipt.claim.as_ref()?.dispute.as_ref()?.objector
}

/// Checks what follows for a provider from a conviction: it is suspended at once, and it has this bond, in ASY and but for
/// fines, until the slash is taken a day later.
async fn assert_suspended(chain: &Chain, model: &ModelId, who: &[u8; 32], least: u64) {
	let view = chain.provider(model, who).await.unwrap();
	assert!(!view.ready && !view.available, "{view:?}");
	assert!(view.bond + UNIT > u128::from(least) * UNIT, "{view:?}");
}

/// Four validators of which Charlie and Dave lie.
struct Liars {
	network: TestNetwork,
	chain: Chain,
	model: ModelId,
	_spec: ChainSpec,
}

impl Liars {
	async fn start() -> Self {
		let liar = program("assay-liar").unwrap();
		let spec = ChainSpec::with_providers(&PROVIDERS).unwrap();
		let network = TestNetwork::start(|node| {
			node.chain = Some(spec.path());
			match node.name.as_deref() {
				// Nobody draws this node for it: it checks every claim and objects to false ones.
				Some("alice") => node.args = ["--watch-claims", "100"].map(str::to_owned).to_vec(),
				Some("charlie" | "dave") => node.engine = Some(liar.clone()),
				_ => (),
			}
		})
		.unwrap();
		let chain = Chain::connect(&network.nodes[0].url()).await.unwrap();
		let model = chain.demo_model().await.unwrap();
		Self {
			network,
			chain,
			model,
			_spec: spec,
		}
	}

	/// Asks several questions with a directive at once.
	async fn ask(&self, directive: &str, count: usize, verifiers: u8, signer: &Keypair) -> Vec<JobId> {
		let prompts = prompts(directive, count);
		let params = SamplingParams::greedy(MAX_TOKENS);
		let jobs = self
			.chain
			.ask_all(&[], &self.model, &prompts, &params, verifiers, signer);
		jobs.await.unwrap()
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn liars_are_convicted_and_the_honest_are_not() {
	let _alone = ONE_NETWORK.lock().await;
	let liars = Liars::start().await;
	let (chain, model) = (&liars.chain, &liars.model);
	let [alice, charlie, dave] = [dev::alice(), dev::charlie(), dev::dave()].map(|key| key.public_key().0);

	// All at once, before anybody is convicted.
	let ferdie = dev::ferdie();
	let own = liars.ask("forge", 1, 1, &ferdie).await;
	let forged = liars.ask("forge", FORGED, 1, &dev::eve()).await;
	let denied = liars.ask("deny", DENIED, 8, &dev::bob()).await;

	// An honest verifier rejects: the executor alone is convicted.
	let caught = first(
		"a verifier rejects a lie, and the electorate too",
		chain,
		&forged,
		240,
		|receipt| decision(receipt) == Some(Decision::Overturned) && objector(receipt).is_none(),
	)
	.await;
	assert_eq!(
		(caught.verdict, caught.state, caught.fee),
		(Verdict::Overturned, State::Overturned, 0)
	);
	let claim = caught.claim.as_ref().unwrap();
	assert_eq!(claim.executor, dave);
	let rejected = claim.seats.iter().any(|seat| seat.rejects() && seat.fault.is_none());
	assert!(rejected && !claim.seats.iter().any(|seat| seat.approves()), "{claim:?}");
	assert_suspended(chain, model, &dave, PROVIDERS[3].0).await;

	// Both lie, and the answer was confirmed: whoever recomputes it can still have it overturned.
	let captured = first(
		"a confirmed lie is overturned by an objection",
		chain,
		&forged,
		240,
		|receipt| decision(receipt) == Some(Decision::Overturned) && objector(receipt) == Some(alice),
	)
	.await;
	assert_eq!((captured.verdict, captured.fee), (Verdict::Overturned, 0));
	let claim = captured.claim.as_ref().unwrap();
	assert!(
		claim
			.seats
			.iter()
			.all(|seat| seat.provider == charlie && seat.approves() && seat.fault == Some(Fault::FalseClaim)),
		"{claim:?}"
	);
	let dispute = claim.dispute.as_ref().unwrap();
	assert!(dispute.reject > 2 * dispute.approve, "{dispute:?}");

	// A verifier denies an honest answer: it is convicted, and the executor is not.
	let upheld = first("a false rejection is overruled", chain, &denied, 240, |receipt| {
		decision(receipt) == Some(Decision::Upheld)
	})
	.await;
	assert_eq!((upheld.verdict, upheld.state), (Verdict::Confirmed, State::Window));
	assert!(upheld.fee > 0);
	let claim = upheld.claim.as_ref().unwrap();
	assert_eq!(claim.executor, dave, "honest in this one");
	for seat in &claim.seats {
		let denies = seat.provider == charlie;
		assert_eq!(seat.rejects(), denies, "{claim:?}");
		assert_eq!(seat.fault == Some(Fault::FalseRejection), denies, "{claim:?}");
	}
	// As a juror it has lied too, which costs a hundredth.
	assert_suspended(chain, model, &charlie, PROVIDERS[2].0 / 100 * 99).await;

	// Whoever was lied to has everything back at once, though the slash is not taken yet.
	let receipt = chain.settled(&own[0], 240).await.unwrap();
	assert_eq!((receipt.state, receipt.fee), (State::Overturned, 0));
	let prompt = &prompts("forge", 1)[0];
	let quote = chain.quote(model, prompt, MAX_TOKENS, 1).await.unwrap().unwrap();
	let (_, held) = chain.balance(&ferdie.public_key().0).await.unwrap();
	assert_eq!(held, quote.deposit, "only the deposit of the receipt is held");

	for (who, (bond, _)) in [dev::alice(), dev::bob()].iter().zip(PROVIDERS) {
		let honest = chain.provider(model, &who.public_key().0).await.unwrap();
		assert_eq!(honest.bond, u128::from(bond) * UNIT, "the honest lose nothing");
	}
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a quarter of an hour: make chaos"]
async fn a_convict_has_its_other_claims_audited_before_they_settle() {
	let _alone = ONE_NETWORK.lock().await;
	let liars = Liars::start().await;
	let chain = &liars.chain;
	let forged = liars.ask("forge", 3, 1, &dev::eve()).await;
	// Nothing but the executor is wrong with these.
	let honest = liars.ask("honest", 2, 1, &dev::ferdie()).await;
	first("Dave is convicted", chain, &forged, 240, |receipt| {
		decision(receipt) == Some(Decision::Overturned)
	})
	.await;
	for job in &honest {
		let receipt = chain.settled(job, 900).await.unwrap();
		assert_eq!(
			(receipt.verdict, receipt.state),
			(Verdict::Confirmed, State::Settled),
			"{receipt:?}"
		);
		let claim = receipt.claim.as_ref().unwrap();
		assert_eq!(claim.audit, Audit::Approved, "{receipt:?}");
		assert!(claim.root.is_some() && receipt.fee > 0, "{receipt:?}");
		assert!(receipt.closed_at.unwrap() > receipt.verdict_at + WINDOW, "{receipt:?}");
	}
	drop(liars.network);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_verifiers_leave_an_answer_unverified_and_are_fined() {
	// A chain of one node, beside the network of the other test: it only waits.
	let node = Node::start(NodeOptions {
		dev: true,
		engine: Some(program("assay-liar").unwrap()),
		..Default::default()
	})
	.unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let prompt = "[silent] Does anybody check this?";
	let job = chain.ask(&model, prompt, 1, &dev::eve()).await.unwrap();
	let receipt = chain.verdict(&job, 300).await.unwrap();
	assert_eq!(receipt.verdict, Verdict::Unverified);
	let claim = receipt.claim.as_ref().unwrap();
	// Each silent seat brings in two others, in four tranches.
	let tranches: Vec<usize> = (1..=4)
		.map(|tranche| claim.seats.iter().filter(|seat| seat.tranche == tranche).count())
		.collect();
	assert_eq!(tranches, [1, 2, 4, 8]);
	assert!(claim
		.seats
		.iter()
		.all(|seat| seat.vote.is_none() && seat.fault == Some(Fault::Lapse)));

	// The answer stands and is paid, without the checks that were not done.
	let quote = chain.quote(&model, prompt, 64, 1).await.unwrap().unwrap();
	assert!(receipt.fee > 0 && receipt.fee < quote.fee_ceiling);
	let bond = 100_000 * UNIT;
	let mut left_out = 0;
	for who in [dev::alice(), dev::bob(), dev::charlie(), dev::dave()].map(|key| key.public_key().0) {
		let provider = chain.provider(&model, &who).await.unwrap();
		let lapsed = claim.seats.iter().any(|seat| seat.provider == who);
		assert_eq!(provider.bond < bond, lapsed, "{provider:?}");
		assert!(
			provider.bond > bond - bond / 100,
			"at most a hundredth in a session: {provider:?}"
		);
		left_out += usize::from(!provider.ready);
	}
	// Fifteen lapses of three providers: one of them has more than three.
	assert!(left_out > 0, "who lapses four times is left out of the next electorate");

	let directory = tempfile::tempdir().unwrap();
	let file = directory.path().join("receipt.json");
	let assay = |args: &[&str]| {
		let mut command = Command::new(program("assay").unwrap());
		command.args(args).arg("--url").arg(node.url()).output().unwrap()
	};
	let file = file.to_str().unwrap();
	assert!(assay(&["receipt", &job.to_string(), "--save", file]).status.success());
	let verified = assay(&["verify", file]);
	assert_eq!(verified.status.code(), Some(1), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a quarter of an hour: make chaos"]
async fn an_answer_that_nobody_verified_is_paid_in_the_end() {
	let node = Node::start(NodeOptions {
		dev: true,
		engine: Some(program("assay-liar").unwrap()),
		..Default::default()
	})
	.unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let prompt = "[silent] Does anybody check this?";
	let job = chain.ask(&model, prompt, 1, &dev::eve()).await.unwrap();
	let executor = chain
		.reaches(&job, State::Published, 60)
		.await
		.unwrap()
		.executor
		.unwrap();
	let (before, _) = chain.balance(&executor).await.unwrap();
	let receipt = chain.settled(&job, 1_200).await.unwrap();
	assert_eq!((receipt.verdict, receipt.state), (Verdict::Unverified, State::Settled));
	assert_eq!(receipt.claim.unwrap().audit, Audit::NotDone);
	let (after, _) = chain.balance(&executor).await.unwrap();
	assert!(
		after > before + receipt.fee / 2,
		"{before} → {after}: the executor is paid"
	);
}
