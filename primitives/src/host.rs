//! The host interface between the worker in Wasm and the engine outside it: two host functions with buffers of fixed
//! size.
//!
//! Both return at once and are idempotent. Outside an offchain worker, and on a node without an engine, both return
//! `NotAvailable`; nothing here panics. Nodes must provide these functions forever, so there are only two and they pass
//! only bytes and numbers.

use crate::{
	task::{Answer, Work},
	ModelId, WorkId,
};
use alloc::vec;
use codec::{DecodeAll, Encode};
use sp_runtime_interface::{
	pass_by::{PassFatPointerAndRead, PassFatPointerAndWrite},
	runtime_interface,
};

#[cfg(feature = "std")]
use sp_externalities::ExternalitiesExt;

/// The longest SCALE-encoded [`Work`] or [`Answer`] that passes the host interface, in bytes.
pub const MAX_MESSAGE_BYTES: u32 = 256 * 1024;

/// What became of work that was handed to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EnqueueResult {
	/// There is no engine here, or the caller is not an offchain worker.
	NotAvailable = code::NOT_AVAILABLE,
	/// The work is queued or being computed.
	Pending = code::PENDING,
	/// The queue is full: try again later.
	Busy = code::BUSY,
	/// The engine has no result for this work: the model is missing or fails its check, or computing it failed.
	Abstained = code::ABSTAINED,
	/// The work was computed before: poll for its answer.
	Done = code::DONE,
}

/// What is known of a work item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollResult {
	/// There is no engine here, or the caller is not an offchain worker.
	NotAvailable,
	/// The work was never enqueued.
	Unknown,
	/// The work is queued or being computed.
	Pending,
	/// The engine has no result for this work: the model is missing or fails its check, or computing it failed.
	Abstained,
	/// The work is done. The answer is on the node's disk and stays the same after a restart.
	Ready(Answer),
}

/// Whether the engine can compute for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProbeResult {
	/// There is no engine here, or the caller is not an offchain worker.
	NotAvailable = code::NOT_AVAILABLE,
	/// The engine is starting.
	Pending = code::PENDING,
	/// The model is missing or fails its check.
	Abstained = code::ABSTAINED,
	/// The model is loaded and has passed its known-answer test.
	Serving = code::SERVING,
}

/// The numbers that pass the host interface. All three results share them; any other number is the length of an answer.
mod code {
	pub(super) const NOT_AVAILABLE: u32 = u32::MAX;
	pub(super) const UNKNOWN: u32 = u32::MAX - 1;
	pub(super) const PENDING: u32 = u32::MAX - 2;
	pub(super) const BUSY: u32 = u32::MAX - 3;
	pub(super) const ABSTAINED: u32 = u32::MAX - 4;
	pub(super) const SERVING: u32 = u32::MAX - 5;
	pub(super) const DONE: u32 = 0;
}

impl EnqueueResult {
	fn from_code(code: u32) -> Self {
		match code {
			code::PENDING => Self::Pending,
			code::BUSY => Self::Busy,
			code::ABSTAINED => Self::Abstained,
			code::DONE => Self::Done,
			_ => Self::NotAvailable,
		}
	}
}

impl PollResult {
	/// Returns the code, or writes the answer to `out` and returns its length.
	fn write(&self, out: &mut [u8]) -> u32 {
		let answer = match self {
			Self::NotAvailable => return code::NOT_AVAILABLE,
			Self::Unknown => return code::UNKNOWN,
			Self::Pending => return code::PENDING,
			Self::Abstained => return code::ABSTAINED,
			Self::Ready(answer) => answer.encode(),
		};
		match out.get_mut(..answer.len()) {
			Some(slot) => {
				slot.copy_from_slice(&answer);
				u32::try_from(answer.len()).unwrap_or(code::NOT_AVAILABLE)
			}
			None => code::NOT_AVAILABLE,
		}
	}

	/// Reads what [`Self::write`] has returned and written.
	fn read(code: u32, out: &[u8]) -> Self {
		if let Some(mut answer) = out.get(..code as usize) {
			return Answer::decode_all(&mut answer).map_or(Self::NotAvailable, Self::Ready);
		}
		match code {
			code::UNKNOWN => Self::Unknown,
			code::PENDING => Self::Pending,
			code::ABSTAINED => Self::Abstained,
			_ => Self::NotAvailable,
		}
	}
}

impl ProbeResult {
	fn from_code(code: u32) -> Self {
		match code {
			code::PENDING => Self::Pending,
			code::ABSTAINED => Self::Abstained,
			code::SERVING => Self::Serving,
			_ => Self::NotAvailable,
		}
	}
}

/// The node's side of the host interface: hands work to the engine and keeps its answers. All methods return at once.
pub trait InferenceBackend: Send + Sync {
	/// Takes work, if it is new and there is room in the queue.
	fn enqueue(&self, work: Work) -> EnqueueResult;
	/// Returns what is known of a work item.
	fn poll(&self, work: &WorkId) -> PollResult;
	/// Returns whether the engine can compute for this model now.
	fn probe(&self, model: &ModelId) -> ProbeResult;
	/// Returns how many of a thousand claims this node checks without having been drawn, and objects to where they are
	/// false.
	fn watch_permille(&self) -> u32;
}

#[cfg(feature = "std")]
sp_externalities::decl_extension! {
	/// The engine, registered for offchain workers only.
	pub struct InferenceExt(alloc::sync::Arc<dyn InferenceBackend>);
}

/// The two host functions.
#[runtime_interface]
pub trait Inference {
	/// Hands over a SCALE-encoded [`Work`]. Returns a code of [`EnqueueResult`].
	fn enqueue(&mut self, work: PassFatPointerAndRead<&[u8]>) -> u32 {
		let Some(ext) = self.extension::<InferenceExt>() else {
			return code::NOT_AVAILABLE;
		};
		if work.len() > MAX_MESSAGE_BYTES as usize {
			return code::NOT_AVAILABLE;
		}
		match Work::decode_all(&mut &work[..]) {
			Ok(work) => ext.0.enqueue(work) as u32,
			Err(_) => code::NOT_AVAILABLE,
		}
	}

	/// Looks up work (`kind` 0) or a model (`kind` 1) by its id, or how many of a thousand claims to watch (`kind` 2).
	/// Returns that number, a code of [`PollResult`] or [`ProbeResult`], or the length of the SCALE-encoded [`Answer`]
	/// written to `out`.
	fn poll(&mut self, kind: u32, id: PassFatPointerAndRead<&[u8]>, out: PassFatPointerAndWrite<&mut [u8]>) -> u32 {
		let Some(ext) = self.extension::<InferenceExt>() else {
			return code::NOT_AVAILABLE;
		};
		let Ok(id) = <[u8; 32]>::try_from(id) else {
			return code::NOT_AVAILABLE;
		};
		match kind {
			0 => ext.0.poll(&WorkId(id)).write(out),
			1 => ext.0.probe(&ModelId(id)) as u32,
			2 => ext.0.watch_permille().min(1_000),
			_ => code::NOT_AVAILABLE,
		}
	}
}

#[cfg(feature = "std")]
pub use inference::HostFunctions;

/// Hands work to the engine.
pub fn enqueue(work: &Work) -> EnqueueResult {
	EnqueueResult::from_code(inference::enqueue(&work.encode()))
}

/// Returns what is known of a work item.
pub fn poll(work: &WorkId) -> PollResult {
	let mut out = vec![0u8; MAX_MESSAGE_BYTES as usize];
	let code = inference::poll(0, &work.0, &mut out);
	PollResult::read(code, &out)
}

/// Returns whether the engine can compute for a model now.
pub fn probe(model: &ModelId) -> ProbeResult {
	ProbeResult::from_code(inference::poll(1, &model.0, &mut []))
}

/// Returns how many of a thousand claims this node checks without having been drawn.
pub fn watch_permille() -> u32 {
	match inference::poll(2, &[0; 32], &mut []) {
		permille @ 0..=1_000 => permille,
		_ => 0,
	}
}
