use super::*;

const WIDTH: usize = 3;
const KV_WIDTH: usize = 4;

/// Rows whose numbers say where they are: of a layer, or of the norm.
fn rows(stream: usize, count: usize) -> Vec<f32> {
	(0..count * WIDTH).map(|i| (stream * 10_000 + i) as f32).collect()
}

fn kv(layer: usize, count: usize) -> Vec<u16> {
	(0..count * KV_WIDTH).map(|i| (layer * 5_000 + i) as u16).collect()
}

/// Calls `f` with the rows of a batch.
fn with_rows<R>(layers: usize, count: usize, f: impl FnOnce(&TraceRows<'_>) -> R) -> R {
	let residual: Vec<_> = (0..layers).map(|layer| rows(layer, count)).collect();
	let kv: Vec<_> = (0..layers).map(|layer| kv(layer, count)).collect();
	let norm = rows(layers, count);
	f(&TraceRows {
		residual: residual.iter().map(Vec::as_slice).collect(),
		kv: kv.iter().map(Vec::as_slice).collect(),
		norm: &norm,
		width: WIDTH,
		kv_width: KV_WIDTH,
	})
}

fn trace(layers: usize, count: usize) -> Trace {
	let mut trace = Trace::new(layers);
	with_rows(layers, count, |rows| trace.push(rows, 0..count));
	trace
}

fn derived(context: &str, bytes: &[u8]) -> Hash {
	blake3::derive_key(context, bytes)
}

/// The root as §6 words it, from the rows.
fn by_the_book(layers: usize, count: usize) -> Hash {
	let chunks = count.div_ceil(CHUNK);
	let cut = |chunk: usize, width: usize| chunk * CHUNK * width..count.min((chunk + 1) * CHUNK) * width;
	let rows_leaf = |stream: usize, chunk: usize| {
		let bytes: Vec<u8> = rows(stream, count)[cut(chunk, WIDTH)]
			.iter()
			.flat_map(|v| v.to_le_bytes())
			.collect();
		derived("assay/v2/trace-leaf", &bytes)
	};
	let mut level = Vec::new();
	for chunk in 0..chunks {
		for layer in 0..layers {
			level.push(rows_leaf(layer, chunk));
			let kv = &kv(layer, count)[cut(chunk, KV_WIDTH)];
			let bytes: Vec<u8> = kv.iter().flat_map(|v| v.to_le_bytes()).collect();
			level.push(derived("assay/v2/trace-kv", &bytes));
		}
	}
	level.extend((0..chunks).map(|chunk| rows_leaf(layers, chunk)));
	while level.len() > 1 {
		let mut above = Vec::new();
		for pair in level.chunks(2) {
			above.push(if pair.len() == 2 {
				derived("assay/v2/trace-node", &pair.concat())
			} else {
				pair[0]
			});
		}
		level = above;
	}
	let mut bytes = Vec::new();
	bytes.extend((count as u32).to_le_bytes());
	bytes.extend((layers as u32).to_le_bytes());
	bytes.extend(level.first().copied().unwrap_or_default());
	derived("assay/v2/trace-root", &bytes)
}

/// All leaves of a trace, in the tree's order.
fn all_leaves(trace: &Trace) -> Vec<(Leaf, Hash)> {
	let shape = trace.shape();
	let mut leaves = Vec::new();
	for chunk in 0..shape.chunks() {
		let hashes = trace.chunk_so_far(chunk).unwrap();
		for layer in 0..shape.layers as usize {
			leaves.push((Leaf::Residual { chunk, layer }, hashes[2 * layer]));
			leaves.push((Leaf::Kv { chunk, layer }, hashes[2 * layer + 1]));
		}
	}
	let norm = |chunk| trace.chunk_so_far(chunk).unwrap().pop().unwrap();
	leaves.extend((0..shape.chunks()).map(|chunk| (Leaf::Norm { chunk }, norm(chunk))));
	leaves
}

#[test]
fn the_root_is_the_one_by_the_book() {
	for layers in [0, 1, 2, 5] {
		for count in [0, 1, 31, 32, 33, 96, 161] {
			assert_eq!(
				trace(layers, count).root(),
				by_the_book(layers, count),
				"{layers} layers, {count} rows"
			);
		}
	}
}

#[test]
fn the_root_does_not_depend_on_how_rows_come() {
	let whole = trace(2, 100);
	for step in [1, 7, 32, 33] {
		let mut pieces = Trace::new(2);
		with_rows(2, 100, |rows| {
			for from in (0..100).step_by(step) {
				pieces.push(rows, from..100.min(from + step));
			}
		});
		assert_eq!(pieces.root(), whole.root(), "by {step}");
	}
	// Nor on whether chunks come as rows or as leaves.
	let mut reused = Trace::new(2);
	for chunk in 0..3 {
		let leaves = whole.chunk(chunk).unwrap();
		assert_eq!((leaves.len(), Some(&leaves)), (5, whole.chunk_so_far(chunk).as_ref()));
		assert!(reused.push_chunk(&leaves));
	}
	assert!(whole.chunk(3).is_none() && whole.chunk_so_far(3).is_some() && whole.chunk_so_far(4).is_none());
	with_rows(2, 100, |rows| reused.push(rows, 96..100));
	assert_eq!(reused.root(), whole.root());
	assert!(!reused.push_chunk(&whole.chunk(0).unwrap()), "in the middle of a chunk");
	assert!(!Trace::new(3).push_chunk(&whole.chunk(0).unwrap()), "of another model");
}

#[test]
fn every_bit_of_rows_keys_and_values_is_in_the_root() {
	let root = trace(2, 40).root();
	for stream in 0..5 {
		for row in [0, 31, 32, 39] {
			let mut changed = Trace::new(2);
			with_rows(2, 40, |rows| {
				let mut rows = rows.clone();
				let (mut floats, mut halves) = (Vec::new(), Vec::new());
				match (stream / 2, stream % 2) {
					(2, _) => {
						floats.extend_from_slice(rows.norm);
						floats[row * WIDTH] = f32::from_bits(floats[row * WIDTH].to_bits() ^ 1);
						rows.norm = &floats;
					}
					(layer, 0) => {
						floats.extend_from_slice(rows.residual[layer]);
						floats[row * WIDTH + 2] = -floats[row * WIDTH + 2];
						rows.residual[layer] = &floats;
					}
					(layer, _) => {
						halves.extend_from_slice(rows.kv[layer]);
						halves[row * KV_WIDTH + 3] ^= 0x8000;
						rows.kv[layer] = &halves;
					}
				}
				changed.push(&rows, 0..40);
			});
			assert_ne!(changed.root(), root, "stream {stream}, row {row}");
		}
	}
}

#[test]
fn single_leaves_are_those_of_the_trace() {
	let trace = trace(2, 40);
	let leaves = trace.chunk_so_far(1).unwrap();
	assert_eq!(leaves[2], residual_leaf(&rows(1, 40)[32 * WIDTH..]));
	assert_eq!(leaves[3], kv_leaf(&kv(1, 40)[32 * KV_WIDTH..]));
	assert_eq!(leaves[4], residual_leaf(&rows(2, 40)[32 * WIDTH..]));
}

#[test]
fn every_leaf_has_a_path_and_no_other_hash_has() {
	for (layers, count) in [(1, 1), (1, 33), (2, 64), (3, 100), (4, 300)] {
		let trace = trace(layers, count);
		let (root, shape) = (trace.root(), trace.shape());
		for (leaf, hash) in all_leaves(&trace) {
			let path = trace.path(leaf).unwrap();
			assert!(
				path.len() <= 7 && verify_path(&root, shape, leaf, &hash, &path),
				"{leaf:?}"
			);
			let mut other = hash;
			other[31] ^= 0x80;
			assert!(!verify_path(&root, shape, leaf, &other, &path));
			for i in 0..path.len() {
				let mut wrong = path.clone();
				wrong[i][0] ^= 1;
				assert!(!verify_path(&root, shape, leaf, &hash, &wrong));
			}
			let longer = [&path[..], &[Hash::default()]].concat();
			assert!(!verify_path(&root, shape, leaf, &hash, &longer));
			assert!(path.is_empty() || !verify_path(&root, shape, leaf, &hash, &path[1..]));
			for rows in [0, shape.rows - 1, shape.rows + 1, shape.rows + 32, u32::MAX] {
				assert!(!verify_path(&root, TraceShape { rows, ..shape }, leaf, &hash, &path));
			}
			for layers in [0, shape.layers + 1, u32::MAX] {
				assert!(!verify_path(&root, TraceShape { layers, ..shape }, leaf, &hash, &path));
			}
		}
	}
}

#[test]
fn a_leaf_does_not_stand_for_another_place() {
	let trace = trace(2, 70);
	let leaves = all_leaves(&trace);
	for (leaf, hash) in &leaves {
		let path = trace.path(*leaf).unwrap();
		for (other, _) in leaves.iter().filter(|(other, _)| other != leaf) {
			assert!(
				!verify_path(&trace.root(), trace.shape(), *other, hash, &path),
				"{leaf:?} as {other:?}"
			);
		}
	}
	for absent in [
		Leaf::Residual { chunk: 3, layer: 0 },
		Leaf::Residual { chunk: 0, layer: 2 },
		Leaf::Kv {
			chunk: usize::MAX,
			layer: 0,
		},
		Leaf::Kv {
			chunk: 0,
			layer: usize::MAX / 4,
		},
		Leaf::Norm { chunk: 3 },
	] {
		assert!(trace.path(absent).is_none(), "{absent:?}");
		assert!(!verify_path(&trace.root(), trace.shape(), absent, &leaves[0].1, &[]));
	}
}

#[test]
fn any_set_of_leaves_has_one_proof() {
	let trace = trace(2, 170);
	let all = all_leaves(&trace);
	let (root, shape) = (trace.root(), trace.shape());
	let mut seed = 1u32;
	for round in 0..200 {
		let chosen: Vec<_> = (all.iter().copied())
			.filter(|_| {
				seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
				(seed >> 16) % 7 <= round % 7
			})
			.collect();
		let places: Vec<_> = chosen.iter().map(|(leaf, _)| *leaf).collect();
		let Some(proof) = trace.proof(&places) else {
			assert!(chosen.is_empty());
			continue;
		};
		assert!(verify_proof(&root, shape, &chosen, &proof), "{places:?}");
		assert!(proof.len() <= all.len() - chosen.len());
		let mut wrong = chosen.clone();
		wrong[round as usize % chosen.len()].1[7] ^= 4;
		assert!(!verify_proof(&root, shape, &wrong, &proof));
		if let [first, second, ..] = &mut wrong[..] {
			core::mem::swap(first, second);
			assert!(!verify_proof(&root, shape, &wrong, &proof), "out of order");
		}
	}
	assert!(
		trace.proof(&[all[3].0, all[3].0]).is_none(),
		"{}",
		format!("{:?} twice", all[3].0)
	);
	assert!(trace.proof(&[all[4].0, all[3].0]).is_none());
	assert!(!verify_proof(&root, shape, &[], &[]));
	// A trace without rows shows that it has none.
	let empty = Trace::new(2);
	assert!(verify_proof(&empty.root(), empty.shape(), &[], &[]));
	assert!(!verify_proof(&empty.root(), shape, &[], &[]) && !verify_proof(&root, empty.shape(), &[], &[]));
	assert!(!verify_proof(&empty.root(), empty.shape(), &[], &[Hash::default()]));
}
