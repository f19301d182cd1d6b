//! Requests that are paid once: each under its key, signed once, sent until its fate is known.
//!
//! One transaction at a time is signed, so nonces are in order, and it is on disk before it is sent. Whatever is lost
//! afterwards, connection, node or gateway, the same bytes are sent again or found in a block. A new transaction for a key is
//! signed only after the chain has finalized all blocks that could have had the old one.

use super::{
	hub::{Head, Hub},
	journal::{Journal, Record},
	refusal::network_error,
};
use crate::{
	chain::{runtime, Fate, Signed},
	error::CliError,
	keys::Signer,
	output::Reporter,
};
use assay_gateway::network::{IdempotencyKey, JobRequest, JobTerms, NetworkError, Ticket};
use assay_primitives::{digest::input_hash, Balance, Hash32, JobId};
use codec::Encode;
use std::{
	collections::HashMap,
	sync::{Arc, Mutex, PoisonError},
	time::Duration,
};
use subxt::config::substrate::SubstrateConfig;
use tokio::{
	sync::{watch, Mutex as Turn},
	time::{sleep, timeout},
};

/// How often the fate of a transaction is looked up that is in no block yet.
const LOOK: Duration = Duration::from_secs(3);
/// How long one call of the node may take.
const CALL: Duration = Duration::from_secs(30);

/// What is known of a request.
#[derive(Clone, Debug)]
enum Known {
	/// It is under way.
	Pending,
	/// A block has its job.
	Job(JobId),
	/// It was surely not paid.
	Dead(NetworkError),
	/// A block has it, and the node cannot tell which job it made.
	Unnamed(NetworkError),
}

/// A request, from its key to its job.
struct Entry {
	terms: Hash32,
	fee_ceiling: Balance,
	/// What was signed; none before.
	record: Mutex<Option<Record>>,
	known: watch::Sender<Known>,
}

impl Entry {
	fn new(terms: Hash32, fee_ceiling: Balance, record: Option<Record>) -> Arc<Self> {
		let job = record.as_ref().and_then(|record| record.job);
		Arc::new(Self {
			terms,
			fee_ceiling,
			record: Mutex::new(record),
			known: watch::channel(job.map_or(Known::Pending, Known::Job)).0,
		})
	}

	fn record(&self) -> Option<Record> {
		lock(&self.record).clone()
	}
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
	mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All requests of one account.
pub(super) struct Payments {
	hub: Arc<Hub>,
	journal: Arc<Journal>,
	signer: Signer,
	entries: Mutex<HashMap<String, Arc<Entry>>>,
	/// Whose turn it is to sign and send, and for which connection the open transactions were sent.
	turn: Turn<Option<u64>>,
}

/// Hashes what a request asks for.
fn terms_hash(terms: &JobTerms) -> Hash32 {
	let JobTerms {
		model,
		input,
		params,
		verifiers,
	} = terms;
	*blake3::hash(&(model, input_hash(input), params, verifiers).encode()).as_bytes()
}

impl Payments {
	/// Takes over what the journal holds, and begins to look for what is open.
	pub(super) fn start(
		hub: Arc<Hub>,
		journal: Arc<Journal>,
		records: Vec<Record>,
		signer: Signer,
	) -> Result<Arc<Self>, CliError> {
		let mut entries = HashMap::new();
		let genesis = match hub.head() {
			Ok(head) => head.chain.genesis(),
			Err(reason) => return Err(CliError::Node(reason)),
		};
		for record in records {
			if record.genesis != genesis || record.account != signer.account().0 {
				return Err(CliError::Usage(format!(
					"the journal has requests of another {}: name another directory with --data",
					if record.genesis == genesis { "account" } else { "chain" }
				)));
			}
			let entry = Entry::new(record.terms, record.fee_ceiling(), Some(record.clone()));
			entries.insert(record.key, entry);
		}
		let payments = Arc::new(Self {
			hub,
			journal,
			signer,
			entries: Mutex::new(entries),
			turn: Turn::new(None),
		});
		for entry in payments.open_entries() {
			tokio::spawn(payments.clone().settle(entry));
		}
		Ok(payments)
	}

	/// Returns the account that pays.
	pub(super) fn account(&self) -> assay_receipt::Account {
		self.signer.account()
	}

	/// Returns the requests that are signed and have no job yet, by nonce.
	fn open_entries(&self) -> Vec<Arc<Entry>> {
		let is_open = |entry: &&Arc<Entry>| lock(&entry.record).as_ref().is_some_and(|record| record.job.is_none());
		let mut open: Vec<Arc<Entry>> = lock(&self.entries).values().filter(is_open).cloned().collect();
		open.sort_by_key(|entry| lock(&entry.record).as_ref().map(|record| record.nonce));
		open
	}

	/// Returns the job that was requested under a key, once a block has it; none if the key is free.
	pub(super) async fn find(&self, key: &IdempotencyKey) -> Result<Option<JobId>, NetworkError> {
		let entry = lock(&self.entries).get(key.as_str()).cloned();
		match entry {
			Some(entry) => ticket(&entry, false).await.map(|ticket| Some(ticket.job)),
			None => Ok(None),
		}
	}

	/// Returns the request of a key; none if the key is free.
	fn known(&self, key: &str, terms: Hash32) -> Result<Option<Arc<Entry>>, NetworkError> {
		match lock(&self.entries).get(key) {
			Some(entry) if entry.terms == terms => Ok(Some(entry.clone())),
			Some(_) => Err(NetworkError::KeyReused),
			None => Ok(None),
		}
	}

	/// Requests a job once, and returns it when a block has it. Dropping the future changes nothing.
	pub(super) async fn request(self: &Arc<Self>, request: JobRequest) -> Result<Ticket, NetworkError> {
		let terms = terms_hash(&request.terms);
		let key = request.key.as_str().to_owned();
		if let Some(entry) = self.known(&key, terms)? {
			return ticket(&entry, false).await;
		}
		let head = self.hub.head().map_err(NetworkError::Unreachable)?;
		let fee_ceiling = timeout(CALL, self.affordable(&head, &request))
			.await
			.map_err(|_| NetworkError::Unreachable("the node does not answer".into()))??;
		let (entry, new) = self.enter(key, terms, fee_ceiling)?;
		if new {
			tokio::spawn(self.clone().submit(entry.clone(), request));
		}
		ticket(&entry, new).await
	}

	/// Returns the request of a key, and whether it is a new one: somebody may have come first in the meantime.
	fn enter(&self, key: String, terms: Hash32, fee_ceiling: Balance) -> Result<(Arc<Entry>, bool), NetworkError> {
		let mut entries = lock(&self.entries);
		match entries.get(&key) {
			Some(first) if first.terms == terms => Ok((first.clone(), false)),
			Some(_) => Err(NetworkError::KeyReused),
			None => {
				self.forget_old(&mut entries);
				let entry = Entry::new(terms, fee_ceiling, None);
				entries.insert(key, entry.clone());
				Ok((entry, true))
			}
		}
	}

	/// Forgets what is older than keys are remembered, and is settled.
	fn forget_old(&self, entries: &mut HashMap<String, Arc<Entry>>) {
		entries.retain(|key, entry| {
			let old = lock(&entry.record).as_ref().is_some_and(Journal::may_forget);
			// A file that stays is removed at the next start.
			old.then(|| self.journal.remove(key));
			!old
		});
	}

	/// Returns what the job may cost, if it is not more than is allowed and the account has it.
	async fn affordable(&self, head: &Head, request: &JobRequest) -> Result<Balance, NetworkError> {
		let (chain, at) = (&head.chain, &head.at);
		let quote = super::network::quote(head, &request.terms).await?;
		if quote.fee_ceiling > request.max_fee {
			return Err(NetworkError::TooExpensive {
				ceiling: quote.fee_ceiling,
			});
		}
		let balance = chain.balance(at, &self.account()).await;
		let spendable = balance.map_err(|e| network_error(&e))?.spendable;
		let needed = quote.fee_ceiling.saturating_add(quote.deposit);
		if spendable < needed {
			let asy = |units| crate::amount::Asy(units);
			return Err(NetworkError::Unfunded(format!(
				"the job may cost {} and holds a deposit of {}; the account {} can spend {}: send it some ASY",
				asy(quote.fee_ceiling),
				asy(quote.deposit),
				self.account().ss58(),
				asy(spendable)
			)));
		}
		Ok(quote.fee_ceiling)
	}

	/// Signs, writes down and sends a request, and follows it to its job.
	async fn submit(self: Arc<Self>, entry: Arc<Entry>, request: JobRequest) {
		let key = request.key.as_str().to_owned();
		match self.sign_and_send(&entry, request).await {
			Ok(()) => self.settle(entry).await,
			Err(error) => self.die(&key, &entry, error),
		}
	}

	/// An error means that the node surely has no such transaction.
	async fn sign_and_send(&self, entry: &Entry, request: JobRequest) -> Result<(), NetworkError> {
		let mut turn = self.turn.lock().await;
		let head = self.hub.head().map_err(NetworkError::Unreachable)?;
		let away = |_| NetworkError::Unreachable("the node does not answer; nothing was sent".into());
		let JobRequest { key, terms, max_fee } = request;
		let call = runtime::request(terms.model.into(), terms.input, terms.params, terms.verifiers, max_fee);
		let signing = async {
			head.chain.caught_up(&Reporter::quiet()).await?;
			self.send_open_again(&mut turn, &head).await?;
			let nonce = head.chain.nonce(&self.signer).await?;
			head.chain.sign(&call, &self.signer, nonce).await
		};
		let signed: Signed = timeout(CALL, signing)
			.await
			.map_err(away)?
			.map_err(|e| network_error(&e))?;
		let record = Record::new(
			key.as_str(),
			head.chain.genesis(),
			entry.terms,
			entry.fee_ceiling,
			&signed,
		);
		self.write(&record)
			.await
			.map_err(|e| NetworkError::Internal(e.to_string()))?;
		*lock(&entry.record) = Some(record);
		match timeout(CALL, head.chain.send(&signed.bytes)).await {
			Ok(Err(refused @ CliError::Refused { .. })) => Err(network_error(&refused)),
			Ok(Ok(_)) => Ok(()),
			// Perhaps taken: the chain knows, and it is sent once more.
			Ok(Err(_)) | Err(_) => {
				*turn = None;
				Ok(())
			}
		}
	}

	/// Sends all open transactions, if the connection is another one than the last time: a node that has restarted has lost
	/// them, and would give their nonces away.
	async fn send_open_again(&self, turn: &mut Option<u64>, head: &Head) -> Result<(), CliError> {
		if *turn == Some(head.connection) {
			return Ok(());
		}
		for entry in self.open_entries() {
			let Some(record) = entry.record() else { continue };
			if let Fate::Open { .. } = head.chain.fate(record.hash, record.since).await? {
				// What the node refuses it has, or the chain has moved on: `settle` finds out.
				let _ = head.chain.send(&record.transaction()?).await;
			}
		}
		*turn = Some(head.connection);
		Ok(())
	}

	async fn write(&self, record: &Record) -> Result<(), CliError> {
		let (journal, record) = (self.journal.clone(), record.clone());
		let written = tokio::task::spawn_blocking(move || journal.write(&record)).await;
		written.map_err(|e| CliError::File(e.to_string()))?
	}

	/// Looks for a signed transaction until its fate is known.
	async fn settle(self: Arc<Self>, entry: Arc<Entry>) {
		let mut heads = self.hub.heads();
		let Some(mut record) = entry.record() else { return };
		// It ends when the last block that can have the transaction is finalized, or with the gateway.
		while let Some(head) = heads.now().await {
			match timeout(CALL, self.look(&head, &record)).await {
				Ok(Ok(Some(Known::Job(job)))) => {
					record.job = Some(job);
					// Without the file the next start looks once more.
					if let Err(e) = self.write(&record).await {
						eprintln!("warning: {e}");
					}
					*lock(&entry.record) = Some(record);
					entry.known.send_replace(Known::Job(job));
					return;
				}
				Ok(Ok(Some(Known::Dead(error)))) => return self.die(&record.key, &entry, error),
				// It is paid, so its key stays taken.
				Ok(Ok(Some(Known::Unnamed(error)))) => {
					entry.known.send_replace(Known::Unnamed(error));
					return;
				}
				Ok(Ok(Some(Known::Pending) | None)) | Ok(Err(_)) | Err(_) => {}
			}
			tokio::select! {
				() = sleep(LOOK) => {}
				next = heads.next() => if next.is_none() { return },
			}
		}
	}

	/// Looks for a transaction; sends it again if it may still come into a block.
	async fn look(&self, head: &Head, record: &Record) -> Result<Option<Known>, CliError> {
		let known = match head.chain.fate(record.hash, record.since).await? {
			Fate::InBlock { events: Ok(events), .. } => Some(Known::Job(requested(&events)?)),
			Fate::InBlock {
				finalized: true,
				events: Err(refused @ CliError::Refused { .. }),
				..
			} => Some(Known::Dead(network_error(&refused))),
			// Another block may have it.
			Fate::InBlock {
				events: Err(CliError::Refused { .. }),
				..
			} => None,
			Fate::InBlock {
				events: Err(error),
				number,
				..
			} => Some(Known::Unnamed(NetworkError::Internal(format!(
				"block {number} has the request, and this node no longer has the block's events, which name the job ({error}): \
				 ask an archive node with `assay transaction {} --since {}`",
				const_hex::encode_prefixed(record.hash),
				record.since
			)))),
			Fate::Never => Some(Known::Dead(NetworkError::Unreachable(
				"the request came into no block in time, and nothing was paid: try again".into(),
			))),
			Fate::Open { .. } => {
				let mut turn = self.turn.lock().await;
				self.send_open_again(&mut turn, head).await?;
				None
			}
		};
		Ok(known)
	}

	/// Forgets a request that was surely not paid, so that its key is free.
	fn die(&self, key: &str, entry: &Entry, error: NetworkError) {
		let mut entries = lock(&self.entries);
		if lock(&entry.record).take().is_some() {
			if let Err(e) = self.journal.remove(key) {
				eprintln!("warning: {e}");
			}
		}
		entries.remove(key);
		drop(entries);
		entry.known.send_replace(Known::Dead(error));
	}

	/// Looks for a job's request once more, which a fork has lost with its block.
	pub(super) fn lost(self: &Arc<Self>, job: JobId) {
		let of_job = |entry: &&Arc<Entry>| {
			lock(&entry.record)
				.as_ref()
				.is_some_and(|record| record.job == Some(job))
		};
		let Some(entry) = lock(&self.entries).values().find(of_job).cloned() else {
			return;
		};
		if let Some(record) = lock(&entry.record).as_mut() {
			record.job = None;
		}
		entry.known.send_replace(Known::Pending);
		tokio::spawn(self.clone().settle(entry));
	}
}

/// Returns the job that a request has made.
fn requested(events: &subxt::extrinsics::ExtrinsicEvents<SubstrateConfig>) -> Result<JobId, CliError> {
	let event = events.find_first::<runtime::jobs::events::Requested>();
	let event = event.ok_or_else(|| CliError::Node("the request's block has no event of it".into()))?;
	Ok(event.map_err(|e| CliError::Node(e.to_string()))?.job.0)
}

/// Waits until the fate of a request is known.
async fn ticket(entry: &Entry, new: bool) -> Result<Ticket, NetworkError> {
	let mut known = entry.known.subscribe();
	let known = known.wait_for(|known| !matches!(known, Known::Pending)).await;
	match known.map(|known| known.clone()) {
		Ok(Known::Job(job)) => Ok(Ticket {
			job,
			new,
			fee_ceiling: entry.fee_ceiling,
		}),
		Ok(Known::Dead(error) | Known::Unnamed(error)) => Err(error),
		Ok(Known::Pending) | Err(_) => Err(NetworkError::Internal("the request was lost sight of".into())),
	}
}
