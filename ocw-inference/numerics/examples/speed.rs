//! Speed of the operations: `cargo run --release -p assay-numerics --features test-utils --example speed -- OPTIONS`.
//!
//! | option | what is measured |
//! |---|---|
//! | `--isa NAME` | that instruction set; more than once for several, all of the machine's otherwise |
//! | `--format NAME` | linear layers in that format, such as `w4z-64`; likewise |
//! | `--table NAME` | `w4` with the table of `IQ4_NL`, `MXFP4` or `Q4_0`; the first otherwise |
//! | `--rows N` | linear layers of N rows; likewise |
//! | `--threads N` | that many threads; likewise, 1 and 2 otherwise |
//! | `--only NAME` | `linear`, `attention`, `rows` or `sampler` |
//!
//! Each figure is the best of several rounds, because whatever else runs on the machine can only make one slower.
//! Weights are cycled through copies that no cache holds. A row of the table is one shape, format, instruction set and
//! number of threads.

use assay_numerics::{
	activation::SiluMul,
	attention::{Attention, Mask},
	format::{Group, MatrixFormat},
	kv::{PageShape, Pool, Segment, PAGE},
	linear::Linear,
	norm::RmsNorm,
	packed::PackedMatrix,
	sampler::Sampler,
	Isa,
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{hint::black_box, time::Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// More than any cache holds.
const BYTES: usize = 192 << 20;
const SHAPES: [(usize, usize); 6] = [
	(256, 2048),
	(2048, 2048),
	(2560, 2048),
	(11264, 2048),
	(2048, 5632),
	(32000, 2048),
];
/// Tables of `w4`, by their names in GGUF.
const TABLES: [(&str, [i8; 16]); 3] = [
	(
		"IQ4_NL",
		[-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
	),
	("MXFP4", [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]),
	("Q4_0", [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7]),
];

/// What is asked for.
struct Options {
	isas: Vec<Isa>,
	formats: Vec<MatrixFormat>,
	rows: Vec<usize>,
	threads: Vec<usize>,
	table: [i8; 16],
	only: Option<String>,
}

impl Options {
	fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
		let mut options = Self {
			isas: vec![],
			formats: vec![],
			rows: vec![],
			threads: vec![],
			table: TABLES[0].1,
			only: None,
		};
		while let Some(name) = arguments.next() {
			let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
			match name.as_str() {
				"--isa" => options.isas.push(value.parse()?),
				"--format" => {
					let format = formats().into_iter().find(|format| format.to_string() == value);
					options
						.formats
						.push(format.ok_or_else(|| format!("no format is called {value}"))?);
				}
				"--rows" => options.rows.push(value.parse()?),
				"--table" => {
					let table = TABLES.iter().find(|(name, _)| *name == value);
					options.table = table.ok_or_else(|| format!("no table is called {value}"))?.1;
				}
				"--threads" => options.threads.push(value.parse()?),
				"--only" => options.only = Some(value),
				_ => return Err(format!("there is no option {name}").into()),
			}
		}
		if options.isas.is_empty() {
			options.isas = Isa::available().collect();
		}
		if options.formats.is_empty() {
			options.formats = formats().to_vec();
		}
		if options.rows.is_empty() {
			options.rows = vec![1, 8, 32, 256];
		}
		if options.threads.is_empty() {
			options.threads = vec![1, 2];
		}
		for format in &mut options.formats {
			if let MatrixFormat::W4 { table } = format {
				*table = options.table;
			}
		}
		Ok(options)
	}

	fn wants(&self, name: &str) -> bool {
		self.only.as_deref().is_none_or(|only| only == name)
	}
}

fn formats() -> [MatrixFormat; 6] {
	let w8 = |group| MatrixFormat::W8 { group };
	let w4z = |group| MatrixFormat::W4z { group };
	[
		w8(Group::G32),
		w8(Group::G128),
		MatrixFormat::W4 { table: TABLES[0].1 },
		w4z(Group::G32),
		w4z(Group::G64),
		w4z(Group::G128),
	]
}

fn main() -> Result<()> {
	let options = Options::parse(std::env::args().skip(1))?;
	println!("{}", assay_numerics::isa::amx_status());
	for threads in &options.threads {
		let pool = ThreadPoolBuilder::new().num_threads(*threads).build()?;
		println!("{threads} threads:");
		for isa in options.isas.iter().copied() {
			if options.wants("linear") {
				linear(&pool, isa, &options)?;
			}
			if options.wants("attention") {
				attention(&pool, isa)?;
			}
			if options.wants("rows") {
				small(&pool, isa)?;
			}
		}
	}
	if options.wants("sampler") {
		sampler();
	}
	Ok(())
}

/// Microseconds to sample one token, on one thread.
fn sampler() {
	for vocabulary in [32_000, 152_000] {
		let logits: Vec<f32> = noise(vocabulary).iter().map(|v| v * v * v * 12.0).collect();
		for (name, temperature, top_k, min_p) in [
			("temperature 0", 0, 0, 0),
			("temperature 1", 1 << 16, 0, 0),
			("temperature 1, top 40", 1 << 16, 40, 0),
			("temperature 1, min_p 0.05", 1 << 16, 0, 3277),
		] {
			let sampler = Sampler::new(temperature, top_k, min_p, [1; 32]);
			let seconds = best(30, |t| {
				black_box(sampler.sample(&logits, t as u32));
				Ok(())
			});
			let us = seconds.unwrap_or(f64::NAN) * 1e6;
			println!("sampler {vocabulary} tokens, {name}: {us:.0} us");
		}
	}
}

/// Seconds of the fastest of some calls, after one to warm up.
fn best(rounds: usize, mut call: impl FnMut(usize) -> Result<()>) -> Result<f64> {
	call(0)?;
	let mut best = f64::INFINITY;
	for round in 0..rounds {
		let begun = Instant::now();
		call(round)?;
		best = best.min(begun.elapsed().as_secs_f64());
	}
	Ok(best)
}

/// Numbers in [−1, 1), the same each time.
fn noise(count: usize) -> Vec<f32> {
	let mut state = 88_172_645_463_325_252u64;
	let mut next = || {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		(state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
	};
	(0..count).map(|_| next()).collect()
}

fn linear(pool: &ThreadPool, isa: Isa, options: &Options) -> Result<()> {
	let portable = isa == Isa::Portable;
	for (format, (n, k)) in options
		.formats
		.iter()
		.flat_map(|format| SHAPES.map(|shape| (*format, shape)))
	{
		let first = PackedMatrix::random(n, k, format, 0, &[])?;
		let copies = if portable { 1 } else { BYTES.div_ceil(first.bytes()) };
		let more = (1..copies).map(|seed| PackedMatrix::random(n, k, format, seed as u64, &[]));
		let packed = std::iter::once(Ok(first))
			.chain(more)
			.collect::<assay_numerics::Result<Vec<_>>>()?;
		print!("{isa:8} {:7} {n:5} x {k:4}:", format.to_string());
		for rows in options.rows.iter().copied() {
			if portable && rows > 8 {
				continue;
			}
			let (x, mut out) = (noise(rows * k), vec![0f32; rows * n]);
			// When rows are few, often enough that each copy is read several times.
			let rounds = match rows {
				_ if portable => 2,
				1 => 12 * copies,
				_ => 12,
			};
			let seconds = pool.install(|| {
				best(rounds, |round| {
					let op = Linear {
						weight: &packed[round % copies],
						bias: None,
						isa,
					};
					Ok(op.apply(&x, &mut out)?)
				})
			})?;
			let gmacs = (rows * n * k) as f64 / seconds / 1e9;
			let speed = packed[0].bytes() as f64 / seconds / 1e9;
			match rows {
				1 => print!("  1 row {gmacs:5.1} GMAC/s, {speed:5.1} GB/s"),
				_ => print!("  {rows} rows {gmacs:5.1} GMAC/s"),
			}
		}
		println!();
	}
	Ok(())
}

/// One layer of a 1.1 B model: 32 query heads and 4 key heads of 64.
fn attention(pool: &ThreadPool, isa: Isa) -> Result<()> {
	let (heads, kv_heads, head_dim) = (32, 4, 64);
	let cases: [(usize, usize, usize); 5] = [(1, 1, 127), (1, 1, 1023), (32, 1, 1023), (1, 256, 0), (1, 256, 1024)];
	for (sequences, rows, start) in cases {
		if isa == Isa::Portable && rows * sequences > 1 {
			continue;
		}
		let shape = PageShape {
			layers: 1,
			kv_heads,
			head_dim,
		};
		let mut kv = Pool::new(shape, sequences * (start + rows).div_ceil(PAGE))?;
		let tables: Vec<Vec<_>> = (0..sequences)
			.map(|_| (0..(start + rows).div_ceil(PAGE)).filter_map(|_| kv.alloc()).collect())
			.collect();
		let segments: Vec<_> = tables
			.iter()
			.enumerate()
			.map(|(i, pages)| Segment {
				rows: i * rows..(i + 1) * rows,
				start,
				pages,
			})
			.collect();
		let width = (heads + 2 * kv_heads) * head_dim;
		let x = noise(sequences * rows * width);
		let mut out = vec![0f32; sequences * rows * heads * head_dim];
		let seconds = pool.install(|| {
			best(10, |_| {
				let op = Attention {
					layer: 0,
					segments: &segments,
					heads,
					scale: 0.125,
					mask: Mask::Causal { window: None },
					isa,
				};
				Ok(op.apply(&mut kv, &x, width, black_box(&mut out))?)
			})
		})?;
		println!(
			"{isa:8} attention {sequences} x {rows} rows from {start}: {:.0} us",
			seconds * 1e6
		);
	}
	Ok(())
}

fn small(pool: &ThreadPool, isa: Isa) -> Result<()> {
	let weight = noise(2048);
	for rows in [1, 256] {
		let (x, gate) = (noise(rows * 2048), noise(rows * 11264));
		let (mut normed, mut gated) = (vec![0f32; rows * 2048], vec![0f32; rows * 5632]);
		let norm = RmsNorm {
			weight: &weight,
			epsilon: 1e-5,
			isa,
		};
		let norm = pool.install(|| best(20, |_| Ok(norm.apply(&x, black_box(&mut normed))?)))?;
		let gate = pool.install(|| {
			best(20, |_| {
				Ok(SiluMul { isa }.apply(&gate, 11264, black_box(&mut gated))?)
			})
		})?;
		println!(
			"{isa:8} {rows} rows: rms_norm of 2048 {:.1} us, gate of 5632 {:.1} us",
			norm * 1e6,
			gate * 1e6
		);
	}
	Ok(())
}
