//! Section 6: leaves, roots and paths of the trace.

use super::{compare, floats, stream, Cases};
use assay_numerics::trace::{verify_path, Leaf, Trace, TraceRows};
use serde_json::{json, Value};

/// Rows of a trace that anyone can make.
struct Made {
	residual: Vec<Vec<f32>>,
	kv: Vec<Vec<u16>>,
	norm: Vec<f32>,
}

#[test]
fn traces_give_the_golden_leaves_and_paths() {
	let mut cases = Cases::new();
	let (width, kv) = (24, 8);
	for (name, layers, rows) in [
		("nothing", 3, 0),
		("a row", 2, 1),
		("a chunk", 2, 32),
		("a chunk and a row", 3, 33),
		("three chunks", 5, 96),
		("no layer", 0, 70),
	] {
		let key = |part: &str| format!("traces/{name}/{part}");
		let halves = |layer: usize| -> Vec<u16> {
			let bytes = stream(&key(&format!("kv/{layer}")), 2 * rows * 2 * kv);
			bytes
				.chunks_exact(2)
				.map(|b| u16::from_le_bytes([b[0], b[1]]))
				.collect()
		};
		let made = Made {
			residual: (0..layers)
				.map(|layer| floats(&key(&format!("x/{layer}")), rows * width, 0))
				.collect(),
			kv: (0..layers).map(halves).collect(),
			norm: floats(&key("n"), rows * width, 0),
		};
		let mut trace = Trace::new(layers);
		let all = TraceRows {
			residual: made.residual.iter().map(Vec::as_slice).collect(),
			kv: made.kv.iter().map(Vec::as_slice).collect(),
			norm: &made.norm,
			width,
			kv_width: 2 * kv,
		};
		trace.push(&all, 0..rows);
		cases.insert(
			name.into(),
			json!({
				"layers": layers, "rows": rows, "width": width, "kv width": kv, "root": hex::encode(trace.root()),
				"leaves": leaves(&trace, layers).iter().map(|(_, _, hash)| hex::encode(hash)).collect::<Vec<_>>(),
				"paths": paths(&trace, layers),
			}),
		);
	}
	compare("traces", &Value::Object(cases));
}

/// A leaf, what the files call it, and its hash.
type Named = (Leaf, Value, [u8; 32]);

/// All leaves in the order of the tree.
fn leaves(trace: &Trace, layers: usize) -> Vec<Named> {
	let chunks = trace.rows().div_ceil(32);
	let (mut cells, mut norms) = (Vec::new(), Vec::new());
	for chunk in 0..chunks {
		let hashes = trace.chunk_so_far(chunk).unwrap();
		for layer in 0..layers {
			let name = |kind: &str| json!({ "chunk": chunk, "layer": layer, "kind": kind });
			cells.push((Leaf::Residual { chunk, layer }, name("x"), hashes[2 * layer]));
			cells.push((Leaf::Kv { chunk, layer }, name("kv"), hashes[2 * layer + 1]));
		}
		norms.push((
			Leaf::Norm { chunk },
			json!({ "chunk": chunk, "kind": "n" }),
			hashes[2 * layers],
		));
	}
	cells.extend(norms);
	cells
}

/// The path of every leaf.
fn paths(trace: &Trace, layers: usize) -> Vec<Value> {
	let described = |(index, (leaf, mut name, hash)): (usize, Named)| {
		let path = trace.path(leaf).unwrap();
		assert!(verify_path(&trace.root(), trace.shape(), leaf, &hash, &path));
		name["index"] = json!(index);
		name["path"] = json!(path.iter().map(hex::encode).collect::<Vec<_>>());
		name
	};
	leaves(trace, layers).into_iter().enumerate().map(described).collect()
}
