//! Imports of GGUF files whose matrices are in other blocks than Q8_0.

use crate::{
	dequantize::matrices,
	gguf_writer::{self, Gguf, F32, IQ4_NL, MXFP4, Q4_0, Q4_1, Q5_0, Q8_0},
	hugging_face::{same_model, source},
};
use assay_engine::{execute, Model};
use assay_import::import;
use assay_model_folder::Manifest;
use assay_primitives::SamplingParams;
use assay_test_fixtures::{noise, options};
use half::f16;
use std::path::{Path, PathBuf};

/// What `iq4_nl` chooses from.
const VALUES: [i32; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// What `mxfp4` chooses from.
const FLOATS: [i32; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
/// The least value of a block of Q4_1, in units of its scale.
const LEAST: f32 = -7.25;

/// Replaces every matrix by one of random numbers of so many bits, which `write` writes in a type.
fn each(gguf: &mut Gguf, bits: u32, mut write: impl FnMut(&[i32]) -> (u32, Vec<u8>)) {
	for (name, shape, encoding, data) in gguf.tensors.iter_mut().filter(|(_, shape, ..)| shape.len() == 2) {
		let count = shape.iter().product::<u64>() as usize;
		let numbers: Vec<i32> = noise(5, name, count)
			.iter()
			.map(|v| ((v + 1.0) / 2.0 * 2f32.powi(bits as i32)) as i32)
			.collect();
		(*encoding, *data) = write(&numbers);
	}
}

/// Writes numbers in blocks of 32, each with a scale.
fn blocks(numbers: &[i32], write: impl Fn(f16, &[i32]) -> Vec<u8>) -> Vec<u8> {
	(numbers.chunks(32).enumerate())
		.flat_map(|(b, block)| write(f16::from_f32(0.01 + b as f32 % 7.0 * 0.003), block))
		.collect()
}

/// Replaces every matrix by one of random numbers of so many bits, written by `write` with the scale.
fn fill(gguf: &mut Gguf, kind: u32, bits: u32, write: impl Fn(f16, &[i32]) -> Vec<u8>) {
	each(gguf, bits, |numbers| (kind, blocks(numbers, &write)));
}

/// Two numbers of four bits to a byte: the first half of the block below, the second above.
fn nibbles(block: &[i32]) -> Vec<u8> {
	let (low, high) = block.split_at(16);
	low.iter()
		.zip(high)
		.map(|(l, h)| (l & 15) as u8 | ((h & 15) as u8) << 4)
		.collect()
}

fn block(scale: f16, rest: &[&[u8]]) -> Vec<u8> {
	[&scale.to_le_bytes()[..], &rest.concat()].concat()
}

fn int8(scale: f16, weights: impl Iterator<Item = i32>) -> Vec<u8> {
	let weights: Vec<u8> = weights.map(|w| w as i8 as u8).collect();
	block(scale, &[&weights])
}

/// Imports the same model twice, from two forms of its matrices.
fn both(base: &Gguf, dir: &Path, forms: [&dyn Fn(&mut Gguf); 2]) -> [PathBuf; 2] {
	[0, 1].map(|i| {
		let (file, out) = (dir.join("model.gguf"), dir.join(format!("out-{i}")));
		let mut gguf = base.clone();
		forms[i](&mut gguf);
		gguf.write(&file);
		import(&file, &out, &options()).unwrap();
		out
	})
}

fn quantizer(dir: &Path) -> String {
	Manifest::read(dir).unwrap().provenance.quantizer
}

fn base() -> (tempfile::TempDir, Gguf) {
	let (dir, source) = source();
	let plain = dir.path().join("plain");
	import(&source, &plain, &options()).unwrap();
	let gguf = gguf_writer::from_folder(&plain);
	(dir, gguf)
}

#[test]
fn blocks_of_int8_keep_every_bit() {
	let high = |n: &[i32]| {
		let word = n
			.iter()
			.enumerate()
			.fold(0u32, |word, (i, n)| word | ((n >> 4) as u32) << i);
		word.to_le_bytes()
	};
	let (dir, gguf) = base();
	let theirs = |s: f16, n: &[i32]| block(s, &[&high(n), &nibbles(n)]);
	let ours = |s: f16, n: &[i32]| int8(s, n.iter().map(|n| n - 16));
	let outs = both(
		&gguf,
		dir.path(),
		[&|g| fill(g, Q5_0, 5, theirs), &|g| fill(g, Q8_0, 5, ours)],
	);
	same_model(&outs[0], &outs[1]);
	assert_eq!(quantizer(&outs[0]), "gguf q5_0 blocks, bits kept");
}

#[test]
fn blocks_of_four_bits_keep_every_bit_and_row() {
	type Write<'a> = &'a dyn Fn(f16, &[i32]) -> Vec<u8>;
	// Exponents around that of 1, by the scale.
	let exponent = |s: f16| 120 + (s.to_bits() % 7) as u8;
	let cases: [(&str, u32, Write<'_>, Write<'_>); 3] = [
		("q4_0", Q4_0, &|s, n| block(s, &[&nibbles(n)]), &|s, n| {
			int8(s, n.iter().map(|n| n - 8))
		}),
		("iq4_nl", IQ4_NL, &|s, n| block(s, &[&nibbles(n)]), &|s, n| {
			int8(s, n.iter().map(|n| VALUES[*n as usize]))
		}),
		(
			"mxfp4",
			MXFP4,
			&|s, n| [vec![exponent(s)], nibbles(n)].concat(),
			&|s, n| {
				let scale = 2f32.powi(i32::from(exponent(s)) - 128);
				int8(f16::from_f32(scale), n.iter().map(|n| FLOATS[*n as usize]))
			},
		),
	];
	for (name, kind, theirs, ours) in cases {
		let (dir, gguf) = base();
		let outs = both(
			&gguf,
			dir.path(),
			[&|g| fill(g, kind, 4, theirs), &|g| fill(g, Q8_0, 4, ours)],
		);
		// A llama's queries and keys, whose rows llama.cpp interleaves, are among them.
		let [kept, int8] = [0, 1].map(|i| matrices(&outs[i]));
		assert_eq!(kept.len(), int8.len());
		for (matrix, kept) in kept {
			let int8 = &int8[&matrix];
			assert_eq!(
				(kept.format.as_str(), int8.format.as_str()),
				("w4", "w8-32"),
				"{name} {matrix}"
			);
			assert!(
				kept.integers == int8.integers && kept.values == int8.values,
				"{name} {matrix}"
			);
		}
		assert_eq!(quantizer(&outs[0]), format!("gguf {name} blocks, bits kept"));
		// What is loaded is what the file says, and both have the same rows.
		let answers = outs.map(|out| {
			let model = Model::load(&out).unwrap();
			execute(&model, "hello world", &SamplingParams::greedy(12), [3; 32]).unwrap()
		});
		assert_eq!(answers[0], answers[1], "{name}");
	}
}

#[test]
fn a_file_that_mixes_types_keeps_each_and_answers_alike() {
	// Matrix by matrix another type, so that queries, keys and values differ, and gate and up.
	let mixed = |g: &mut Gguf| {
		let mut kinds = [Q4_0, Q8_0, IQ4_NL].into_iter().cycle();
		each(g, 4, |numbers| {
			let kind = kinds.next().unwrap();
			let table = |n: &i32| if kind == IQ4_NL { VALUES[*n as usize] } else { n - 8 };
			let write = move |s: f16, n: &[i32]| match kind {
				Q8_0 => int8(s, n.iter().map(table)),
				_ => block(s, &[&nibbles(n)]),
			};
			(kind, blocks(numbers, write))
		});
	};
	let plain = |g: &mut Gguf| {
		let mut kinds = [Q4_0, Q8_0, IQ4_NL].into_iter().cycle();
		each(g, 4, |numbers| {
			let kind = kinds.next().unwrap();
			let table = |n: &i32| if kind == IQ4_NL { VALUES[*n as usize] } else { n - 8 };
			(Q8_0, blocks(numbers, |s, n| int8(s, n.iter().map(table))))
		});
	};
	let (dir, gguf) = base();
	let outs = both(&gguf, dir.path(), [&mixed, &plain]);
	let [found, int8] = [0, 1].map(|i| matrices(&outs[i]));
	for (name, matrix) in &found {
		assert!(matrix.values == int8[name].values, "{name}");
	}
	let formats = |format: &str| found.values().filter(|matrix| matrix.format == format).count();
	assert_eq!((formats("w4"), formats("w8-32")), (10, 5));
	assert_eq!(
		quantizer(&outs[0]),
		"gguf iq4_nl blocks, bits kept; gguf q4_0 blocks, bits kept; gguf q8_0 blocks, bits kept"
	);
	let answers = outs.map(|out| {
		let model = Model::load(&out).unwrap();
		execute(&model, "hello world", &SamplingParams::greedy(12), [3; 32]).unwrap()
	});
	assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_scale_of_mxfp4_that_f16_does_not_hold_is_refused() {
	let (dir, mut gguf) = base();
	fill(&mut gguf, MXFP4, 4, |_, n| [vec![60], nibbles(n)].concat());
	let file = dir.path().join("bad.gguf");
	gguf.write(&file);
	let error = import(&file, &dir.path().join("out"), &options())
		.unwrap_err()
		.to_string();
	assert!(
		error.contains("f16 does not hold exactly") && error.contains("take another model"),
		"{error}"
	);
}

#[test]
fn blocks_with_a_minimum_are_the_floats_they_stand_for() {
	let (dir, gguf) = base();
	// As llama.cpp's converter leaves it: the embedding has eight bits.
	let eight_bits = |g: &mut Gguf| {
		let embedding = g
			.tensors
			.iter_mut()
			.find(|(name, ..)| name == "token_embd.weight")
			.unwrap();
		let blocks = embedding.1.iter().product::<u64>() as usize / 32;
		(embedding.2, embedding.3) = (Q8_0, block(f16::ONE, &[&[1; 32]]).repeat(blocks));
	};
	let least = |scale: f16| f16::from_f32(scale.to_f32() * LEAST);
	let outs = both(
		&gguf,
		dir.path(),
		[
			&|g| {
				fill(g, Q4_1, 4, |scale, n| {
					block(scale, &[&least(scale).to_le_bytes(), &nibbles(n)])
				});
				eight_bits(g);
			},
			&|g| {
				fill(g, F32, 4, |scale, n| {
					let value = |n: &i32| scale.to_f32() * *n as f32 + least(scale).to_f32();
					n.iter().flat_map(|n| value(n).to_le_bytes()).collect()
				});
				eight_bits(g);
			},
		],
	);
	same_model(&outs[0], &outs[1]);
	assert_eq!(
		quantizer(&outs[0]),
		"gguf q8_0 blocks, bits kept; gguf q4_1 blocks, dequantized: assay w8 blocks of 32, version 1"
	);
}

#[test]
fn a_scale_that_is_not_finite_and_a_vector_in_blocks_are_refused() {
	let nan = |scale: f16, n: &[i32]| block(scale, &[&f16::NAN.to_le_bytes(), &nibbles(n)]);
	type Change<'a> = &'a dyn Fn(&mut Gguf);
	let cases: [(Change<'_>, &str); 3] = [
		(
			&|g| fill(g, Q4_0, 4, |_, n| block(f16::INFINITY, &[&nibbles(n)])),
			"infinity",
		),
		(&|g| fill(g, Q4_1, 4, nan), "NaN"),
		(
			&|g| {
				let norm = g
					.tensors
					.iter_mut()
					.find(|(name, ..)| name == "output_norm.weight")
					.unwrap();
				(norm.2, norm.3) = (Q8_0, vec![0; 2 * 34]);
			},
			"vector in blocks",
		),
	];
	for (change, reason) in cases {
		let (dir, mut gguf) = base();
		change(&mut gguf);
		let file = dir.path().join("bad.gguf");
		gguf.write(&file);
		let error = import(&file, &dir.path().join("out"), &options())
			.unwrap_err()
			.to_string();
		assert!(error.contains(reason), "{error}");
	}
}
