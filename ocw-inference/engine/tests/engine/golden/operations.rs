//! Each operation on numbers that anyone can make.

use super::{bits, compare, floats, stream, Cases};
use crate::common::{config, options, write_source_of, Tiny};
use assay_import::{import, ImportOptions};
use assay_model_folder::{formats::Format, header::Header};
use assay_numerics::{
	activation::{erf, Gelu, SiluMul},
	attention::{Attention, Mask},
	exp::exp,
	format::{Group, MatrixFormat},
	kv::{PageId, PageShape, Pool, Segment, PAGE},
	linear::Linear,
	norm::{HeadNorm, LayerNorm, RmsNorm},
	packed::{Gather, PackedMatrix},
	residual::quantization_residual,
	rope::{Rope, RopeScaling, Tables},
	Isa, F32,
};
use half::f16;
use serde_json::{json, Value};
use std::{fs, ops::Range};

fn on_every_isa(key: &str, cases: impl Fn(Isa) -> Cases) {
	for isa in Isa::available() {
		compare(key, &Value::Object(cases(isa)));
	}
}

/// Runs an operation on slices: as many results as `out` says.
fn apply(out: usize, op: impl FnOnce(&mut [f32]) -> assay_numerics::Result<()>) -> Vec<f32> {
	let mut y = vec![f32::NAN; out];
	op(&mut y).unwrap();
	y
}

/// Every format, with the table of a matrix of this name.
fn formats(name: &str) -> [MatrixFormat; 6] {
	let table: Vec<i8> = stream(&format!("{name}/table"), 16)
		.into_iter()
		.map(|b| b as i8)
		.collect();
	let w8 = |group| MatrixFormat::W8 { group };
	let w4z = |group| MatrixFormat::W4z { group };
	let w4 = MatrixFormat::W4 {
		table: table.try_into().unwrap(),
	};
	[
		w8(Group::G32),
		w8(Group::G128),
		w4,
		w4z(Group::G32),
		w4z(Group::G64),
		w4z(Group::G128),
	]
}

/// Returns the zero points of rows, of which none is behind the last group.
pub(super) fn zero_points(mut bytes: Vec<u8>, format: MatrixFormat, width: usize) -> Vec<u8> {
	if format.groups(width) % 2 == 1 {
		for row in bytes.chunks_mut(format.zero_bytes(width)) {
			*row.last_mut().unwrap() &= 15;
		}
	}
	bytes
}

/// A matrix of bytes and of scales of every size, subnormal and negative ones among them.
fn matrix(name: &str, n: usize, k: usize, format: MatrixFormat) -> PackedMatrix {
	let part = |part: &str, bytes: usize| stream(&format!("{name}/{part}"), n * bytes);
	let scales: Vec<u8> = part("s", format.scale_bytes(k))
		.chunks_exact(2)
		.flat_map(|b| (u16::from_le_bytes([b[0], b[1]]) & 0x9FFF).to_le_bytes())
		.collect();
	let mut matrix = PackedMatrix::zeros(n, k, format).unwrap();
	matrix.put_weights(0, &part("w", format.weight_bytes(k))).unwrap();
	matrix.put_scales(0, &scales).unwrap();
	if let MatrixFormat::W4z { .. } = format {
		let zeros = zero_points(part("zero", format.zero_bytes(k)), format, k);
		matrix.put_zeros(0, &zeros).unwrap();
	}
	matrix
}

/// Sizes of a product: rows, k, n.
type Sizes = (usize, usize, usize);

#[test]
fn linear_gives_the_golden_bits() {
	on_every_isa("linear", |isa| {
		let mut cases = Cases::new();
		let w8 = MatrixFormat::W8_32;
		for (name, sizes, exponent, biased) in [
			("one", (1, 32, 1), 0, false),
			("odd", (3, 96, 41), 0, true),
			("rows", (33, 64, 5), 4, false),
			("deep", (2, 512, 33), -3, true),
			("tiny", (2, 64, 7), -130, false),
			("huge", (2, 64, 7), 120, false),
		] {
			cases.insert(name.into(), product(isa, name, sizes, (exponent, biased), w8));
		}
		// Rows for one tile of AMX and for several; widths that end with a short group, and with a whole one.
		for (size, sizes) in [("short", (2, 224, 35)), ("even", (3, 256, 33)), ("many", (40, 160, 70))] {
			for at in 0..formats("").len() {
				let name = format!("{}, {size}", formats("")[at]);
				let format = formats(&format!("linear/{name}/matrix"))[at];
				cases.insert(name.clone(), product(isa, &name, sizes, (1, size == "short"), format));
			}
		}
		for (name, x, w) in traps() {
			let scales = vec![f16::ONE; w.len() / 32];
			let weight = PackedMatrix::pack(&[(&w, &scales)], w.len()).unwrap();
			let op = Linear {
				weight: &weight,
				bias: None,
				isa,
			};
			let (y, k) = (bits(&apply(1, |y| op.apply(&x, y))), w.len());
			cases.insert(
				name.into(),
				json!({ "x": bits(&x), "w": hex::encode(w), "k": k, "y": y }),
			);
		}
		cases
	});
}

/// One case of [`linear_gives_the_golden_bits`]: a product, and the fine one.
fn product(isa: Isa, name: &str, (rows, k, n): Sizes, (exponent, biased): (i32, bool), format: MatrixFormat) -> Value {
	let key = |part: &str| format!("linear/{name}/{part}");
	let mut x = floats(&key("x"), rows * k, exponent);
	// The first row's first elements are zero, and the last element of all is far from its neighbors.
	x[..32].fill(0.0);
	*x.last_mut().unwrap() *= 64.0;
	let bias = biased.then(|| floats(&key("bias"), n, 0));
	let weight = matrix(&key("matrix"), n, k, format);
	let product = |bias| Linear {
		weight: &weight,
		bias,
		isa,
	};
	let plain = product(bias.as_deref());
	let mut case = json!({
		"rows": rows, "k": k, "n": n, "exponent": exponent, "bias": biased, "format": format.to_string(),
		"y": bits(&apply(rows * n, |y| plain.apply(&x, y))),
	});
	if biased {
		let rest = quantization_residual(&x, k, format);
		let mut fine = apply(rows * n, |y| product(None).apply(&x, y));
		plain.add_to(&rest, &mut fine).unwrap();
		case["fine"] = json!(bits(&fine));
	}
	case
}

/// Rows and weights of one output, with scales of one, where a mistake would go unseen among random numbers.
fn traps() -> [(&'static str, Vec<f32>, Vec<u8>); 3] {
	// Every quotient but the last lies in the middle between two integers.
	let mut ties: Vec<f32> = (0..32).map(|i| i as f32 - 15.5).collect();
	ties[31] = 127.0;
	// The second block's product lies a 2⁻³¹th above the middle between two f32: rounded to f64 first, it would lie in
	// it.
	let (mut x, mut w) = (vec![0f32; 64], vec![0u8; 64]);
	(x[0], w[0]) = (133_169_152.0, 127);
	x[32..35].fill(f32::from_bits(0x3FB8_B3E3));
	x[35] = f32::from_bits(0x3C3A_2833);
	w[32..36].copy_from_slice(&[127, 127, 100, 104]);
	// d is the least f32, and the largest quotient 190: only the bound makes it 127.
	let (mut least, mut one) = (vec![0f32; 32], vec![0u8; 32]);
	(least[0], least[1]) = (f32::from_bits(190), -f32::from_bits(189));
	(one[0], one[1]) = (1, 2);
	[
		("ties", ties, (1..33).collect()),
		("double rounding", x, w),
		("bound", least, one),
	]
}

#[test]
fn the_embedding_gives_the_golden_bits() {
	let (n, k, ids) = (70, 160, [0, 1, 31, 32, 69, 1]);
	let mut cases = Cases::new();
	for at in 0..formats("").len() {
		let name = formats("")[at].to_string();
		let key = format!("embedding/{name}");
		let weight = matrix(&key, n, k, formats(&key)[at]);
		let rows = Gather {
			ids: &ids,
			weight: &weight,
		};
		let y = bits(&rows.rows().unwrap());
		cases.insert(
			name.clone(),
			json!({ "n": n, "k": k, "ids": ids, "format": name, "y": y }),
		);
	}
	compare("embedding", &Value::Object(cases));
}

#[test]
fn norms_give_the_golden_bits() {
	on_every_isa("norm", |isa| {
		let mut cases = Cases::new();
		for (width, exponent, epsilon) in [
			(1, 0, 1e-5),
			(15, 0, 1e-5),
			(16, 3, 1e-6),
			(17, -60, 1e-5),
			(64, 40, 1e-5),
			(100, 0, 1e-12),
		] {
			let name = format!("width {width}");
			let key = |part: &str| format!("norm/{name}/{part}");
			let x = floats(&key("x"), 2 * width, exponent);
			let (w, b) = (floats(&key("w"), width, 1), floats(&key("b"), width, 1));
			let rms = RmsNorm {
				weight: &w,
				epsilon,
				isa,
			};
			let layer = LayerNorm {
				weight: &w,
				bias: &b,
				epsilon,
				isa,
			};
			let case = json!({
				"width": width, "exponent": exponent, "epsilon": bits(&[epsilon]),
				"rms_norm": bits(&apply(x.len(), |y| rms.apply(&x, y))), "layer_norm": bits(&apply(x.len(), |y| layer.apply(&x, y))),
			});
			cases.insert(name, case);
		}
		let (heads, kv_heads, head_dim) = (4, 2, 24);
		let width = (heads + 2 * kv_heads) * head_dim;
		let op = HeadNorm {
			q: &floats("norm/heads/q", head_dim, 1),
			k: &floats("norm/heads/k", head_dim, 1),
			heads,
			kv_heads,
			epsilon: 1e-6,
			isa,
		};
		let mut y = floats("norm/heads/x", 2 * width, 2);
		op.apply(&mut y, width).unwrap();
		cases.insert(
			"heads".into(),
			json!({ "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim, "epsilon": bits(&[1e-6]), "y": bits(&y) }),
		);
		cases
	});
}

/// Where functions of one number turn: zeros, borders of their pieces, the ends of f32.
fn special() -> Vec<f32> {
	let mut all = Vec::new();
	for v in [
		0.0,
		1e-45,
		1e-38,
		f32::MIN_POSITIVE,
		1e-8,
		0.346_573_6,
		0.927_734_4,
		0.927_734_4,
		1.0,
		2.0,
		4.0,
		4.000_000_5,
		9.3,
		17.0,
		87.0,
		87.336_54,
		87.336_55,
		88.0,
		88.722_83,
		88.722_84,
		88.8,
		88.800_01,
		100.0,
		103.0,
		103.278_93,
		103.972_08,
		104.0,
		104.1,
		1e30,
		f32::MAX,
		f32::INFINITY,
	] {
		all.extend([v, -v]);
	}
	all
}

#[test]
fn functions_of_one_number_give_the_golden_bits() {
	on_every_isa("functions", |isa| {
		let mut cases = Cases::new();
		for (name, x) in [
			("special", special()),
			("wide", floats("functions/wide", 200, 7)),
			("narrow", floats("functions/narrow", 200, 2)),
		] {
			let each = |f: fn(f32) -> f32| bits(&x.iter().map(|v| f(*v)).collect::<Vec<_>>());
			let gate: Vec<f32> = x.chunks(2).flat_map(|c| [c[0], c[1]]).collect();
			let case = json!({
				"x": bits(&x), "exp": each(exp), "erf": each(erf), "gelu": finite(&apply(x.len(), |y| Gelu { isa }.apply(&x, y))),
				"gate": finite(&apply(gate.len() / 2, |y| SiluMul { isa }.apply(&gate, 2, y))),
			});
			cases.insert(name.into(), case);
		}
		cases
	});
}

/// Bits, with one pattern for every NaN: which of them an operation gives is not defined.
fn finite(values: &[f32]) -> String {
	let values: Vec<f32> = values
		.iter()
		.map(|v| if v.is_nan() { f32::from_bits(0x7FC0_0000) } else { *v })
		.collect();
	bits(&values)
}

fn scalings() -> Vec<(&'static str, f32, usize, usize, RopeScaling)> {
	let llama3 = |factor| RopeScaling::Llama3 {
		factor: F32(factor),
		low_freq_factor: F32(1.0),
		high_freq_factor: F32(4.0),
		original_max_position_embeddings: 8192,
	};
	let yarn_of = |factor, original_max_position_embeddings, [fast, slow]: [f32; 2], truncate| RopeScaling::Yarn {
		factor: F32(factor),
		original_max_position_embeddings,
		beta_fast: F32(fast),
		beta_slow: F32(slow),
		attention_factor: F32(1.138_629_4),
		truncate,
	};
	let yarn = |factor, truncate| yarn_of(factor, 4096, [32.0, 1.0], truncate);
	vec![
		("none", 10_000.0, 16, 64, RopeScaling::None),
		("none, long", 1_000_000.0, 128, 4096, RopeScaling::None),
		("linear", 10_000.0, 32, 64, RopeScaling::Linear { factor: F32(2.5) }),
		("llama3", 500_000.0, 64, 128, llama3(8.0)),
		("llama3, not by a power of two", 500_000.0, 64, 128, llama3(6.0)),
		("yarn", 1_000_000.0, 64, 128, yarn(4.0, true)),
		("yarn, not truncated", 10_000.0, 48, 64, yarn(40.0, false)),
		// The upper border is above the last pair's number; both are bounded; both are 0.
		(
			"yarn, behind the pairs",
			10_000.0,
			32,
			64,
			yarn_of(4.0, 1 << 17, [32.0, 1.0], true),
		),
		(
			"yarn, bounded",
			16.0,
			16,
			64,
			yarn_of(4.0, 1 << 17, [65_536.0, 1.0], true),
		),
		(
			"yarn, one border",
			10_000.0,
			16,
			64,
			yarn_of(4.0, 4096, [1_000.0, 652.0], true),
		),
	]
}

#[test]
fn the_quantizer_gives_the_golden_bytes() {
	let (n, k) = (288, 160);
	let mut config = config(Tiny::default());
	for (key, value) in [("hidden_size", k), ("intermediate_size", n), ("head_dim", 40)] {
		config[key] = json!(value);
	}
	let mut cases = Cases::new();
	for group in [Group::G32] {
		let mut x: Vec<f32> = (0..n)
			.flat_map(|row| floats(&format!("quantizer/{row}"), k, row as i32 % 40 - 30))
			.collect();
		// Ties, and a group of nothing.
		for (i, v) in x[..31].iter_mut().enumerate() {
			*v = i as f32 - 15.5;
		}
		x[31] = 127.0;
		x[k..k + group.size()].fill(0.0);

		let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
		write_source_of(source.path(), Tiny::default(), &config);
		let name = "model.layers.0.mlp.gate_proj.weight";
		let weights = source.path().join("model.safetensors");
		let mut file = fs::read(&weights).unwrap();
		let place = tensor(&file, name);
		file.splice(place, x.iter().flat_map(|v| v.to_le_bytes()));
		fs::write(&weights, file).unwrap();
		let options = ImportOptions {
			weights: Format::W8(group),
			without_answer: true,
			..options()
		};
		import(source.path(), out.path(), &options).unwrap();

		let file = fs::read(out.path().join("model.safetensors")).unwrap();
		let (w, s) = (
			&file[tensor(&file, name)],
			&file[tensor(&file, &format!("{name}_scale"))],
		);
		let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
		let scales = s.len() / n;
		cases.insert(
			Format::W8(group).to_string(),
			json!({
				"n": n, "k": k, "group": group.size(), "first w": hex::encode(&w[..4 * k]),
				"first s": hex::encode(&s[..4 * scales]), "w": hash(w), "s": hash(s),
			}),
		);
	}
	compare("quantizer", &Value::Object(cases));
}

/// Where a tensor lies in a safetensors file.
fn tensor(file: &[u8], name: &str) -> Range<usize> {
	let header = Header::read(&mut &*file, file.len() as u64).unwrap();
	let (begin, end) = header.tensors[name].data_offsets;
	(header.data_start + begin) as usize..(header.data_start + end) as usize
}

#[test]
fn rotary_positions_give_the_golden_bits() {
	on_every_isa("rope", |isa| {
		let mut cases = Cases::new();
		for (name, theta, head_dim, positions, scaling) in scalings() {
			let tables = Tables::new(theta, &scaling, head_dim, positions);
			let frequencies = scaling.frequencies(theta, head_dim);
			// Two heads are rotated, a third passes through.
			let at = [0, 1, positions as u32 - 1];
			let op = Rope {
				cos: &tables.cos,
				sin: &tables.sin,
				positions: &at,
				heads: 2,
				head_dim,
				isa,
			};
			let mut y = floats(&format!("rope/{name}"), at.len() * 3 * head_dim, 0);
			op.apply(&mut y, 3 * head_dim).unwrap();
			let case = json!({
				"theta": theta, "head_dim": head_dim, "positions": positions, "scaling": scaling,
				"frequencies": hex::encode(frequencies.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<_>>()),
				"root": hex::encode(tables.root()),
				"at": at, "y": bits(&y),
			});
			cases.insert(name.into(), case);
		}
		cases
	});
}

/// Rows `start…` of a sequence of `keys` positions: what comes before them was computed earlier.
fn attended(isa: Isa, name: &str, keys: usize, start: usize, head_dim: usize, mask: Mask) -> Vec<f32> {
	let (heads, kv_heads) = (4, 2);
	let width = (heads + 2 * kv_heads) * head_dim;
	let shape = PageShape {
		layers: 1,
		kv_heads,
		head_dim,
	};
	let mut pool = Pool::new(shape, keys.div_ceil(PAGE) + 1).unwrap();
	let pages: Vec<PageId> = (0..keys.div_ceil(PAGE)).map(|_| pool.alloc().unwrap()).collect();
	pool.poison();
	let x = floats(&format!("attention/{name}"), keys * width, 1);
	let scale = (1.0 / (head_dim as f64).sqrt()) as f32;
	let mut out = Vec::new();
	for part in [0..start, start..keys] {
		if part.is_empty() {
			continue;
		}
		let segments = [Segment {
			rows: 0..part.len(),
			start: part.start,
			pages: &pages,
		}];
		let op = Attention {
			layer: 0,
			segments: &segments,
			heads,
			scale,
			mask,
			isa,
		};
		let x = &x[part.start * width..part.end * width];
		out = apply(part.len() * heads * head_dim, |y| op.apply(&mut pool, x, width, y));
	}
	out
}

#[test]
fn attention_gives_the_golden_bits() {
	on_every_isa("attention", |isa| {
		let mut cases = Cases::new();
		let causal = |window| Mask::Causal { window };
		for (name, keys, start, head_dim, mask) in [
			("beginning", 3, 0, 24, causal(None)),
			("tile border", 258, 254, 16, causal(None)),
			("three tiles", 515, 511, 16, causal(None)),
			("small window", 40, 36, 8, causal(Some(5))),
			("window across a border", 260, 256, 16, causal(Some(7))),
			("window of tiles", 515, 512, 16, causal(Some(300))),
			("encoder", 5, 0, 40, Mask::Full),
		] {
			let y = attended(isa, name, keys, start, head_dim, mask);
			let (window, encoder) = match mask {
				Mask::Causal { window } => (window, false),
				Mask::Full => (None, true),
			};
			cases.insert(
				name.into(),
				json!({
					"keys": keys, "start": start, "head_dim": head_dim, "window": window, "encoder": encoder, "y": bits(&y),
				}),
			);
		}
		cases
	});
}
