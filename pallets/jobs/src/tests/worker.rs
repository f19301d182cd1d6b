//! The worker with a mock engine, a real keystore and a pool whose transactions are validated and applied.

use crate::mock::{Jobs, *};
use assay_primitives::{
	crypto::INFERENCE_KEY_TYPE,
	host::{EnqueueResult, InferenceBackend, InferenceExt, PollResult, ProbeResult},
	task::Answer as EngineAnswer,
	Finding, ModelId, State, TraceRoot, Work, WorkId,
};
use codec::Decode;
use frame_support::traits::Hooks;
use sp_core::offchain::{
	testing::{TestOffchainExt, TestTransactionPoolExt},
	OffchainDbExt, OffchainWorkerExt, TransactionPoolExt,
};
use sp_keystore::{testing::MemoryKeystore, Keystore, KeystoreExt};
use std::{
	collections::BTreeMap,
	sync::{Arc, Mutex},
};

const ROOT: TraceRoot = TraceRoot([3; 32]);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
	Works,
	/// Finds that the answer it made is wrong, which no engine does.
	Rejects,
	Abstains,
	Absent,
}

/// Remembers work, and has its results once `finish` was called.
struct MockEngine {
	works: Mutex<BTreeMap<WorkId, (Work, bool)>>,
	mode: Mutex<Mode>,
}

impl MockEngine {
	fn finish(&self) {
		let mut works = self.works.lock().expect("no poison");
		works.values_mut().for_each(|(_, done)| *done = true);
	}
	fn set(&self, mode: Mode) {
		*self.mode.lock().expect("no poison") = mode;
	}
	fn mode(&self) -> Mode {
		*self.mode.lock().expect("no poison")
	}
	fn known(&self) -> usize {
		self.works.lock().expect("no poison").len()
	}
}

impl InferenceBackend for MockEngine {
	fn enqueue(&self, work: Work) -> EnqueueResult {
		match self.mode() {
			Mode::Abstains => EnqueueResult::Abstained,
			Mode::Absent => EnqueueResult::NotAvailable,
			Mode::Works | Mode::Rejects => {
				let mut works = self.works.lock().expect("no poison");
				match works.entry(work.id()).or_insert((work, false)) {
					(_, false) => EnqueueResult::Pending,
					(_, true) => EnqueueResult::Done,
				}
			}
		}
	}
	fn poll(&self, work: &WorkId) -> PollResult {
		let finding = match self.mode() {
			Mode::Abstains => return PollResult::Abstained,
			Mode::Absent => return PollResult::NotAvailable,
			Mode::Works => Finding::Confirm { trace_root: ROOT },
			Mode::Rejects => Finding::Reject {
				position: 0,
				prefix_root: ROOT,
			},
		};
		match self.works.lock().expect("no poison").get(work) {
			None => PollResult::Unknown,
			Some((_, false)) => PollResult::Pending,
			Some((work, true)) => PollResult::Ready(EngineAnswer {
				output: work.claim.is_none().then(output),
				finding,
				secret: [1; 32],
			}),
		}
	}
	fn probe(&self, _: &ModelId) -> ProbeResult {
		ProbeResult::Serving
	}
	fn watch_permille(&self) -> u32 {
		0
	}
}

struct TestNode {
	engine: Arc<MockEngine>,
	/// Empties the pool.
	drain: Box<dyn Fn() -> Vec<Vec<u8>>>,
}

impl TestNode {
	/// Runs the worker on the present block.
	fn work(&self) {
		<Jobs as Hooks<u64>>::offchain_worker(System::block_number());
	}

	/// Returns the transactions submitted since the last call.
	fn sent(&self) -> Vec<Vec<u8>> {
		(self.drain)()
	}

	/// Ends the block and applies the submitted transactions in the next. Returns how many there were.
	fn include(&self) -> usize {
		let sent = self.sent();
		let extrinsics: Vec<_> = sent.iter().map(|bytes| decode(bytes)).collect();
		for extrinsic in &extrinsics {
			validate(extrinsic.clone()).expect("valid");
		}
		next_block();
		for extrinsic in &extrinsics {
			apply(extrinsic.clone()).expect("valid").expect("applied");
		}
		sent.len()
	}
}

fn decode(bytes: &[u8]) -> Extrinsic {
	Extrinsic::decode(&mut &*bytes).expect("an extrinsic")
}

/// Runs a test on a chain of `providers`, with a node that holds the keys of the first `held` of them.
fn with_node(providers: u8, held: u8, test: impl FnOnce(TestNode)) {
	let mut ext = TestExt::providers(providers).build();
	let (offchain, _) = TestOffchainExt::new();
	let (pool, state) = TestTransactionPoolExt::new();
	let keystore = MemoryKeystore::new();
	for who in (1..=held).map(account) {
		let seed = sp_core::bytes::to_hex(who.as_ref(), false);
		let public = sp_core::Pair::public(&pair(&who));
		let public = sp_core::crypto::ByteArray::as_slice(&public).to_vec();
		keystore.insert(INFERENCE_KEY_TYPE, &seed, &public).expect("a key");
	}
	let engine = Arc::new(MockEngine {
		works: Default::default(),
		mode: Mutex::new(Mode::Works),
	});
	ext.register_extension(OffchainWorkerExt::new(offchain.clone()));
	ext.register_extension(OffchainDbExt::new(offchain));
	ext.register_extension(TransactionPoolExt::new(pool));
	ext.register_extension(KeystoreExt::new(keystore));
	ext.register_extension(InferenceExt(engine.clone()));
	ext.execute_with(|| {
		test(TestNode {
			engine,
			drain: Box::new(move || state.write().transactions.drain(..).collect()),
		});
		assert_consistent();
	});
}

#[test]
fn a_node_publishes_what_its_engine_computed_with_its_seal() {
	with_node(4, 4, |node| {
		let id = drawn(2);
		let (who, claim) = (executor(id), claim_of(id));
		node.work();
		assert_eq!(node.engine.known(), 1, "only the executor computes");
		assert_eq!(node.include(), 0, "not ready yet");
		node.engine.finish();
		node.work();
		assert_eq!(node.include(), 1);
		assert_eq!(job(id).state, State::Published);
		let open = OpenClaims::get(claim).expect("a claim");
		assert_eq!(open.record.seal, claim.seal(&who, &claim.bind(&ROOT)));
		node.work();
		assert!(node.sent().is_empty(), "nothing is left to send");
		assert_eq!(node.engine.known(), 1, "checks are not this worker's");
	});
}

#[test]
fn a_second_run_for_the_same_block_sends_nothing_new() {
	with_node(4, 4, |node| {
		let id = drawn(2);
		node.work();
		node.engine.finish();
		node.work();
		node.work();
		assert_eq!(node.sent().len(), 1);
		assert_eq!(job(id).state, State::Executing);
	});
}

#[test]
fn a_lost_message_is_replaced_by_a_new_one_at_the_next_block() {
	with_node(1, 1, |node| {
		drawn(0);
		node.work();
		node.engine.finish();
		node.work();
		let first = node.sent();
		node.work();
		assert!(node.sent().is_empty(), "once per block");
		next_block();
		node.work();
		let second = node.sent();
		assert_eq!((first.len(), second.len()), (1, 1));
		assert_ne!(first, second, "the pool may have banned the same bytes");
		let [old, new] = [&first, &second].map(|sent| validate(decode(&sent[0])).expect("both are valid"));
		assert_eq!(old.provides, new.provides);
		assert!(old.priority < new.priority, "the pool prefers the later one");
		assert_eq!(apply(decode(&second[0])), Ok(Ok(())));
		assert!(apply(decode(&first[0])).is_err(), "the first comes too late");
	});
}

#[test]
fn every_job_of_a_provider_is_executed() {
	with_node(2, 2, |node| {
		let ids = [(); 6].map(|()| request(1));
		next_block();
		next_block();
		node.work();
		assert_eq!(node.engine.known(), 6);
		node.engine.finish();
		node.work();
		assert_eq!(node.include(), 6);
		assert!(ids.iter().all(|id| job(*id).state == State::Published));
	});
}

#[test]
fn another_attempt_is_other_work() {
	with_node(1, 1, |node| {
		let id = drawn(0);
		node.work();
		let deadline = job(id).deadline;
		run_to(deadline + 2);
		assert_eq!(job(id).attempt, 1);
		node.work();
		assert_eq!(node.engine.known(), 2, "it has a seed of its own");
	});
}

#[test]
fn nothing_is_sent_while_the_engine_abstains_is_missing_or_wrong() {
	with_node(4, 4, |node| {
		let id = drawn(2);
		for mode in [Mode::Abstains, Mode::Absent, Mode::Rejects] {
			node.engine.set(mode);
			for _ in 0..3 {
				node.work();
				node.engine.finish();
				next_block();
			}
		}
		assert!(node.sent().is_empty());
		assert_eq!(job(id).state, State::Executing);
	});
}

#[test]
fn a_node_executes_only_for_the_keys_it_holds() {
	with_node(4, 0, |node| {
		drawn(2);
		node.work();
		assert_eq!(node.engine.known(), 0);
	});
	with_node(4, 1, |node| {
		(2..=4).for_each(|n| Offline::insert(account(n), ()));
		let ours = drawn(2);
		Offline::insert(account(1), ());
		(2..=4).for_each(|n| Offline::remove(account(n)));
		drawn(2);
		node.work();
		assert_eq!((node.engine.known(), executor(ours)), (1, account(1)));
	});
}
