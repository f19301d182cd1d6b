//! The door between the worker in Wasm and the engine outside it: two host functions with buffers of fixed size.
//!
//! Both return at once and are idempotent. Outside an offchain worker, and on a node without an engine, both answer
//! [`Polled::NotAvailable`]; nothing here panics. Nodes must carry these functions for ever, so there are only two and
//! they pass only bytes and numbers.

use crate::{
	task::{Answer, Task},
	ModelId, TaskId,
};
use alloc::vec;
use codec::{DecodeAll, Encode};
use sp_runtime_interface::{
	pass_by::{PassFatPointerAndRead, PassFatPointerAndWrite},
	runtime_interface,
};

#[cfg(feature = "std")]
use sp_externalities::ExternalitiesExt;

/// Longest SCALE-encoded [`Task`] or [`Answer`] that passes the door.
pub const MAX_MESSAGE_BYTES: u32 = 48 * 1024;

/// What the engine says of a task or a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
	/// No engine here, or not inside an offchain worker.
	NotAvailable,
	/// The engine has never heard of it.
	Unknown,
	/// Queued or being computed.
	Pending,
	/// The queue is full: ask again later.
	Busy,
	/// The engine will not vote on this task: the model is missing or fails its check, or computing it failed.
	Abstained,
	/// The model is loaded and has passed its known-answer test.
	Serving,
	/// The task is done. The answer is on the node's disk and stays the same after a restart.
	Ready(Answer),
}

mod code {
	pub(super) const NOT_AVAILABLE: u32 = u32::MAX;
	pub(super) const UNKNOWN: u32 = u32::MAX - 1;
	pub(super) const PENDING: u32 = u32::MAX - 2;
	pub(super) const BUSY: u32 = u32::MAX - 3;
	pub(super) const ABSTAINED: u32 = u32::MAX - 4;
	pub(super) const SERVING: u32 = u32::MAX - 5;
}

impl Polled {
	fn code(&self) -> u32 {
		match self {
			Self::NotAvailable => code::NOT_AVAILABLE,
			Self::Unknown => code::UNKNOWN,
			Self::Pending => code::PENDING,
			Self::Busy => code::BUSY,
			Self::Abstained => code::ABSTAINED,
			Self::Serving => code::SERVING,
			Self::Ready(_) => 0,
		}
	}

	fn from_code(code: u32) -> Self {
		match code {
			code::UNKNOWN => Self::Unknown,
			code::PENDING => Self::Pending,
			code::BUSY => Self::Busy,
			code::ABSTAINED => Self::Abstained,
			code::SERVING => Self::Serving,
			_ => Self::NotAvailable,
		}
	}
}

/// What stands behind the door on a node: hands tasks to the engine and remembers its answers.
pub trait InferenceBackend: Send + Sync {
	/// Takes a task, if it is new and there is room. Returns at once.
	fn enqueue(&self, task: Task) -> Polled;
	/// What is known of a task. Returns at once.
	fn poll(&self, task: &TaskId) -> Polled;
	/// [`Polled::Serving`] if the engine can vote on jobs of this model now.
	fn probe(&self, model: &ModelId) -> Polled;
}

#[cfg(feature = "std")]
sp_externalities::decl_extension! {
	/// The engine, registered for offchain workers only.
	pub struct InferenceExt(alloc::sync::Arc<dyn InferenceBackend>);
}

/// The two host functions.
#[runtime_interface]
pub trait Inference {
	/// Hands over a SCALE-encoded [`Task`]. Returns a code of [`Polled`].
	fn enqueue(&mut self, task: PassFatPointerAndRead<&[u8]>) -> u32 {
		let Some(ext) = self.extension::<InferenceExt>() else {
			return code::NOT_AVAILABLE;
		};
		if task.len() > MAX_MESSAGE_BYTES as usize {
			return code::NOT_AVAILABLE;
		}
		match Task::decode_all(&mut &task[..]) {
			Ok(task) => ext.0.enqueue(task).code(),
			Err(_) => code::NOT_AVAILABLE,
		}
	}

	/// Asks for a task by its id, or for a model by its id (`kind` 0 and 1). Returns a code of [`Polled`], or the length of the
	/// SCALE-encoded [`Answer`] written to `out`.
	fn poll(&mut self, kind: u32, id: PassFatPointerAndRead<&[u8]>, out: PassFatPointerAndWrite<&mut [u8]>) -> u32 {
		let Some(ext) = self.extension::<InferenceExt>() else {
			return code::NOT_AVAILABLE;
		};
		let Ok(id) = <[u8; 32]>::try_from(id) else {
			return code::NOT_AVAILABLE;
		};
		let polled = match kind {
			0 => ext.0.poll(&TaskId(id)),
			1 => ext.0.probe(&ModelId(id)),
			_ => Polled::NotAvailable,
		};
		let Polled::Ready(answer) = polled else {
			return polled.code();
		};
		let bytes = answer.encode();
		match out.get_mut(..bytes.len()) {
			Some(slot) => {
				slot.copy_from_slice(&bytes);
				u32::try_from(bytes.len()).unwrap_or(code::NOT_AVAILABLE)
			}
			None => code::NOT_AVAILABLE,
		}
	}
}

#[cfg(feature = "std")]
pub use inference::HostFunctions;

/// Hands a task to the engine.
pub fn enqueue(task: &Task) -> Polled {
	Polled::from_code(inference::enqueue(&task.encode()))
}

/// Asks what is known of a task.
pub fn poll(task: &TaskId) -> Polled {
	let mut out = vec![0u8; MAX_MESSAGE_BYTES as usize];
	let result = inference::poll(0, &task.0, &mut out);
	match out.get(..result as usize) {
		Some(mut bytes) => Answer::decode_all(&mut bytes).map_or(Polled::NotAvailable, Polled::Ready),
		None => Polled::from_code(result),
	}
}

/// Asks whether the engine can vote on jobs of a model now.
pub fn probe(model: &ModelId) -> Polled {
	Polled::from_code(inference::poll(1, &model.0, &mut []))
}
