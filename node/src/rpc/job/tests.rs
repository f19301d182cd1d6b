//! The job methods against a chain that the test moves by hand: blocks, forks, finality, pruning.

use super::*;
use assay_primitives::{api, InputHash, SamplingParams};
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
use sp_runtime::{generic::Digest, traits::Header as _};
use std::time::Duration;

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
		fn models(_: Option<ModelId>, _: u32) -> Vec<api::ModelView<AccountId>> { Vec::new() }
		fn model(_: ModelId) -> Option<api::ModelView<AccountId>> { None }
		fn providers_of(_: ModelId) -> Vec<api::ProviderView<AccountId>> { Vec::new() }
		fn quote(_: ModelId, _: u32, _: u32, _: u32) -> Result<api::Quote, api::QuoteError> {
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

fn view(phase: JobPhase) -> View {
	View {
		id: JOB,
		requester: [2; 32].into(),
		model: ModelId([3; 32]),
		params: SamplingParams::greedy(4),
		phase,
		attempt: 1,
		committee: vec![SeatView {
			provider: [4; 32].into(),
			committed: true,
			revealed: false,
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

fn receipt(concluded_at: BlockNumber) -> ReceiptOf {
	ReceiptOf {
		job: JOB,
		model: ModelId([3; 32]),
		requester: [2; 32].into(),
		params: SamplingParams::greedy(4),
		input_hash: InputHash([0; 32]),
		verdict: Verdict::Confirmed,
		answer: None,
		committee: Default::default(),
		attempts: 1,
		seed_block: Some(2),
		seed: [0; 32],
		fee: 1,
		requested_at: 1,
		concluded_at,
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
async fn a_subscriber_receives_every_step_once_and_the_final_verdict_last() {
	let chain = Chain::default();
	chain.block(Some(view(JobPhase::Drawing)), None);
	let module = module(&chain, 4);
	let mut job = module.subscribe("assay_subscribeJob", [JOB], 16).await.unwrap();
	assert_eq!(next(&mut job).await.phase, JobPhase::Drawing);
	chain.block(Some(view(JobPhase::Drawing)), None);
	chain.block(Some(view(JobPhase::Executing)), None);
	assert_eq!(next(&mut job).await.phase, JobPhase::Executing);
	chain.block(Some(view(JobPhase::Concluded)), Some(receipt(4)));
	let concluded = next(&mut job).await;
	assert_eq!(
		(concluded.verdict, concluded.concluded_at, concluded.finalized),
		(Some(Verdict::Confirmed), Some(4), false)
	);
	chain.finalize(3);
	chain.finalize(4);
	assert!(next(&mut job).await.finalized);
	chain.block(Some(view(JobPhase::Drawing)), None);
	let after = tokio::time::timeout(Duration::from_millis(200), job.next::<JobStatus>()).await;
	assert!(
		!matches!(after, Ok(Some(Ok(_)))),
		"nothing comes after the final verdict: {after:?}"
	);
}

#[tokio::test]
async fn a_subscriber_after_the_final_verdict_receives_it_once() {
	let chain = Chain::default();
	chain.block(Some(view(JobPhase::Concluded)), Some(receipt(1)));
	chain.finalize(1);
	let module = module(&chain, 4);
	for _ in 0..20 {
		let mut job = module.subscribe("assay_subscribeJob", [JOB], 16).await.unwrap();
		assert!(next(&mut job).await.finalized);
	}
}

#[tokio::test]
async fn a_verdict_pruned_before_it_is_final_is_still_reported_final_on_the_same_chain_only() {
	for (fork, received) in [(0, true), (1, false)] {
		let chain = Chain::default();
		chain.block(Some(view(JobPhase::Concluded)), Some(receipt(1)));
		let module = module(&chain, 4);
		let mut job = module.subscribe("assay_subscribeJob", [JOB], 16).await.unwrap();
		assert!(!next(&mut job).await.finalized);
		chain.0.lock().fork = fork;
		chain.block(None, None);
		chain.finalize(2);
		let last = tokio::time::timeout(
			Duration::from_millis(if received { 10_000 } else { 200 }),
			job.next::<JobStatus>(),
		)
		.await;
		let sent_final = matches!(last, Ok(Some(Ok((status, _)))) if status.finalized);
		assert_eq!(sent_final, received, "fork {fork}");
	}
}

#[tokio::test]
async fn subscriptions_have_a_limit_and_a_finished_one_makes_room() {
	let chain = Chain::default();
	chain.block(Some(view(JobPhase::Concluded)), Some(receipt(1)));
	let module = module(&chain, 1);
	let mut first = module.subscribe("assay_subscribeJob", [JOB], 16).await.unwrap();
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
		phase: JobPhase::Concluded,
		attempt: 1,
		deadline: None,
		committee: vec![SeatView {
			provider: [4; 32].into(),
			committed: true,
			revealed: true,
		}],
		output: Some(PublishedOutput {
			input_tokens: 1,
			output_tokens: 2,
			text: "Hi.".into(),
			finish: FinishReason::Eos,
		}),
		verdict: Some(Verdict::Confirmed),
		requested_at: 5,
		concluded_at: Some(9),
		finalized: true,
	};
	let json = serde_json::to_value(&status).unwrap();
	assert_eq!(json["job"], format!("0x{}", "01".repeat(32)));
	assert_eq!(json["phase"], "concluded");
	assert_eq!(json["verdict"], "confirmed");
	assert_eq!(json["concludedAt"], 9);
	assert_eq!(json["output"]["finish"], "eos");
	assert_eq!(json["committee"][0]["committed"], true);
	assert_eq!(serde_json::from_value::<JobStatus>(json).unwrap(), status);
}
