//! The job methods against a chain that the test moves by hand: blocks, forks, finality, pruning.

mod ends;
mod json;
mod shared;
mod steps;

use super::{status::JobUpdate, *};
use assay_primitives::{
	accumulator::Accumulator,
	api::{self, ExecutionView, JobView, TooManyJobs},
	limits::MAX_JOB_VIEWS,
	receipt::{RefundReason, SeatRecord},
	ClaimId, InputHash, ListingId, ModelId, Receipt, SamplingParams, State, Target, UncheckedInput, Verdict,
};
use futures::{channel::mpsc, future::BoxFuture};
use jsonrpsee::{core::server::Subscription as Client, MethodsError, RpcModule};
use parking_lot::Mutex;
use sp_api::ApiRef;
use sp_blockchain::{BlockStatus, Info};
use sp_core::traits::SpawnNamed;
use std::collections::HashMap;
use tokio::{runtime::Handle, task};

type Header = <Block as BlockT>::Header;
pub(in crate::rpc) type View = JobView<AccountId, BlockNumber>;
type ReceiptOf = Receipt<AccountId, BlockNumber>;
type Module = RpcModule<JobRpc<Chain>>;

#[derive(Default)]
pub(in crate::rpc) struct Facts {
	best: BlockNumber,
	finalized: BlockNumber,
	fork: u8,
	views: HashMap<JobId, View>,
	receipts: HashMap<JobId, ReceiptOf>,
	pub(in crate::rpc) executions: HashMap<JobId, ExecutionView<AccountId>>,
	heads: Vec<mpsc::UnboundedSender<()>>,
	/// The block whose state was read last, and how many jobs were read in all.
	read_in: BlockNumber,
	read: usize,
	/// Whether reading fails.
	pub(in crate::rpc) broken: bool,
}

/// A chain with some jobs.
#[derive(Clone, Default)]
pub(in crate::rpc) struct Chain(pub(in crate::rpc) Arc<Mutex<Facts>>);

fn hash(fork: u8, number: BlockNumber) -> Hash {
	let mut bytes = [fork; 32];
	bytes[..4].copy_from_slice(&number.to_le_bytes());
	bytes.into()
}

impl Chain {
	/// A chain on whose best block a job is as given.
	pub(in crate::rpc) fn with(view: View) -> Self {
		let chain = Self::default();
		chain.block(Some(view), None);
		chain
	}

	/// One more best block, in whose state [`JOB`] is as given, and there is no other job.
	pub(in crate::rpc) fn block(&self, view: Option<View>, receipt: Option<ReceiptOf>) {
		let mut facts = self.0.lock();
		facts.views = view.into_iter().map(|view| (view.id, view)).collect();
		facts.receipts = receipt.into_iter().map(|receipt| (receipt.job, receipt)).collect();
		drop(facts);
		self.next_block();
	}

	fn next_block(&self) {
		let mut facts = self.0.lock();
		facts.best += 1;
		facts.heads.retain(|head| head.unbounded_send(()).is_ok());
	}

	/// From the next block on, another fork is the best chain.
	fn reorganize(&self) {
		self.0.lock().fork += 1;
	}

	fn finalize(&self, number: BlockNumber) {
		let mut facts = self.0.lock();
		facts.finalized = number;
		facts.heads.retain(|head| head.unbounded_send(()).is_ok());
	}

	pub(in crate::rpc) fn heads(&self) -> mpsc::UnboundedReceiver<()> {
		let (sender, receiver) = mpsc::unbounded();
		self.0.lock().heads.push(sender);
		receiver
	}

	/// No more heads come, as when a node stops.
	pub(in crate::rpc) fn stop(&self) {
		self.0.lock().heads.clear();
	}

	/// Waits until the best block has been read.
	async fn is_read(&self) {
		eventually(|| {
			let facts = self.0.lock();
			facts.read_in == facts.best
		})
		.await;
	}
}

pub(in crate::rpc) struct Api(Chain);

sp_api::mock_impl_runtime_apis! {
	impl AssayApi<Block, AccountId, BlockNumber> for Api {
		fn models(_: Option<ModelId>, _: u32) -> Vec<api::ModelView<AccountId, BlockNumber>> { Vec::new() }
		fn model(_: ModelId) -> Option<api::ModelView<AccountId, BlockNumber>> { None }
		fn listing(_: ListingId) -> Option<api::ListingView<AccountId, BlockNumber>> { None }
		fn providers_of(_: ModelId) -> Vec<api::ProviderView<AccountId>> { Vec::new() }
		fn quote(_: Target, _: u32, _: u32, _: u8) -> Result<api::Quote, api::QuoteError> {
			Err(api::QuoteError::UnknownModel)
		}
		fn job(&self, id: JobId) -> Option<View> { self.0.0.lock().views.get(&id).cloned() }
		#[advanced]
		fn jobs(&self, _: Hash, ids: Vec<JobId>) -> Result<Result<Vec<Option<View>>, TooManyJobs>, sp_api::ApiError> {
			let mut facts = self.0.0.lock();
			facts.read_in = facts.best;
			facts.read += ids.len();
			if facts.broken {
				return Err(sp_api::ApiError::UsingSameInstanceForDifferentBlocks);
			}
			assert!(ids.len() <= MAX_JOB_VIEWS as usize);
			Ok(Ok(ids.iter().map(|id| facts.views.get(id).cloned()).collect()))
		}
		#[advanced]
		fn execution(&self, _: Hash, id: JobId) -> Result<Option<ExecutionView<AccountId>>, sp_api::ApiError> {
			let facts = self.0.0.lock();
			if facts.broken {
				return Err(sp_api::ApiError::UsingSameInstanceForDifferentBlocks);
			}
			Ok(facts.executions.get(&id).cloned())
		}
		fn receipt(&self, id: JobId) -> Option<ReceiptOf> { self.0.0.lock().receipts.get(&id).cloned() }
		fn receipt_leaf(_: JobId) -> Option<u64> { None }
		fn receipt_accumulator() -> Accumulator { Accumulator::default() }
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

pub(in crate::rpc) const JOB: JobId = JobId([1; 32]);

pub(in crate::rpc) fn view(state: State) -> View {
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
		input: UncheckedInput::Text(b"Hello".to_vec()),
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

/// Runs tasks on the test's own runtime.
#[derive(Clone)]
pub(in crate::rpc) struct Executor;

impl SpawnNamed for Executor {
	fn spawn_blocking(&self, _: &'static str, _: Option<&'static str>, future: BoxFuture<'static, ()>) {
		let runtime = Handle::current();
		task::spawn_blocking(move || runtime.block_on(future));
	}
	fn spawn(&self, _: &'static str, _: Option<&'static str>, future: BoxFuture<'static, ()>) {
		task::spawn(future);
	}
}

/// Serves the jobs of a chain to connections that have 16 subscriptions each.
fn module(chain: &Chain) -> Module {
	serve(chain, 1, PATIENCE).1
}

fn serve(chain: &Chain, connections: usize, patience: Patience) -> (Jobs<Chain>, Module) {
	let jobs = Jobs::new(Arc::new(chain.clone()), connections);
	task::spawn(jobs.run(chain.heads()));
	let server = JobRpc {
		patience,
		..JobRpc::new(jobs.clone(), Arc::new(Executor))
	};
	(jobs, server.into_rpc())
}

async fn next(subscription: &mut Client) -> JobUpdate {
	let next = tokio::time::timeout(Duration::from_secs(10), subscription.next::<JobUpdate>()).await;
	next.expect("a notification in time")
		.expect("an open subscription")
		.unwrap()
		.0
}

/// Subscribes until the verdict, as a client does that passes only the job.
async fn subscribe(module: &Module) -> Client {
	module.subscribe("assay_subscribeJob", [JOB], 16).await.unwrap()
}

async fn subscribe_until(module: &Module, until: Until) -> Client {
	module.subscribe("assay_subscribeJob", (JOB, until), 16).await.unwrap()
}

/// Checks that nothing comes for a while.
async fn nothing_comes(subscription: &mut Client) {
	let after = tokio::time::timeout(Duration::from_millis(200), subscription.next::<JobUpdate>()).await;
	assert!(!matches!(after, Ok(Some(Ok(_)))), "{after:?}");
}

/// Returns the code of the error that refuses a subscription.
async fn refused(module: &Module, job: JobId) -> i32 {
	match module.subscribe("assay_subscribeJob", [job], 16).await {
		Err(MethodsError::JsonRpc(e)) => e.code(),
		other => panic!("not refused: {other:?}"),
	}
}

pub(in crate::rpc) async fn eventually(holds: impl Fn() -> bool) {
	for _ in 0..2_000 {
		if holds() {
			return;
		}
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	panic!("not in ten seconds");
}
