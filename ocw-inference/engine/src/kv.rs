//! Where keys and values are stored: pages in this machine's memory, or in a GPU's.

use crate::gpu::Memory;
use assay_numerics::kv::Pool;

/// A pool of pages, wherever they are stored.
pub type KvPool = Pool<KvStorage>;

/// The pages of a pool, f16 bits.
pub enum KvStorage {
	/// In this machine's memory.
	Host(Vec<u16>),
	/// In the memory of a GPU.
	Gpu(Memory),
}

impl KvStorage {
	/// Returns the memory of the GPU that the pages are in; none if they are in this machine's.
	pub(crate) fn gpu(&self) -> Option<&Memory> {
		match self {
			Self::Host(_) => None,
			Self::Gpu(memory) => Some(memory),
		}
	}
}

impl AsRef<[u16]> for KvStorage {
	/// Returns all elements; none if they are in a GPU's memory.
	fn as_ref(&self) -> &[u16] {
		match self {
			Self::Host(all) => all,
			Self::Gpu(_) => &[],
		}
	}
}

impl AsMut<[u16]> for KvStorage {
	/// Returns all elements; none if they are in a GPU's memory.
	fn as_mut(&mut self) -> &mut [u16] {
		match self {
			Self::Host(all) => all,
			Self::Gpu(_) => &mut [],
		}
	}
}
