//! Reading and naming the files of a model folder: sizes are bounded before a byte is read.

use crate::{Error, Result};
use assay_primitives::Hash32;
use std::{fs, io::Read, path::Path};

/// Largest `manifest.json` and `config.json`.
pub const MAX_JSON_BYTES: u64 = 16 << 20;
/// Largest `tokenizer.json`.
pub const MAX_TOKENIZER_BYTES: u64 = 64 << 20;
/// Largest chat template.
pub const MAX_TEMPLATE_BYTES: u64 = 64 << 10;

/// The manifest's file.
pub const MANIFEST: &str = "manifest.json";
/// The architecture's numbers.
pub const CONFIG: &str = "config.json";
/// The weights.
pub const WEIGHTS: &str = "model.safetensors";
/// The tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// The chat template.
pub const TEMPLATE: &str = "chat_template.jinja";

/// Reads a whole file that may have at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
	let file = fs::File::open(path).map_err(Error::io(path))?;
	let bytes = file.metadata().map_err(Error::io(path))?.len();
	if bytes > limit {
		return Err(Error::TooLarge {
			path: path.to_owned(),
			bytes,
			limit,
		});
	}
	let mut content = Vec::new();
	// The size may change under our feet; the limit doesn't.
	file.take(limit).read_to_end(&mut content).map_err(Error::io(path))?;
	Ok(content)
}

/// Writes a whole file.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
	fs::write(path, content).map_err(Error::io(path))
}

/// BLAKE3 of a file's or tensor's bytes: the root of its bao tree.
pub fn root(content: &[u8]) -> Hash32 {
	*blake3::hash(content).as_bytes()
}

/// Refuses content whose root isn't the one in the manifest.
pub fn check_root(part: &str, found: &Hash32, expected: &Hash32) -> Result<()> {
	if found == expected {
		return Ok(());
	}
	Err(Error::Root {
		part: part.to_owned(),
		found: hex::encode(found),
		expected: hex::encode(expected),
	})
}
