//! The worker with a mock engine, a real keystore and a pool whose transactions are validated and applied.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	crypto::INFERENCE_KEY_TYPE,
	host::{EnqueueResult, InferenceBackend, InferenceExt, PollResult, ProbeResult},
	receipt::Verdict,
	task::Answer,
	JobId, ModelId, Task, TaskId,
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

#[derive(Clone, Copy, PartialEq)]
enum Mode {
	Works,
	Abstains,
	Absent,
}

/// Remembers tasks, and has their answers once `finish` was called.
struct MockEngine {
	tasks: Mutex<BTreeMap<TaskId, (Task, bool)>>,
	mode: Mutex<Mode>,
	salt: Mutex<u8>,
}

impl MockEngine {
	fn finish(&self) {
		self.tasks
			.lock()
			.expect("no poison")
			.values_mut()
			.for_each(|(_, done)| *done = true);
	}
	fn set(&self, mode: Mode) {
		*self.mode.lock().expect("no poison") = mode;
	}
	fn mode(&self) -> Mode {
		*self.mode.lock().expect("no poison")
	}
	fn known(&self) -> usize {
		self.tasks.lock().expect("no poison").len()
	}
	/// Forgets everything, as after the loss of its journal: salts are different from now on.
	fn forget(&self) {
		self.tasks.lock().expect("no poison").clear();
		*self.salt.lock().expect("no poison") += 1;
	}
}

impl InferenceBackend for MockEngine {
	fn enqueue(&self, task: Task) -> EnqueueResult {
		match self.mode() {
			Mode::Abstains => EnqueueResult::Abstained,
			Mode::Absent => EnqueueResult::NotAvailable,
			Mode::Works => {
				let mut tasks = self.tasks.lock().expect("no poison");
				match tasks.entry(task.id()).or_insert((task, false)) {
					(_, false) => EnqueueResult::Pending,
					(_, true) => EnqueueResult::Done,
				}
			}
		}
	}
	fn poll(&self, task: &TaskId) -> PollResult {
		match self.mode() {
			Mode::Abstains => return PollResult::Abstained,
			Mode::Absent => return PollResult::NotAvailable,
			Mode::Works => (),
		}
		match self.tasks.lock().expect("no poison").get(task) {
			None => PollResult::Unknown,
			Some((_, false)) => PollResult::Pending,
			Some((task, true)) => PollResult::Ready(Answer {
				output: task.work.claim.is_none().then(output),
				vote: CONFIRM,
				salt: [*self.salt.lock().expect("no poison"); 32],
			}),
		}
	}
	fn probe(&self, _: &ModelId) -> ProbeResult {
		match self.mode() {
			Mode::Works => ProbeResult::Serving,
			Mode::Abstains => ProbeResult::Abstained,
			Mode::Absent => ProbeResult::NotAvailable,
		}
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
		tasks: Default::default(),
		mode: Mutex::new(Mode::Works),
		salt: Mutex::new(1),
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

fn phase(id: JobId) -> Phase {
	job(id).phase
}

#[test]
fn a_node_with_four_keys_carries_a_job_from_draw_to_verdict() {
	with_node(4, 4, |node| {
		let id = drawn(4);
		node.work();
		assert_eq!(node.engine.known(), 1, "only the executor computes");
		assert_eq!(node.include(), 0, "not ready yet");
		node.engine.finish();
		node.work();
		assert_eq!(node.include(), 1);
		assert_eq!(phase(id), Phase::Committing);
		node.work();
		assert_eq!(node.engine.known(), 4);
		node.engine.finish();
		node.work();
		assert_eq!(node.include(), 3);
		assert_eq!(phase(id), Phase::Revealing);
		node.work();
		assert_eq!(node.include(), 4, "the engine remembers its answers");
		assert_eq!((receipt(id).verdict, receipt(id).agreeing()), (Verdict::Confirmed, 4));
		node.work();
		assert!(node.sent().is_empty(), "nothing is left to send");
	});
}

#[test]
fn a_second_run_for_the_same_block_sends_only_what_is_new() {
	with_node(4, 4, |node| {
		let id = drawn(4);
		node.work();
		node.work();
		assert!(node.sent().is_empty());
		node.engine.finish();
		node.work();
		node.work();
		assert_eq!(node.sent().len(), 1, "what became ready in between, once");
		assert_eq!(phase(id), Phase::Executing);
	});
}

#[test]
fn a_lost_message_is_replaced_by_a_new_one_at_the_next_block() {
	with_node(1, 1, |node| {
		drawn(1);
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
fn all_votes_of_a_provider_are_sent_in_one_transaction() {
	with_node(4, 4, |node| {
		let ids = [request(4), request(4), request(4)];
		next_block();
		next_block();
		node.work();
		node.engine.finish();
		node.work();
		assert_eq!(node.include(), 3);
		node.work();
		node.engine.finish();
		node.work();
		let verifying = (1..=4)
			.map(account)
			.filter(|who| ids.iter().any(|id| committee(*id)[0] != *who))
			.count();
		assert_eq!(node.include(), verifying);
		node.work();
		assert_eq!(node.include(), 4);
		assert!(ids.iter().all(|id| receipt(*id).verdict == Verdict::Confirmed));
	});
}

#[test]
fn nothing_is_sent_while_the_engine_abstains_or_is_missing() {
	with_node(4, 4, |node| {
		let id = drawn(4);
		for mode in [Mode::Abstains, Mode::Absent] {
			node.engine.set(mode);
			for _ in 0..3 {
				node.work();
				next_block();
			}
		}
		assert!(node.sent().is_empty());
		assert_eq!(node.engine.known(), 0);
		assert_eq!(phase(id), Phase::Executing);
	});
}

#[test]
fn a_node_votes_only_for_the_keys_it_holds() {
	with_node(4, 0, |node| {
		drawn(4);
		node.work();
		assert_eq!(node.engine.known(), 0);
	});
	with_node(4, 2, |node| {
		let id = drawn(4);
		publish_and_commit(id, &[Some(CONFIRM), None, None, None]);
		node.work();
		node.engine.finish();
		node.work();
		let ours = committee(id)[1..]
			.iter()
			.filter(|who| [account(1), account(2)].contains(who))
			.count();
		assert_eq!(node.include(), ours);
	});
}

#[test]
fn a_node_that_lost_its_journal_reveals_nothing() {
	with_node(1, 1, |node| {
		let id = drawn(1);
		node.work();
		node.engine.finish();
		node.work();
		assert_eq!(node.include(), 1);
		node.engine.forget();
		node.work();
		node.engine.finish();
		node.work();
		assert!(node.sent().is_empty());
		assert_eq!(phase(id), Phase::Revealing);
	});
}

#[test]
fn a_heartbeat_is_sent_when_it_is_due_and_the_engine_can_work() {
	with_node(1, 1, |node| {
		node.work();
		assert!(node.sent().is_empty(), "nothing is due");
		HeartbeatDue::insert(account(1), ());
		node.engine.set(Mode::Abstains);
		node.work();
		assert!(node.sent().is_empty(), "a provider that cannot work is not alive");
		node.engine.set(Mode::Works);
		node.work();
		node.work();
		assert_eq!(node.include(), 1);
		assert!(!HeartbeatDue::contains_key(account(1)));
	});
}

#[test]
fn a_vote_makes_a_heartbeat_unnecessary() {
	with_node(1, 1, |node| {
		drawn(1);
		HeartbeatDue::insert(account(1), ());
		node.work();
		node.sent();
		node.engine.finish();
		next_block();
		node.work();
		assert_eq!(node.include(), 1, "the publication and no heartbeat");
		assert!(!HeartbeatDue::contains_key(account(1)));
	});
}
