//! How the queries of a batch are shared out to launches.

use super::{
	kernels::{Attention, Task, KEYS, QUERIES},
	upload, Gpu, Memory,
};
use assay_numerics::kv::Segment;
use candle_core::Result;
use std::ops::Range;

/// Most bytes of scores and sums at once.
const SCRATCH: usize = 256 << 20;

/// The queries of a batch, cut into slices whose scores fit into scratch memory. It is the same for all layers.
pub(super) struct Slices {
	/// Page numbers of all sequences.
	pages: Memory,
	/// [`Task`]s of all slices.
	tasks: Memory,
	/// The keys that each row sees, `[rows, 2]`.
	keys: Memory,
	slices: Vec<Slice>,
	kv_heads: usize,
	group: usize,
	head_dim: usize,
}

struct Slice {
	tasks: Range<usize>,
	/// Numbers of its queries.
	queries: Range<usize>,
	/// The tiles that any of them sees.
	tiles: Range<usize>,
}

impl Slices {
	/// Shares out the rows of the segments, which cover the batch in order. `shape`: heads, key heads, length of a
	/// head.
	pub(super) fn new(
		gpu: &dyn Gpu,
		segments: &[Segment<'_>],
		window: Option<usize>,
		(heads, kv_heads, head_dim): (usize, usize, usize),
	) -> Result<Self> {
		let group = heads.checked_div(kv_heads).unwrap_or(0).max(1);
		let (mut pages, mut keys, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
		for segment in segments {
			let first_page = pages.len() as u32;
			pages.extend(segment.pages.iter().map(|page| page.index() as u32));
			let seen = |row: usize| {
				let position = segment.start + row - segment.rows.start;
				let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
				[first as u32, position as u32 + 1]
			};
			keys.extend(segment.rows.clone().flat_map(seen));
			let queries = segment.rows.start * group..segment.rows.end * group;
			for first in queries.clone().step_by(QUERIES) {
				let last = queries.end.min(first + QUERIES) - 1;
				tasks.push(Task {
					first: first as u32,
					count: (last + 1 - first) as u32,
					pages: first_page,
					begin: seen(first / group)[0],
					end: seen(last / group)[1],
				});
			}
		}
		let mut all = Self {
			pages: upload(gpu, bytemuck::cast_slice(&pages))?,
			tasks: upload(gpu, bytemuck::cast_slice(&tasks))?,
			keys: upload(gpu, bytemuck::cast_slice(&keys))?,
			slices: Vec::new(),
			kv_heads,
			group,
			head_dim,
		};
		for (i, task) in tasks.iter().enumerate() {
			let queries = task.first as usize..(task.first + task.count) as usize;
			let tiles = task.begin as usize / KEYS..(task.end as usize).div_ceil(KEYS);
			let with = all.slices.last().map(|last| Slice {
				tasks: last.tasks.start..i + 1,
				queries: last.queries.start..queries.end,
				tiles: last.tiles.start.min(tiles.start)..last.tiles.end.max(tiles.end),
			});
			match (with, all.slices.last_mut()) {
				(Some(with), Some(last)) if all_bytes(&with, kv_heads, head_dim) <= SCRATCH => *last = with,
				_ => all.slices.push(Slice {
					tasks: i..i + 1,
					queries,
					tiles,
				}),
			}
		}
		Ok(all)
	}

	/// Scratch memory that the largest slice takes.
	pub(super) fn scratch_bytes(&self) -> usize {
		let bytes = |slice| all_bytes(slice, self.kv_heads, self.head_dim);
		self.slices.iter().map(bytes).max().unwrap_or(0)
	}

	/// Launches every slice. `all` has what they share; scratch memory begins at `scratch`.
	pub(super) fn launch(&self, gpu: &dyn Gpu, all: Attention, scratch: u64) -> Result<()> {
		for slice in &self.slices {
			let places = slice.queries.len() * self.kv_heads * slice.tiles.len();
			let largest = scratch + (places * KEYS * 4) as u64;
			let arguments = Attention {
				pages: self.pages.address,
				tasks: self.tasks.address + (slice.tasks.start * std::mem::size_of::<Task>()) as u64,
				keys: self.keys.address,
				scores: scratch,
				largest,
				sums: largest + (places * 4) as u64,
				base: slice.queries.start as u32,
				tiles: slice.tiles.len() as u32,
				first_tile: slice.tiles.start as u32,
				kv_heads: self.kv_heads as u32,
				group: self.group as u32,
				head_dim: self.head_dim as u32,
				..all
			};
			let launches = arguments.launches(slice.tasks.len() as u32, slice.queries.len() as u32);
			for launch in &launches {
				gpu.launch(launch, bytemuck::bytes_of(&arguments))?;
			}
		}
		Ok(())
	}
}

/// Bytes of a slice's scores, largest scores and sums.
fn all_bytes(slice: &Slice, kv_heads: usize, head_dim: usize) -> usize {
	slice.queries.len() * kv_heads * slice.tiles.len() * (KEYS + 1 + 1 + head_dim) * 4
}
