//! Four honest validators in a storm: nodes are killed, stopped, and cut off on forks of their own, while jobs are asked at
//! temperature 1, so that another draw of an executor means another answer. Whatever was said on a fork that is gone costs
//! nobody anything on the one that stays.
//!
//! The short form runs with the other tests; `make chaos` runs the long one.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_e2e::{eventually, report, Chain, Receipt, TestNetwork};
use assay_primitives::{economics::Fault, JobId, ModelId, SamplingParams, State, Verdict};
use rustix::process::Signal;
use std::time::{Duration, Instant, SystemTime};
use subxt_signer::sr25519::{dev, Keypair};
use tokio::time::sleep;

const UNIT: u128 = 1_000_000_000_000;
const BOND: u128 = 100_000 * UNIT;
/// Jobs that are asked together.
const BATCH: usize = 4;
/// Temperature 1 as Q16.16.
const ONE: u32 = 1 << 16;

/// Pseudo-random numbers from a seed that is printed.
struct Dice(u64);

impl Dice {
	fn new() -> Self {
		let seed = std::env::var("ASSAY_CHAOS_SEED")
			.ok()
			.and_then(|seed| seed.parse().ok());
		let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
		let seed = seed.unwrap_or(now);
		report(&format!("ASSAY_CHAOS_SEED={seed}"));
		Self(seed)
	}

	fn below(&mut self, n: u64) -> u64 {
		self.0 = self
			.0
			.wrapping_mul(6_364_136_223_846_793_005)
			.wrapping_add(1_442_695_040_888_963_407);
		(self.0 >> 33) % n
	}
}

/// A network in a storm. Nothing happens to the first node, which is asked.
struct Storm {
	network: TestNetwork,
	chain: Chain,
	model: ModelId,
	asked: u64,
	jobs: Vec<JobId>,
	dice: Dice,
	forks: u32,
	kills: u32,
}

impl Storm {
	async fn start() -> Self {
		let network = TestNetwork::start(|_| {}).unwrap();
		let chain = Chain::connect(&network.nodes[0].url()).await.unwrap();
		let model = chain.demo_model().await.unwrap();
		// From here on all forks begin.
		chain.finality(2, 60).await.unwrap();
		Self {
			network,
			chain,
			model,
			asked: 0,
			jobs: Vec::new(),
			dice: Dice::new(),
			forks: 0,
			kills: 0,
		}
	}

	/// Asks a batch of the first node, and of others, whose forks may differ. Returns the jobs.
	async fn ask(&mut self, others: &[&Chain], count: usize) -> Vec<JobId> {
		let params = SamplingParams {
			temperature: ONE,
			..SamplingParams::greedy(24)
		};
		let verifiers = 1 + self.dice.below(3) as u8;
		let askers: [Keypair; 2] = [dev::eve(), dev::ferdie()];
		let asker = &askers[(self.asked % 2) as usize];
		let prompts: Vec<String> = (0..count)
			.map(|n| format!("Tell me a story about {}.", self.asked * 100 + n as u64))
			.collect();
		self.asked += 1;
		let jobs = self
			.chain
			.ask_all(others, &self.model, &prompts, &params, verifiers, asker)
			.await
			.unwrap();
		// The next batch of this asker counts from the block that has these.
		let last = *jobs.last().unwrap();
		eventually("the requests are in a block", 60, || self.chain.job(&last))
			.await
			.unwrap();
		self.jobs.extend(&jobs);
		jobs
	}

	/// Cuts a node off, lets it make a fork of its own on which it is asked the same, and brings it back.
	async fn fork(&mut self, index: usize, most: Duration) {
		let bootnode = self.network.nodes[0].address();
		let node = &mut self.network.nodes[index];
		node.restart_with(|options| {
			options.bootnode = None;
			options.args = ["--reserved-only", "--force-authoring"].map(str::to_owned).to_vec();
		})
		.unwrap();
		let lonely = Chain::connect(&self.network.nodes[index].url()).await.unwrap();
		let jobs = self.ask(&[&lonely], 3 * BATCH).await;

		// Another draw, and with luck an answer that belongs to it.
		let end = Instant::now() + most;
		let (mut drawn, mut published) = (0, 0);
		while Instant::now() < end && published == 0 {
			sleep(Duration::from_secs(1)).await;
			(drawn, published) = (0, 0);
			for id in &jobs {
				let (here, there) = (lonely.job(id).await.unwrap(), self.chain.job(id).await.unwrap());
				let (Some(here), Some(there)) = (here, there) else {
					continue;
				};
				let differs = here.claim.is_some() && here.claim != there.claim;
				drawn += u32::from(differs);
				published += u32::from(differs && here.output.is_some());
			}
		}
		report(&format!(
			"a fork of one node: {drawn} other draws, {published} answers that nobody needs"
		));
		self.forks += u32::from(drawn > 0);
		drop(lonely);
		self.network.nodes[index]
			.restart_with(|options| {
				options.bootnode = Some(bootnode);
				options.args.clear();
			})
			.unwrap();
	}

	fn kill(&mut self, index: usize) {
		self.network.nodes[index].kill_and_restart().unwrap();
		self.kills += 1;
	}

	/// Does something to one of the nodes that can stand it.
	async fn blow(&mut self) {
		let index = 1 + self.dice.below(3) as usize;
		match self.dice.below(8) {
			0 => self.fork(index, Duration::from_secs(60)).await,
			1 => {
				self.network.nodes[index].signal(Signal::STOP);
				sleep(Duration::from_secs(1 + self.dice.below(12))).await;
				self.network.nodes[index].signal(Signal::CONT);
			}
			2 => sleep(Duration::from_secs(10)).await,
			_ => self.kill(index),
		}
		sleep(Duration::from_millis(500 + self.dice.below(8_000))).await;
	}

	/// Checks that a settled claim was opened, and that every approval was made of what it opened to.
	fn assert_opened(&self, receipt: &Receipt) {
		let claim = receipt.claim.as_ref().unwrap();
		let genesis = self.chain.api.genesis_hash().0;
		let id = claim.execution(genesis, receipt.job, receipt.model).claim();
		let root = claim.root.unwrap_or_else(|| panic!("nobody opened {receipt:?}"));
		assert_eq!(id.seal(&claim.executor, &root), claim.seal);
		for seat in claim.approvals() {
			assert!(claim.fits(id, &seat.provider, seat.vote.as_ref().unwrap(), &root));
		}
	}

	/// Waits until every job has a verdict and every node follows, and checks that nobody paid for what was said on another
	/// fork.
	async fn settle(self) {
		let (mut confirmed, mut lapses) = (0, 0);
		for job in &self.jobs {
			let receipt = self.chain.verdict(job, 300).await.unwrap();
			match receipt.verdict {
				Verdict::Confirmed => confirmed += 1,
				// Whoever is away too long may be missed, but nobody may be accused.
				Verdict::Unverified | Verdict::Refunded(_) => (),
				Verdict::Unchecked | Verdict::Overturned => panic!("{receipt:?}"),
			}
			let Some(claim) = receipt.claim.as_ref() else { continue };
			assert!(claim.dispute.is_none(), "{receipt:?}");
			for seat in &claim.seats {
				assert!(!seat.rejects(), "{receipt:?}");
				assert!(matches!(seat.fault, None | Some(Fault::Lapse)), "{receipt:?}");
				lapses += u32::from(seat.fault.is_some());
			}
			if receipt.state == State::Settled && receipt.verdict == Verdict::Confirmed {
				self.assert_opened(&receipt);
			}
		}
		let height = self.chain.height().await.unwrap();
		for node in &self.network.nodes {
			let chain = Chain::connect(&node.url()).await.unwrap();
			eventually("every node follows", 120, || async {
				Ok((chain.finalized().await? >= height).then_some(()))
			})
			.await
			.unwrap();
			assert!(!node.log().contains("does not open the jury commitment"));
		}
		assert_eq!(self.chain.convictions().await.unwrap(), 0, "nobody is convicted");
		let mut fines = 0;
		for who in [dev::alice(), dev::bob(), dev::charlie(), dev::dave()] {
			let provider = self.chain.provider(&self.model, &who.public_key().0).await.unwrap();
			// Absence costs the price of a check, hundredths of a token. The least slash is a thousand tokens.
			let fined = BOND - provider.bond;
			assert!(fined < 100 * UNIT, "{provider:?}");
			fines += fined;
		}
		report(&format!(
			"{} jobs, {confirmed} confirmed; {} kills, {} forks; {lapses} lapses, fines of {:.3} ASY",
			self.jobs.len(),
			self.kills,
			self.forks,
			fines as f64 / UNIT as f64
		));
		assert!(confirmed * 2 > self.jobs.len(), "the chain worked in between");
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_storm_costs_no_honest_provider_its_bond() {
	let mut storm = Storm::start().await;
	storm.fork(3, Duration::from_secs(40)).await;
	for index in [1, 2] {
		storm.ask(&[], BATCH).await;
		storm.kill(index);
	}
	storm.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour: make chaos"]
async fn a_long_storm_costs_no_honest_provider_its_bond() {
	let seconds = std::env::var("ASSAY_CHAOS_SECONDS").ok().and_then(|s| s.parse().ok());
	let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(1_800));
	let mut storm = Storm::start().await;
	while Instant::now() < end {
		storm.ask(&[], BATCH).await;
		storm.blow().await;
	}
	storm.settle().await;
}
