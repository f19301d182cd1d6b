//! The worker with an engine that computes when it is told to, a real keystore and a pool whose transactions take the real way.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	crypto::INFERENCE_KEY_TYPE,
	host::{InferenceBackend, InferenceExt, Polled},
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
enum Mood {
	Works,
	Abstains,
	Absent,
}

/// Remembers tasks, and has their answers once `finish` was called.
struct Engine {
	tasks: Mutex<BTreeMap<TaskId, (Task, bool)>>,
	mood: Mutex<Mood>,
	salt: Mutex<u8>,
}

impl Engine {
	fn finish(&self) {
		self.tasks
			.lock()
			.expect("no poison")
			.values_mut()
			.for_each(|(_, done)| *done = true);
	}
	fn set(&self, mood: Mood) {
		*self.mood.lock().expect("no poison") = mood;
	}
	fn known(&self) -> usize {
		self.tasks.lock().expect("no poison").len()
	}
	/// Forgets everything, as after the loss of its journal: salts are other ones from now on.
	fn forget(&self) {
		self.tasks.lock().expect("no poison").clear();
		*self.salt.lock().expect("no poison") += 1;
	}
	fn says(&self, id: &TaskId) -> Polled {
		match *self.mood.lock().expect("no poison") {
			Mood::Abstains => return Polled::Abstained,
			Mood::Absent => return Polled::NotAvailable,
			Mood::Works => (),
		}
		match self.tasks.lock().expect("no poison").get(id) {
			None => Polled::Unknown,
			Some((_, false)) => Polled::Pending,
			Some((task, true)) => Polled::Ready(Answer {
				output: task.work.claim.is_none().then(output),
				vote: CONFIRM,
				salt: [*self.salt.lock().expect("no poison"); 32],
			}),
		}
	}
}

impl InferenceBackend for Engine {
	fn enqueue(&self, task: Task) -> Polled {
		let id = task.id();
		if *self.mood.lock().expect("no poison") == Mood::Works {
			self.tasks.lock().expect("no poison").entry(id).or_insert((task, false));
		}
		self.says(&id)
	}
	fn poll(&self, task: &TaskId) -> Polled {
		self.says(task)
	}
	fn probe(&self, _: &ModelId) -> Polled {
		match *self.mood.lock().expect("no poison") {
			Mood::Works => Polled::Serving,
			Mood::Abstains => Polled::Abstained,
			Mood::Absent => Polled::NotAvailable,
		}
	}
}

struct Node {
	engine: Arc<Engine>,
	/// Empties the pool.
	drain: Box<dyn Fn() -> Vec<Vec<u8>>>,
}

impl Node {
	/// The worker's run on the block of now.
	fn work(&self) {
		<Jobs as Hooks<u64>>::offchain_worker(System::block_number());
	}

	/// What the pool was given since it was last asked.
	fn sent(&self) -> Vec<Vec<u8>> {
		(self.drain)()
	}

	/// Ends the block, and takes what the pool was given into the next. Returns how many there were.
	fn include(&self) -> usize {
		let sent = self.sent();
		let extrinsics: Vec<_> = sent.iter().map(|bytes| decode(bytes)).collect();
		for extrinsic in &extrinsics {
			validate(extrinsic.clone()).expect("the pool takes it");
		}
		next_block();
		for extrinsic in &extrinsics {
			apply(extrinsic.clone())
				.expect("the block takes it")
				.expect("it counts");
		}
		sent.len()
	}
}

fn decode(bytes: &[u8]) -> Extrinsic {
	Extrinsic::decode(&mut &*bytes).expect("an extrinsic")
}

/// A chain of `providers`, and a node that holds the keys of the first `held` of them.
fn on_a_node(providers: u8, held: u8, story: impl FnOnce(Node)) {
	let mut ext = TestExt::providers(providers).build();
	let (offchain, _) = TestOffchainExt::new();
	let (pool, state) = TestTransactionPoolExt::new();
	let keystore = MemoryKeystore::new();
	for who in (1..=held).map(account) {
		let seed: String = AsRef::<[u8]>::as_ref(&who)
			.iter()
			.map(|byte| format!("{byte:02x}"))
			.collect();
		let public = sp_core::Pair::public(&pair(&who));
		let public = sp_core::crypto::ByteArray::as_slice(&public).to_vec();
		keystore
			.insert(INFERENCE_KEY_TYPE, &format!("0x{seed}"), &public)
			.expect("a key");
	}
	let engine = Arc::new(Engine {
		tasks: Default::default(),
		mood: Mutex::new(Mood::Works),
		salt: Mutex::new(1),
	});
	ext.register_extension(OffchainWorkerExt::new(offchain.clone()));
	ext.register_extension(OffchainDbExt::new(offchain));
	ext.register_extension(TransactionPoolExt::new(pool));
	ext.register_extension(KeystoreExt::new(keystore));
	ext.register_extension(InferenceExt(engine.clone()));
	ext.execute_with(|| {
		story(Node {
			engine,
			drain: Box::new(move || state.write().transactions.drain(..).collect()),
		});
		assert_sound();
	});
}

fn phase(id: JobId) -> Phase {
	job(id).phase
}

#[test]
fn a_node_with_four_keys_carries_a_job_from_draw_to_verdict() {
	on_a_node(4, 4, |node| {
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
		assert!(node.sent().is_empty(), "nothing is left to say");
	});
}

#[test]
fn a_second_run_for_the_same_block_says_only_what_is_new() {
	on_a_node(4, 4, |node| {
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
fn a_lost_message_is_sent_again_at_the_next_block_as_a_transaction_that_replaces_it() {
	on_a_node(1, 1, |node| {
		drawn(1);
		node.work();
		node.engine.finish();
		node.work();
		let first = node.sent();
		node.work();
		assert!(node.sent().is_empty(), "once for a block");
		next_block();
		node.work();
		let second = node.sent();
		assert_eq!((first.len(), second.len()), (1, 1));
		assert_ne!(first, second, "the pool bans what is the same byte for byte");
		let [old, new] = [&first, &second].map(|sent| validate(decode(&sent[0])).expect("both are valid"));
		assert_eq!(old.provides, new.provides);
		assert!(old.priority < new.priority, "the pool prefers the later one");
		assert_eq!(apply(decode(&second[0])), Ok(Ok(())));
		assert!(apply(decode(&first[0])).is_err(), "the first comes too late");
	});
}

#[test]
fn all_votes_of_a_provider_travel_in_one_transaction() {
	on_a_node(4, 4, |node| {
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
fn an_engine_that_abstains_or_is_missing_says_nothing() {
	on_a_node(4, 4, |node| {
		let id = drawn(4);
		for mood in [Mood::Abstains, Mood::Absent] {
			node.engine.set(mood);
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
fn a_node_speaks_only_for_the_keys_it_holds() {
	on_a_node(4, 0, |node| {
		drawn(4);
		node.work();
		assert_eq!(node.engine.known(), 0);
	});
	on_a_node(4, 2, |node| {
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
fn a_node_that_lost_its_journal_does_not_open_what_it_cannot() {
	on_a_node(1, 1, |node| {
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
fn a_sign_of_life_is_sent_when_it_is_due_and_the_engine_can_work() {
	on_a_node(1, 1, |node| {
		node.work();
		assert!(node.sent().is_empty(), "nothing is due");
		Quiet::insert(account(1), ());
		node.engine.set(Mood::Abstains);
		node.work();
		assert!(node.sent().is_empty(), "a provider that cannot work is not alive");
		node.engine.set(Mood::Works);
		node.work();
		node.work();
		assert_eq!(node.include(), 1);
		assert!(!Quiet::contains_key(account(1)));
	});
}

#[test]
fn a_vote_is_sign_of_life_enough() {
	on_a_node(1, 1, |node| {
		drawn(1);
		Quiet::insert(account(1), ());
		node.work();
		node.sent();
		node.engine.finish();
		next_block();
		node.work();
		assert_eq!(node.include(), 1, "the publication and no heartbeat");
		assert!(!Quiet::contains_key(account(1)));
	});
}
