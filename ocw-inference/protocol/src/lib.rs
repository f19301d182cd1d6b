//! The messages between a node and its engine: SCALE in length-delimited frames, over a Unix socket that is the engine's
//! standard input; and what the node reads from the engine's exit code and standard error.

mod byte_size;
pub mod process;
mod sandbox;

pub use assay_primitives::Work;
pub use byte_size::ByteSize;
pub use sandbox::{Protection, SandboxMode, SandboxStatus};

use assay_primitives::{stream::StreamToken, Finding, ModelId, Output, TraceRoot, WorkId};
use codec::{Decode, DecodeAll, Encode};
use serde::{Deserialize, Serialize};
use tokio_util::codec::LengthDelimitedCodec;

/// Largest frame.
pub const MAX_FRAME_BYTES: usize = 1 << 20;
/// Longest name of a model directory, in bytes.
pub const MAX_DIRECTORY_NAME: usize = 255;
/// Most work items that an engine accepts before it has answered the first.
pub const MAX_QUEUE: usize = 64;

/// A message from the node.
// A handful are alive at a time; a box would only hide the work behind a pointer.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
	/// Do this work and answer it once, with its id. An id that is in flight already is ignored.
	#[codec(index = 0)]
	Run {
		/// Comes back with the result.
		id: WorkId,
		/// What to do.
		work: Work,
	},
	/// Heartbeat: answered at once, also during work.
	#[codec(index = 1)]
	Ping(u64),
	/// Stop this work: its result is no longer needed. Work in flight is answered with an abstention, unless it's done;
	/// other ids are ignored.
	#[codec(index = 2)]
	Cancel {
		/// Its id.
		id: WorkId,
	},
	/// Serve the model of a directory: read and test it while others serve, and answer once, with [`Response::Loaded`] or
	/// [`Response::Refused`].
	#[codec(index = 3)]
	Load {
		/// Its name in the directory of models; see [`is_directory_name`].
		directory: String,
	},
	/// Take no more work for the model of a directory, end what there is, and answer once, with [`Response::Unloaded`].
	#[codec(index = 4)]
	Unload {
		/// The directory's name.
		directory: String,
	},
}

/// A message from the engine.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Response {
	/// The first message: it takes work.
	#[codec(index = 0)]
	Ready {
		/// The models that it serves already; a node's engine begins with none.
		models: Vec<ServedModel>,
		/// What has confined it since before it read the first model.
		sandbox: SandboxStatus,
	},
	/// A work item is done.
	#[codec(index = 1)]
	Done {
		/// Its id.
		id: WorkId,
		/// Its result.
		result: WorkResult,
	},
	/// Answer to [`Request::Ping`], with its number.
	#[codec(index = 2)]
	Pong(u64),
	/// An answer in the making has grown. What an engine sends again after it began anew is the same from the first
	/// token on.
	#[codec(index = 3)]
	Progress {
		/// The work item's id.
		id: WorkId,
		/// How many tokens were reported before.
		first: u32,
		/// The tokens since, at most [`MAX_CHUNK_TOKENS`](assay_primitives::stream::MAX_CHUNK_TOKENS).
		tokens: Vec<StreamToken>,
	},
	/// The model of a directory has reproduced its known answer and takes work.
	#[codec(index = 4)]
	Loaded {
		/// The directory's name.
		directory: String,
		/// Its model.
		model: ServedModel,
	},
	/// A directory is not served.
	#[codec(index = 5)]
	Refused {
		/// Its name.
		directory: String,
		/// Why, and what to do about it.
		reason: String,
	},
	/// The last work of a directory's model has ended.
	#[codec(index = 6)]
	Unloaded {
		/// The directory's name.
		directory: String,
	},
}

/// Returns whether a name is that of a model directory: of one directory, and neither hidden nor that of an import that goes on.
pub fn is_directory_name(name: &str) -> bool {
	let plain = !name.contains(['/', '\0']) && (1..=MAX_DIRECTORY_NAME).contains(&name.len());
	plain && !name.starts_with('.') && !name.ends_with(".partial")
}

/// A model that an engine serves. In JSON, as `assay_engineStatus` returns it, its fields are in camel case.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServedModel {
	/// Its id.
	pub id: ModelId,
	/// Its name for people.
	pub name: String,
	/// Parameter count.
	pub parameters: u64,
	/// Milliseconds that reading, checking and testing it took.
	pub load_ms: u64,
}

/// The result of a work item.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum WorkResult {
	/// An answer was made.
	#[codec(index = 0)]
	Executed {
		/// The answer.
		output: Output,
		/// Root over every row that made it.
		trace_root: TraceRoot,
	},
	/// An answer was checked.
	#[codec(index = 1)]
	Verified {
		/// What was found of it.
		finding: Finding,
	},
	/// The engine gives no result.
	#[codec(index = 2)]
	Abstained {
		/// Why, for the log.
		reason: String,
	},
}

/// The framing of both directions: a big-endian u32 length, then that many bytes.
pub fn framing() -> LengthDelimitedCodec {
	LengthDelimitedCodec::builder()
		.length_field_type::<u32>()
		.max_frame_length(MAX_FRAME_BYTES)
		.new_codec()
}

/// Reads a whole frame as one message; bytes left over are an error.
pub fn decode<T: Decode>(frame: &[u8]) -> Result<T, codec::Error> {
	T::decode_all(&mut &frame[..])
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_model_directory_is_one_that_is_complete_and_in_its_place() {
		for name in ["assay-demo", "Qwen 2.5", "a..b", "modèle", &"x".repeat(255)] {
			assert!(is_directory_name(name), "{name}");
		}
		for name in [
			"",
			".",
			"..",
			".assay-demo.7",
			"a/b",
			"/etc",
			"../keys",
			"demo.partial",
			"a\0b",
			&"x".repeat(256),
		] {
			assert!(!is_directory_name(name), "{name}");
		}
	}
}
