//! The worker with a mock engine, a real keystore and a pool whose transactions are validated and applied.

use crate::{mock::*, *};
use assay_primitives::{
	crypto::INFERENCE_KEY_TYPE,
	host::{EnqueueResult, InferenceBackend, InferenceExt, PollResult, ProbeResult},
	receipt::Audit,
	task::Answer,
	vote::Defect,
	Finding, ModelId, State, TraceRoot, Verdict, Vote, Work, WorkId,
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

/// Computes at once. What it finds of every claim is set by the test.
struct MockEngine {
	works: Mutex<BTreeMap<WorkId, Work>>,
	finding: Mutex<Option<Finding>>,
	watch: Mutex<u32>,
	probe: Mutex<ProbeResult>,
	secret: Mutex<u8>,
}

impl MockEngine {
	fn finds(&self, finding: Option<Finding>) {
		*self.finding.lock().expect("no poison") = finding;
	}
	fn probes(&self, result: ProbeResult) {
		*self.probe.lock().expect("no poison") = result;
	}
	fn known(&self) -> usize {
		self.works.lock().expect("no poison").len()
	}
}

const RIGHT: Finding = Finding::Confirm { trace_root: TRUTH };
const WRONG: Finding = Finding::Reject {
	position: 2,
	prefix_root: TraceRoot([4; 32]),
};

impl InferenceBackend for MockEngine {
	fn enqueue(&self, work: Work) -> EnqueueResult {
		self.works.lock().expect("no poison").insert(work.id(), work);
		EnqueueResult::Done
	}
	fn poll(&self, work: &WorkId) -> PollResult {
		let Some(finding) = *self.finding.lock().expect("no poison") else {
			return PollResult::Abstained;
		};
		if !self.works.lock().expect("no poison").contains_key(work) {
			return PollResult::Unknown;
		}
		PollResult::Ready(Answer {
			output: None,
			finding,
			secret: [*self.secret.lock().expect("no poison"); 32],
		})
	}
	fn probe(&self, _: &ModelId) -> ProbeResult {
		*self.probe.lock().expect("no poison")
	}
	fn watch_permille(&self) -> u32 {
		*self.watch.lock().expect("no poison")
	}
}

struct TestNode {
	engine: Arc<MockEngine>,
	/// Empties the pool.
	drain: Box<dyn Fn() -> Vec<Vec<u8>>>,
}

impl TestNode {
	fn work(&self) {
		<Verification as Hooks<u64>>::offchain_worker(System::block_number());
	}

	/// Applies what was sent in the next block. Returns how many transactions there were.
	fn include(&self) -> usize {
		let sent: Vec<_> = (self.drain)()
			.iter()
			.map(|bytes| Extrinsic::decode(&mut &bytes[..]).expect("an extrinsic"))
			.collect();
		for extrinsic in &sent {
			validate(extrinsic.clone()).expect("valid");
		}
		next_block();
		for extrinsic in &sent {
			// Another provider's message may have made it void.
			let _ = apply(extrinsic.clone());
		}
		sent.len()
	}

	/// Lets the worker run in every block until something holds of a claim, or it is closed.
	fn run_until(&self, id: assay_primitives::ClaimId, holds: impl Fn(&ClaimOf<Test>) -> bool) {
		for _ in 0..600 {
			if OpenClaims::get(id).is_none_or(|claim| holds(&claim)) {
				return;
			}
			self.work();
			// Twice: the first run hands the work over.
			self.work();
			self.include();
		}
		panic!("it never holds: {:?}", claim(id));
	}
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
		finding: Mutex::new(Some(RIGHT)),
		watch: Mutex::new(0),
		probe: Mutex::new(ProbeResult::Serving),
		secret: Mutex::new(1),
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
fn a_node_carries_a_claim_from_its_draw_to_its_settlement() {
	with_node(9, 9, |node| {
		let id = publish(2, TRUTH);
		node.run_until(id, |claim| claim.verdict.is_some());
		assert_eq!(claim(id).verdict, Some(Verdict::Confirmed));
		assert_eq!(node.engine.known(), 1, "one computation serves all seats");
		node.run_until(id, |claim| claim.record.root.is_some());
		assert_eq!(claim(id).record.root, Some(id.bind(&TRUTH)));
		node.run_until(id, |_| false);
		assert_eq!(closed(id).0, State::Settled);
		assert_eq!(closed(id).2.len(), 2);
	});
}

#[test]
fn a_node_overturns_a_lie_alone_with_its_electorate() {
	with_node(9, 9, |node| {
		node.engine.finds(Some(WRONG));
		let id = publish(2, LIE);
		node.run_until(id, |claim| claim.state == State::Disputed);
		let rejection = claim(id).record.seats.iter().find_map(|seat| seat.vote).unwrap();
		let expected = Vote::Reject {
			defect: Defect::Output(2),
			root: id.bind(&TraceRoot([4; 32])),
		};
		assert_eq!(rejection.vote, expected);
		node.run_until(id, |_| false);
		assert_eq!(closed(id).0, State::Overturned);
	});
}

#[test]
fn a_right_output_with_a_false_seal_is_rejected_as_such() {
	with_node(9, 9, |node| {
		// The engine finds the output right, and another root than the sealed one.
		let id = publish(1, LIE);
		node.run_until(id, |claim| claim.state == State::Disputed);
		let vote = claim(id).record.seats.iter().find_map(|seat| seat.vote).unwrap().vote;
		assert!(
			matches!(
				vote,
				Vote::Reject {
					defect: Defect::Seal,
					..
				}
			),
			"{vote:?}"
		);
		node.run_until(id, |_| false);
		assert_eq!(closed(id).0, State::Overturned);
	});
}

#[test]
fn nothing_is_sent_while_the_engine_abstains() {
	with_node(9, 9, |node| {
		node.engine.finds(None);
		let id = publish(2, TRUTH);
		for _ in 0..4 {
			node.work();
			assert_eq!(node.include(), 0);
		}
		assert_eq!(claim(id).state, State::Voting);
	});
}

#[test]
fn a_message_is_sent_once_a_block_until_it_has_an_effect() {
	with_node(9, 9, |node| {
		let id = drawn(1, TRUTH);
		node.work();
		node.work();
		node.work();
		assert_eq!((node.drain)().len(), 1, "lost on its way");
		next_block();
		node.work();
		assert_eq!(node.include(), 1, "and sent again");
		node.work();
		assert_eq!((node.drain)().len(), 0);
		assert_eq!(claim(id).verdict, Some(Verdict::Confirmed));
	});
}

#[test]
fn a_node_votes_only_for_the_keys_it_holds() {
	with_node(9, 0, |node| {
		drawn(2, TRUTH);
		node.work();
		node.work();
		assert_eq!((node.engine.known(), (node.drain)().len()), (0, 0));
	});
}

#[test]
fn a_watcher_objects_to_a_captured_verdict() {
	with_node(13, 13, |node| {
		let id = confirmed(LIE);
		node.engine.finds(Some(WRONG));
		node.work();
		assert_eq!((node.drain)().len(), 0, "nobody watches");
		*node.engine.watch.lock().unwrap() = 1_000;
		node.run_until(id, |claim| claim.state == State::Disputed);
		assert!(claim(id).record.dispute.unwrap().objector.is_some());
		node.run_until(id, |_| false);
		assert_eq!(closed(id).0, State::Overturned);
	});
}

#[test]
fn a_late_seat_sends_its_rejection_and_no_approval() {
	for (finding, sent) in [(RIGHT, 0), (WRONG, 1)] {
		with_node(9, 9, |node| {
			let id = drawn(1, TRUTH);
			run_until(id, |claim| claim.state == State::Lapsed);
			node.engine.finds(Some(finding));
			node.work();
			node.work();
			assert_eq!((node.drain)().len(), sent, "{finding:?}");
		});
	}
}

#[test]
fn a_juror_that_lost_its_secret_reveals_nothing() {
	with_node(9, 9, |node| {
		node.engine.finds(Some(WRONG));
		let id = publish(1, LIE);
		node.run_until(id, |_| Juries::<Test>::get(id).is_some_and(|jury| jury.revealing));
		*node.engine.secret.lock().unwrap() = 2;
		node.work();
		node.work();
		assert_eq!((node.drain)().len(), 0);
	});
}

#[test]
fn an_auditor_votes_and_is_computed_for_once() {
	with_node(9, 9, |node| {
		let mut params = Params::get();
		params.rates.audit = sp_runtime::Permill::one();
		Params::set(params);
		let id = publish(0, TRUTH);
		node.run_until(id, |claim| claim.record.audit == Audit::Approved);
		assert_eq!(claim(id).record.audit, Audit::Approved);
		node.run_until(id, |_| false);
		assert_eq!(closed(id).1, Some(Verdict::Unchecked));
	});
}

#[test]
fn a_sign_of_life_is_sent_when_it_is_due_unless_a_heartbeat_is() {
	with_node(1, 1, |node| {
		SignOfLifeDue::insert(account(1), ());
		node.work();
		node.work();
		assert_eq!(node.include(), 1);
		assert!(!SignOfLifeDue::contains_key(account(1)));
		SignOfLifeDue::insert(account(1), ());
		HeartbeatDue::insert(account(1), ());
		node.work();
		assert_eq!(node.include(), 1);
		assert!(!HeartbeatDue::contains_key(account(1)), "a heartbeat shows life too");
	});
}

#[test]
fn a_heartbeat_is_sent_when_it_is_due_and_nothing_else_is() {
	with_node(1, 1, |node| {
		node.work();
		assert_eq!((node.drain)().len(), 0);
		HeartbeatDue::insert(account(1), ());
		node.work();
		node.work();
		assert_eq!(node.include(), 1);
		assert!(!HeartbeatDue::contains_key(account(1)));
	});
}

#[test]
fn a_node_reports_what_its_engine_has_lost_and_what_it_serves_again() {
	with_node(1, 1, |node| {
		for quiet in [ProbeResult::Serving, ProbeResult::Pending, ProbeResult::NotAvailable] {
			node.engine.probes(quiet);
			node.work();
			assert_eq!((node.drain)().len(), 0, "{quiet:?} says nothing new");
		}
		node.engine.probes(ProbeResult::Abstained);
		SignOfLifeDue::insert(account(1), ());
		node.work();
		assert_eq!(node.include(), 2, "the report and a sign of life");
		assert!(InOutage::contains_key(account(1)));
		node.work();
		assert_eq!((node.drain)().len(), 0, "the chain knows");
		node.engine.probes(ProbeResult::Serving);
		node.work();
		assert_eq!(node.include(), 1);
		assert!(!InOutage::contains_key(account(1)));
	});
}
