//! The job methods against a chain that the test moves by hand: blocks, forks, finality, pruning.

use super::{follower::MAX_ABSENT_BLOCKS, *};
use assay_primitives::{
	api,
	receipt::{RefundReason, SeatVote},
	vote::Defect,
	BoundRoot, InputHash, SamplingParams, Target, Vote,
};
use jsonrpsee::{core::server::Subscription as Client, MethodsError, RpcModule};
use parking_lot::Mutex;
use sc_client_api::{
	BlockImportNotification, FinalityNotification, FinalityNotifications, FinalizeSummary, ImportNotifications,
	StorageEventStream, StorageKey,
};
use sc_utils::mpsc::{tracing_unbounded, TracingUnboundedSender};
use sp_api::ApiRef;
use sp_blockchain::{BlockStatus, Info};
use sp_consensus::BlockOrigin;
use sp_runtime::{
	generic::Digest,
	traits::{Block as BlockT, Header as _},
};
use std::time::Duration;

type Hash = <Block as BlockT>::Hash;
type Header = <Block as BlockT>::Header;
type View = JobView<AccountId, BlockNumber>;
type ReceiptOf = Receipt<AccountId, BlockNumber>;

#[derive(Default)]
struct Facts {
	best: BlockNumber,
	finalized: BlockNumber,
	fork: u8,
	view: Option<View>,
	receipt: Option<ReceiptOf>,
	imports: Vec<TracingUnboundedSender<BlockImportNotification<Block>>>,
	finality: Vec<TracingUnboundedSender<FinalityNotification<Block>>>,
}

/// A chain with one job at most.
#[derive(Clone, Default)]
struct Chain(Arc<Mutex<Facts>>);

fn hash(fork: u8, number: BlockNumber) -> Hash {
	let mut bytes = [fork; 32];
	bytes[..4].copy_from_slice(&number.to_le_bytes());
	bytes.into()
}

fn header(number: BlockNumber) -> Header {
	Header::new(
		number,
		Default::default(),
		Default::default(),
		Default::default(),
		Digest::default(),
	)
}

impl Chain {
	/// One more best block, in whose state the job is as given.
	fn block(&self, view: Option<View>, receipt: Option<ReceiptOf>) {
		let mut facts = self.0.lock();
		facts.best += 1;
		(facts.view, facts.receipt) = (view, receipt);
		let (number, fork) = (facts.best, facts.fork);
		for sender in &facts.imports {
			let (unpin, _) = tracing_unbounded("unpin", 10);
			let (hash, header) = (hash(fork, number), header(number));
			drop(sender.unbounded_send(BlockImportNotification::new(
				hash,
				BlockOrigin::Own,
				header,
				true,
				None,
				unpin,
			)));
		}
	}

	fn finalize(&self, number: BlockNumber) {
		let mut facts = self.0.lock();
		facts.finalized = number;
		for sender in &facts.finality {
			let (unpin, _) = tracing_unbounded("unpin", 10);
			let finalized = vec![hash(facts.fork, number)];
			let summary = FinalizeSummary {
				header: header(number),
				finalized,
				stale_blocks: Vec::new(),
			};
			drop(sender.unbounded_send(FinalityNotification::from_summary(summary, unpin)));
		}
	}
}

struct Api(Chain);

sp_api::mock_impl_runtime_apis! {
	impl AssayApi<Block, AccountId, BlockNumber> for Api {
		fn models(_: Option<ModelId>, _: u32) -> Vec<api::ModelView<AccountId, BlockNumber>> { Vec::new() }
		fn model(_: ModelId) -> Option<api::ModelView<AccountId, BlockNumber>> { None }
		fn listing(_: ListingId) -> Option<api::ListingView<AccountId, BlockNumber>> { None }
		fn providers_of(_: ModelId) -> Vec<api::ProviderView<AccountId>> { Vec::new() }
		fn quote(_: Target, _: u32, _: u32, _: u8) -> Result<api::Quote, api::QuoteError> {
			Err(api::QuoteError::UnknownModel)
		}
		fn job(&self, id: JobId) -> Option<View> { self.0.0.lock().view.clone().filter(|v| v.id == id) }
		fn receipt(&self, id: JobId) -> Option<ReceiptOf> { self.0.0.lock().receipt.clone().filter(|r| r.job == id) }
	}
}

impl ProvideRuntimeApi<Block> for Chain {
	type Api = Api;
	fn runtime_api(&self) -> ApiRef<'_, Api> {
		Api(self.clone()).into()
	}
}

impl HeaderBackend<Block> for Chain {
	fn header(&self, _: Hash) -> sp_blockchain::Result<Option<Header>> {
		Ok(None)
	}
	fn info(&self) -> Info<Block> {
		let facts = self.0.lock();
		Info {
			best_hash: hash(facts.fork, facts.best),
			best_number: facts.best,
			genesis_hash: hash(0, 0),
			finalized_hash: hash(facts.fork, facts.finalized),
			finalized_number: facts.finalized,
			finalized_state: None,
			number_leaves: 1,
			block_gap: None,
		}
	}
	fn status(&self, _: Hash) -> sp_blockchain::Result<BlockStatus> {
		Ok(BlockStatus::InChain)
	}
	fn number(&self, _: Hash) -> sp_blockchain::Result<Option<BlockNumber>> {
		Ok(None)
	}
	fn hash(&self, number: BlockNumber) -> sp_blockchain::Result<Option<Hash>> {
		let facts = self.0.lock();
		Ok((number <= facts.best).then(|| hash(facts.fork, number)))
	}
}

impl BlockchainEvents<Block> for Chain {
	fn import_notification_stream(&self) -> ImportNotifications<Block> {
		let (sender, receiver) = tracing_unbounded("imports", 100);
		self.0.lock().imports.push(sender);
		receiver
	}
	fn every_import_notification_stream(&self) -> ImportNotifications<Block> {
		self.import_notification_stream()
	}
	fn finality_notification_stream(&self) -> FinalityNotifications<Block> {
		let (sender, receiver) = tracing_unbounded("finality", 100);
		self.0.lock().finality.push(sender);
		receiver
	}
	fn storage_changes_notification_stream(
		&self,
		_: Option<&[StorageKey]>,
		_: Option<&[(StorageKey, Option<Vec<StorageKey>>)]>,
	) -> sp_blockchain::Result<StorageEventStream<Hash>> {
		Err(sp_blockchain::Error::Backend("no storage here".into()))
	}
}

const JOB: JobId = JobId([1; 32]);

fn view(state: State) -> View {
	View {
		id: JOB,
		requester: [2; 32].into(),
		model: ModelId([3; 32]),
		listing: ListingId(7),
		params: SamplingParams::greedy(4),
		verifiers: 1,
		state,
		verdict: None,
		verdict_at: None,
		attempt: 1,
		executor: Some([4; 32].into()),
		claim: Some(ClaimId([5; 32])),
		seats: vec![SeatRecord {
			provider: [6; 32].into(),
			tranche: 1,
			vote: None,
			fault: None,
		}]
		.try_into()
		.unwrap(),
		deadline: Some(99),
		input: b"Hello".to_vec(),
		output: None,
		requested_at: 1,
		genesis: [0; 32],
	}
}

/// A job with a verdict.
fn decided(state: State, verdict: Verdict, verdict_at: BlockNumber) -> View {
	View {
		verdict: Some(verdict),
		verdict_at: Some(verdict_at),
		..view(state)
	}
}

fn confirmed(verdict_at: BlockNumber) -> Option<View> {
	Some(decided(State::Window, Verdict::Confirmed, verdict_at))
}

fn receipt(state: State, verdict: Verdict, verdict_at: BlockNumber, closed_at: Option<BlockNumber>) -> ReceiptOf {
	ReceiptOf {
		job: JOB,
		model: ModelId([3; 32]),
		listing: ListingId(7),
		listing_named: false,
		requester: [2; 32].into(),
		count: 1,
		params: SamplingParams::greedy(4),
		input_hash: InputHash([0; 32]),
		verdict,
		state,
		answer: None,
		claim: None,
		attempts: 1,
		fee: 1,
		requested_at: 1,
		verdict_at,
		closed_at,
	}
}

fn module(chain: &Chain, subscriptions: usize) -> RpcModule<JobRpc<Chain>> {
	let executor = Arc::new(sp_core::testing::TaskExecutor::default());
	JobRpc::new(
		Arc::new(chain.clone()),
		executor,
		Arc::new(Semaphore::new(subscriptions)),
	)
	.into_rpc()
}

async fn next(subscription: &mut Client) -> JobStatus {
	let next = tokio::time::timeout(Duration::from_secs(10), subscription.next::<JobStatus>()).await;
	next.expect("a notification in time")
		.expect("an open subscription")
		.unwrap()
		.0
}

/// Subscribes until the verdict, as a client does that passes only the job.
async fn subscribe(module: &RpcModule<JobRpc<Chain>>) -> Client {
	module.subscribe("assay_subscribeJob", [JOB], 16).await.unwrap()
}

async fn subscribe_until(module: &RpcModule<JobRpc<Chain>>, until: Until) -> Client {
	module.subscribe("assay_subscribeJob", (JOB, until), 16).await.unwrap()
}

/// Checks that nothing comes for a while.
async fn nothing_comes(subscription: &mut Client) {
	let after = tokio::time::timeout(Duration::from_millis(200), subscription.next::<JobStatus>()).await;
	assert!(!matches!(after, Ok(Some(Ok(_)))), "{after:?}");
}

async fn refused(module: &RpcModule<JobRpc<Chain>>, job: JobId) -> i32 {
	match module.subscribe("assay_subscribeJob", [job], 16).await {
		Err(MethodsError::JsonRpc(e)) => e.code(),
		other => panic!("not refused: {other:?}"),
	}
}

#[tokio::test]
async fn an_unknown_job_is_a_named_and_numbered_error() {
	let chain = Chain::default();
	let module = module(&chain, 4);
	let read: Result<JobStatus, _> = module.call("assay_jobStatus", [JOB]).await;
	match read {
		Err(MethodsError::JsonRpc(e)) => {
			assert_eq!(e.code(), 20_001);
			assert!(e.message().starts_with("UnknownJob"));
		}
		other => panic!("{other:?}"),
	}
	assert_eq!(refused(&module, JOB).await, 20_001);
	let nonsense: Result<JobStatus, _> = module.call("assay_jobStatus", ["0x12"]).await;
	assert!(matches!(nonsense, Err(MethodsError::JsonRpc(e)) if e.code() == -32_602));
}

#[tokio::test]
async fn until_is_verdict_or_settled_and_nothing_else() {
	let chain = Chain::default();
	chain.block(Some(view(State::Waiting)), None);
	let module = module(&chain, 4);
	for until in [None, Some("verdict"), Some("settled")] {
		let subscribed = module.subscribe("assay_subscribeJob", (JOB, until), 16).await;
		assert!(subscribed.is_ok(), "{until:?}");
	}
	match module.subscribe("assay_subscribeJob", (JOB, "doomsday"), 16).await {
		Err(MethodsError::JsonRpc(e)) => assert_eq!(e.code(), -32_602),
		other => panic!("not refused: {other:?}"),
	}
}

#[tokio::test]
async fn a_subscriber_receives_every_step_once_and_the_final_verdict_last() {
	let chain = Chain::default();
	chain.block(Some(view(State::Waiting)), None);
	let module = module(&chain, 4);
	let mut job = subscribe(&module).await;
	assert_eq!(next(&mut job).await.state, State::Waiting);
	chain.block(Some(view(State::Waiting)), None);
	chain.block(Some(view(State::Voting)), None);
	assert_eq!(next(&mut job).await.state, State::Voting);
	chain.block(confirmed(4), None);
	let decided = next(&mut job).await;
	assert_eq!(
		(decided.verdict, decided.verdict_at, decided.finalized, decided.closed),
		(Some(Verdict::Confirmed), Some(4), false, false)
	);
	chain.finalize(3);
	chain.finalize(4);
	assert!(next(&mut job).await.finalized);
	chain.block(Some(view(State::Waiting)), None);
	nothing_comes(&mut job).await;
}

#[tokio::test]
async fn until_settled_goes_on_until_the_final_state_is_finalized() {
	for (state, verdict) in [
		(State::Settled, Verdict::Confirmed),
		(State::Overturned, Verdict::Overturned),
		(State::Refunded, Verdict::Refunded(RefundReason::Undecided)),
	] {
		let chain = Chain::default();
		chain.block(confirmed(1), None);
		let module = module(&chain, 4);
		let mut job = subscribe_until(&module, Until::Settled).await;
		assert!(!next(&mut job).await.finalized);
		chain.finalize(1);
		let finalized = next(&mut job).await;
		assert_eq!((finalized.finalized, finalized.closed), (true, false));
		chain.block(Some(decided(State::Disputed, Verdict::Confirmed, 1)), None);
		assert_eq!(next(&mut job).await.state, State::Disputed);
		chain.block(
			Some(decided(state, verdict, 1)),
			Some(receipt(state, verdict, 1, Some(3))),
		);
		let last_state = next(&mut job).await;
		assert_eq!(
			(last_state.verdict, last_state.closed_at, last_state.closed),
			(Some(verdict), Some(3), false)
		);
		chain.finalize(2);
		chain.finalize(3);
		assert!(next(&mut job).await.closed, "{state:?}");
		chain.block(Some(view(State::Waiting)), None);
		nothing_comes(&mut job).await;
	}
}

#[tokio::test]
async fn a_subscriber_after_the_end_receives_it_once() {
	let chain = Chain::default();
	chain.block(
		Some(decided(State::Settled, Verdict::Unchecked, 1)),
		Some(receipt(State::Settled, Verdict::Unchecked, 1, Some(1))),
	);
	chain.finalize(1);
	let module = module(&chain, 4);
	for until in [Until::Verdict, Until::Settled].repeat(10) {
		let mut job = subscribe_until(&module, until).await;
		let last = next(&mut job).await;
		assert!(last.finalized && last.closed);
	}
}

#[tokio::test]
async fn what_was_pruned_before_it_is_final_is_still_reported_final_on_the_same_chain_only() {
	for until in [Until::Verdict, Until::Settled] {
		for (fork, received) in [(0, true), (1, false)] {
			let chain = Chain::default();
			chain.block(
				Some(decided(State::Settled, Verdict::Confirmed, 1)),
				Some(receipt(State::Settled, Verdict::Confirmed, 1, Some(1))),
			);
			let module = module(&chain, 4);
			let mut job = subscribe_until(&module, until).await;
			assert!(!next(&mut job).await.finalized);
			chain.0.lock().fork = fork;
			chain.block(None, None);
			chain.finalize(2);
			if received {
				let last = next(&mut job).await;
				assert!(last.finalized && last.closed && !last.lost);
			} else {
				nothing_comes(&mut job).await;
			}
		}
	}
}

#[tokio::test]
async fn a_job_that_vanishes_with_its_fork_ends_the_subscription_after_a_while() {
	for before in [Some(view(State::Voting)), confirmed(1)] {
		let chain = Chain::default();
		chain.block(before.clone(), None);
		let module = module(&chain, 1);
		let mut job = subscribe(&module).await;
		assert!(!next(&mut job).await.lost);
		chain.0.lock().fork = 1;
		for n in 1..MAX_ABSENT_BLOCKS {
			chain.block(None, None);
			chain.finalize(n);
		}
		nothing_comes(&mut job).await;
		chain.block(None, None);
		let last = next(&mut job).await;
		assert_eq!((last.lost, last.finalized, last.closed), (true, false, false));
		assert_eq!(last.state, before.as_ref().unwrap().state, "as it was last seen");
		chain.block(before, None);
		nothing_comes(&mut job).await;
	}
}

#[tokio::test]
async fn a_job_that_comes_back_in_time_goes_on() {
	let chain = Chain::default();
	chain.block(Some(view(State::Executing)), None);
	let module = module(&chain, 1);
	let mut job = subscribe(&module).await;
	assert_eq!(next(&mut job).await.state, State::Executing);
	for state in [State::Waiting, State::Published] {
		for _ in 1..MAX_ABSENT_BLOCKS {
			chain.block(None, None);
		}
		nothing_comes(&mut job).await;
		chain.block(Some(view(state)), None);
		let back = next(&mut job).await;
		assert_eq!((back.state, back.lost), (state, false));
	}
}

#[tokio::test]
async fn subscriptions_have_a_limit_and_a_finished_one_makes_room() {
	let chain = Chain::default();
	chain.block(confirmed(1), None);
	let module = module(&chain, 1);
	let mut first = subscribe(&module).await;
	assert!(!next(&mut first).await.finalized);
	assert_eq!(refused(&module, JOB).await, 20_002);
	chain.finalize(1);
	assert!(next(&mut first).await.finalized);
	for _ in 0..500 {
		if module.subscribe("assay_subscribeJob", [JOB], 16).await.is_ok() {
			return;
		}
		tokio::time::sleep(Duration::from_millis(10)).await;
	}
	panic!("the finished subscription still counts");
}

#[test]
fn a_subscription_ends_with_the_final_verdict() {
	let seen: Vec<_> = futures::executor::block_on(
		take_through(stream::iter([1, 2, 3]).chain(stream::pending()), |n| *n == 3).collect(),
	);
	assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn a_status_reads_like_its_description() {
	let status = JobStatus {
		job: JobId([1; 32]),
		requester: [2; 32].into(),
		model: ModelId([3; 32]),
		listing: ListingId(7),
		verifiers: 1,
		state: State::Window,
		attempt: 1,
		deadline: Some(209),
		executor: Some([4; 32].into()),
		claim: Some(ClaimId([5; 32])),
		seats: vec![SeatRecord {
			provider: [6; 32].into(),
			tranche: 1,
			vote: Some(SeatVote {
				tranche: 1,
				vote: Vote::Reject {
					defect: Defect::Output(7),
					root: BoundRoot([8; 32]),
				},
			}),
			fault: None,
		}],
		output: Some(PublishedOutput {
			input_tokens: 1,
			output_tokens: 2,
			text: "Hi.".into(),
			finish: FinishReason::Eos,
		}),
		verdict: Some(Verdict::Refunded(RefundReason::NoOutput)),
		requested_at: 5,
		verdict_at: Some(9),
		closed_at: None,
		finalized: true,
		closed: false,
		lost: false,
	};
	let hex = |byte: &str| format!("0x{}", byte.repeat(32));
	let json = serde_json::json!({
		"job": hex("01"), "requester": AccountId::from([2; 32]), "model": hex("03"), "listing": 7, "verifiers": 1,
		"state": "window",
		"attempt": 1, "deadline": 209, "executor": AccountId::from([4; 32]), "claim": hex("05"),
		"seats": [{
			"provider": AccountId::from([6; 32]), "tranche": 1,
			"vote": { "tranche": 1, "vote": { "reject": { "defect": { "output": 7 }, "root": hex("08") } } },
			"fault": null,
		}],
		"output": { "inputTokens": 1, "outputTokens": 2, "text": "Hi.", "finish": "eos" },
		"verdict": { "refunded": "no_output" }, "requestedAt": 5, "verdictAt": 9, "closedAt": null, "finalized": true,
		"closed": false, "lost": false,
	});
	assert_eq!(serde_json::to_value(&status).unwrap(), json);
	assert_eq!(serde_json::from_value::<JobStatus>(json).unwrap(), status);
}
