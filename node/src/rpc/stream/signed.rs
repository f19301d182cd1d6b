//! Signs drafts, each once for all who follow it.
//!
//! The signature over a chain's hash vouches for everything before it. So a reader who comes late, reads slowly, or
//! lacks only a part of a chunk is served from the signatures that are there already.

use super::notification::{EndReason, Mark};
use crate::{
	inference::{Draft, DraftState},
	rpc::{subscription::on_blocking_thread, LOG_TARGET},
};
use assay_primitives::{
	crypto::INFERENCE_KEY_TYPE,
	stream::{StreamChain, StreamToken, MAX_CHUNK_TOKENS},
	ClaimId, Hash32,
};
use futures::FutureExt;
use parking_lot::Mutex;
use sc_rpc::SubscriptionTaskExecutor;
use sp_core::{sr25519, Bytes};
use sp_keystore::KeystorePtr;
use std::{
	collections::HashMap,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::{sync::watch, time::sleep};

/// The shortest time between two chunks of a draft: what comes within it is one chunk.
pub(super) const PACE: Duration = Duration::from_millis(50);
/// For how many times as long as a signature took, though never longer than [`PACE`], no other is made: signing takes a
/// quarter of a core. The keystore may derive the key from its phrase each time, which takes milliseconds.
const REST: u32 = 3;

/// A draft as readers follow it.
#[derive(Clone)]
pub(super) struct SignedDraft {
	draft: watch::Receiver<Draft>,
	signed: watch::Receiver<Signed>,
}

/// What of a draft is signed.
#[derive(Default)]
struct Signed {
	/// In the order of the draft, with at most [`MAX_CHUNK_TOKENS`] tokens from each to the next.
	marks: Vec<Mark>,
	/// Why nothing more comes.
	ended: Option<EndReason>,
}

impl SignedDraft {
	/// Returns the signed tokens after the first `from`, at most [`MAX_CHUNK_TOKENS`], and the signature over the last.
	pub(super) fn chunk(&mut self, from: u32) -> Option<(Vec<StreamToken>, Mark)> {
		let signed = self.signed.borrow_and_update();
		let limit = from.saturating_add(MAX_CHUNK_TOKENS as u32);
		let within = signed.marks.partition_point(|mark| mark.chain.tokens <= limit);
		let mark = signed.marks.get(within.checked_sub(1)?)?;
		let count = mark.chain.tokens.checked_sub(from).filter(|count| *count > 0)?;
		let draft = self.draft.borrow();
		let tokens = draft.tokens.iter().skip(from as usize).take(count as usize);
		Some((tokens.cloned().collect(), mark.clone()))
	}

	/// Returns why nothing more comes, if that is so.
	pub(super) fn ended(&self) -> Option<EndReason> {
		self.signed.borrow().ended
	}

	/// Returns whether the engine has not ended the draft.
	pub(super) fn is_growing(&self) -> bool {
		self.draft.borrow().state == DraftState::Growing
	}

	/// Returns whether the node still keeps the draft.
	fn is_kept(&self) -> bool {
		self.draft.has_changed().is_ok()
	}

	/// Returns when there may be more. False if nothing more comes.
	pub(super) async fn changed(&mut self) -> bool {
		self.signed.changed().await.is_ok()
	}
}

/// Signs with the keys of this node.
pub(super) struct Signers {
	keystore: KeystorePtr,
	genesis: Hash32,
	executor: SubscriptionTaskExecutor,
	/// Held by whoever signs: one at a time, in the order in which they came.
	turn: tokio::sync::Mutex<()>,
	/// The drafts that somebody has asked for, by the key that signs: a provider may change it.
	drafts: Mutex<HashMap<(ClaimId, Hash32), SignedDraft>>,
}

impl Signers {
	/// Signs drafts of a chain with this genesis hash, in tasks of `executor`.
	pub(super) fn new(keystore: KeystorePtr, genesis: Hash32, executor: SubscriptionTaskExecutor) -> Self {
		Self {
			keystore,
			genesis,
			executor,
			turn: tokio::sync::Mutex::default(),
			drafts: Mutex::default(),
		}
	}

	/// Returns whether this node holds an inference key.
	pub(super) fn holds(&self, key: &Hash32) -> bool {
		self.keystore.has_keys(&[(key.to_vec(), INFERENCE_KEY_TYPE)])
	}

	/// Follows a claim's draft. Whoever comes first has it signed, to its end.
	pub(super) fn follow(
		self: &Arc<Self>,
		claim: ClaimId,
		key: Hash32,
		draft: impl FnOnce() -> Option<watch::Receiver<Draft>>,
	) -> Option<SignedDraft> {
		let mut drafts = self.drafts.lock();
		if let Some(known) = drafts.get(&(claim, key)).filter(|known| known.is_kept()) {
			return Some(known.clone());
		}
		let draft = draft()?;
		// No more than there are drafts.
		drafts.retain(|_, known| known.is_kept());
		let (sender, signed) = watch::channel(Signed::default());
		let known = SignedDraft {
			draft: draft.clone(),
			signed,
		};
		drafts.insert((claim, key), known.clone());
		let sign = self.clone().sign_to_the_end(claim, key, draft, sender);
		self.executor.spawn("stream-signer", Some("rpc"), sign.boxed());
		Some(known)
	}

	/// Returns how many drafts are known.
	#[cfg(test)]
	pub(super) fn kept(&self) -> usize {
		self.drafts.lock().len()
	}

	async fn sign_to_the_end(
		self: Arc<Self>,
		claim: ClaimId,
		key: Hash32,
		mut draft: watch::Receiver<Draft>,
		signed: watch::Sender<Signed>,
	) {
		let mut chain = StreamChain::new(&self.genesis, &claim);
		let ended = loop {
			let (has_more, state) = {
				let draft = draft.borrow_and_update();
				(draft.tokens.len() > chain.tokens as usize, draft.state)
			};
			match (state, has_more) {
				(DraftState::Failed, _) => break EndReason::Failed,
				(_, true) => {
					if self
						.sign_next(&claim, &key, &draft, &mut chain, &signed)
						.await
						.is_none()
					{
						log::error!(target: LOG_TARGET, "The stream of claim {claim} ends: the keystore does not sign it");
						break EndReason::Failed;
					}
				}
				(DraftState::Complete, false) => break EndReason::Complete,
				(DraftState::Growing, false) => {
					if draft.changed().await.is_err() {
						break EndReason::Failed;
					}
				}
			}
		};
		signed.send_modify(|signed| signed.ended = Some(ended));
	}

	/// Signs the next chunk, as soon as it is this draft's turn, and rests. None if that fails.
	async fn sign_next(
		self: &Arc<Self>,
		claim: &ClaimId,
		key: &Hash32,
		draft: &watch::Receiver<Draft>,
		chain: &mut StreamChain,
		signed: &watch::Sender<Signed>,
	) -> Option<()> {
		let turn = self.turn.lock().await;
		let began = Instant::now();
		// What has come while others signed goes into the same chunk.
		let tokens: Vec<_> = {
			let draft = draft.borrow();
			let unsigned = draft.tokens.iter().skip(chain.tokens as usize);
			unsigned.take(MAX_CHUNK_TOKENS).cloned().collect()
		};
		chain.extend(&tokens);
		let mark = {
			let (signers, claim, key, chain) = (self.clone(), *claim, *key, *chain);
			let signed = on_blocking_thread(&self.executor, move || Ok(signers.sign(&claim, &key, chain))).await;
			signed.ok().flatten()?
		};
		signed.send_modify(|signed| signed.marks.push(mark));
		let took = began.elapsed();
		sleep(took.saturating_mul(REST).min(PACE)).await;
		drop(turn);
		if tokens.len() < MAX_CHUNK_TOKENS {
			sleep(PACE.saturating_sub(began.elapsed())).await;
		}
		Some(())
	}

	fn sign(&self, claim: &ClaimId, key: &Hash32, chain: StreamChain) -> Option<Mark> {
		let message = chain.message(&self.genesis, claim);
		let key = sr25519::Public::from_raw(*key);
		let signature = self.keystore.sr25519_sign(INFERENCE_KEY_TYPE, &key, &message);
		let signature = signature.ok().flatten()?;
		Some(Mark {
			chain,
			signature: Bytes(signature.0.to_vec()),
		})
	}
}
