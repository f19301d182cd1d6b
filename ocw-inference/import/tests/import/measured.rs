//! Floats that become four bits or `w8-128` are imported as int8 first, and that is run over a text.

use crate::{
	dequantize::matrices,
	hugging_face::{config, read, same_model, source, write_with},
};
use assay_import::{import, import_with, Error, ImportOptions, Progress};
use assay_model_folder::{files, formats::Format, header::Header, Manifest};
use assay_test_fixtures::options;
use serde_json::json;
use std::{
	fs::{self, File},
	io::Read,
	ops::ControlFlow,
	path::Path,
};

fn in_format(weights: &str) -> ImportOptions {
	ImportOptions {
		weights: weights.parse().unwrap(),
		without_answer: true,
		..options()
	}
}

/// Returns a vector of a directory's weights.
fn vector(dir: &Path, name: &str) -> Vec<f32> {
	let mut file = File::open(dir.join(files::WEIGHTS)).unwrap();
	let bytes = file.metadata().unwrap().len();
	let header = Header::read(&mut file, bytes).unwrap();
	let (begin, end) = header.tensors[name].data_offsets;
	let mut data = Vec::new();
	file.read_to_end(&mut data).unwrap();
	let data = &data[begin as usize..end as usize];
	data.chunks_exact(4)
		.map(|b| f32::from_le_bytes(b.try_into().unwrap()))
		.collect()
}

#[test]
fn channels_of_w8_128_are_evened_out_and_products_stay() {
	let (dir, source) = source();
	// Biases of q, k and v, which are not touched.
	write_with(
		&source,
		&config(json!({ "model_type": "qwen2", "hidden_size": 64, "intermediate_size": 160 })),
	);
	let [plain, even] = ["w8-32", "w8-128"].map(|format| {
		let out = dir.path().join(format);
		import(&source, &out, &in_format(format)).unwrap();
		out
	});
	let (was, is) = (matrices(&plain), matrices(&even));
	for layer in 0..2 {
		let name = |part: &str| format!("model.layers.{layer}.{part}");
		let factors = |norm: &str| -> Vec<f32> {
			let norm = name(norm);
			vector(&plain, &norm)
				.iter()
				.zip(vector(&even, &norm))
				.map(|(a, b)| a / b)
				.collect()
		};
		let (attention, mlp) = (
			factors("input_layernorm.weight"),
			factors("post_attention_layernorm.weight"),
		);
		assert!(attention.iter().any(|f| (f - 1.0).abs() > 0.02) && attention != mlp);
		for (part, factors) in [
			("self_attn.q_proj", &attention),
			("self_attn.k_proj", &attention),
			("self_attn.v_proj", &attention),
			("mlp.gate_proj", &mlp),
		] {
			near(
				&is[&name(&format!("{part}.weight"))].values,
				&was[&name(&format!("{part}.weight"))].values,
				|k, _| factors[k % 64],
			);
		}
		near(
			&is[&name("self_attn.o_proj.weight")].values,
			&was[&name("self_attn.o_proj.weight")].values,
			|_, _| 1.0,
		);
		// Rows of up are divided by what columns of down are multiplied by.
		let (up, down) = (name("mlp.up_proj.weight"), name("mlp.down_proj.weight"));
		let ratio = |matrix: &str, at: &dyn Fn(usize) -> usize, i: usize| {
			let indices = (0..64).map(|j| at(i * 64 + j));
			let power = |values: &[f32]| indices.clone().map(|at| f64::from(values[at]).powi(2)).sum::<f64>();
			(power(&is[matrix].values) / power(&was[matrix].values)).sqrt()
		};
		for channel in 0..160 {
			let column = ratio(&down, &|i| i % 64 * 160 + i / 64, channel);
			let row = (0..64).map(|k| {
				let at = channel * 64 + k;
				f64::from(is[&up].values[at] / mlp[k] * was[&up].values[at])
			});
			let power: f64 = (0..64)
				.map(|k| f64::from(was[&up].values[channel * 64 + k]).powi(2))
				.sum();
			let row = row.sum::<f64>() / power;
			assert!((row * column - 1.0).abs() < 0.02, "{channel}: {row} and {column}");
		}
	}
	let bias = "model.layers.0.self_attn.q_proj.bias";
	assert_eq!(vector(&plain, bias), vector(&even, bias));
	let last = "model.norm.weight";
	assert_eq!(vector(&plain, last), vector(&even, last));
}

/// Compares values with those that they are made of.
fn near(is: &[f32], was: &[f32], factor: impl Fn(usize, usize) -> f32) {
	let (mut off, mut power) = (0f64, 0f64);
	for (i, (is, was)) in is.iter().zip(was).enumerate() {
		let expected = f64::from(was * factor(i, 0));
		off += (f64::from(*is) - expected).powi(2);
		power += expected.powi(2);
	}
	assert!((off / power).sqrt() < 0.02, "{}", (off / power).sqrt());
}

#[test]
fn an_import_that_is_interrupted_in_either_pass_goes_on() {
	let (dir, source) = source();
	for format in ["w8-128", "w4"] {
		let (mut steps, mut measuring) = (0, 0);
		let whole = dir.path().join(format!("{format}-whole"));
		import_with(&source, &whole, &in_format(format), &mut |progress| {
			steps += 1;
			if progress == Progress::Measuring {
				measuring = steps;
			}
			ControlFlow::Continue(())
		})
		.unwrap();
		assert!(measuring > 2 && steps > measuring + 2);
		for stop in [1, measuring - 1, measuring, measuring + 1, steps] {
			let out = dir.path().join(format!("{format}-{stop}"));
			let mut left = stop;
			let stopped = import_with(&source, &out, &in_format(format), &mut |_| {
				left -= 1;
				if left == 0 {
					ControlFlow::Break(())
				} else {
					ControlFlow::Continue(())
				}
			});
			let Err(Error::Interrupted { partial }) = stopped else {
				panic!("{stopped:?}");
			};
			assert_eq!(partial, dir.path().join(format!("{format}-{stop}.partial")));
			// What the first pass made is checked like everything else: a changed byte is not believed.
			let weights = partial.join("first-pass").join(files::WEIGHTS);
			if let Ok(mut bytes) = fs::read(&weights) {
				*bytes.last_mut().unwrap() ^= 1;
				fs::write(&weights, bytes).unwrap();
			}
			import(&source, &out, &in_format(format)).unwrap();
			same_model(&whole, &out);
			assert!(read(&whole, files::MANIFEST) == read(&out, files::MANIFEST));
			assert_eq!(fs::read_dir(&out).unwrap().count(), 5);
			assert!(!partial.exists());
		}
	}
}

#[test]
fn strange_files_in_the_first_pass_are_left_alone() {
	let (dir, source) = source();
	let first = dir.path().join("out.partial/first-pass");
	fs::create_dir_all(first.join("first-pass")).unwrap();
	let out = dir.path().join("out");
	for name in ["first-pass", "notes.txt"] {
		let error = import(&source, &out, &in_format("w4")).unwrap_err().to_string();
		assert!(
			error.contains(name) && error.contains("not part of an import"),
			"{error}"
		);
		fs::remove_dir(first.join("first-pass")).ok();
		fs::write(first.join("notes.txt"), "mine").unwrap();
	}
	assert_eq!(fs::read_to_string(first.join("notes.txt")).unwrap(), "mine");
}

#[test]
fn int8_in_groups_of_32_needs_no_first_pass() {
	let (dir, source) = source();
	let out = dir.path().join("out");
	import_with(&source, &out, &in_format("w8-32"), &mut |progress| {
		assert_ne!(progress, Progress::Measuring);
		ControlFlow::Continue(())
	})
	.unwrap();
	assert_eq!(
		Manifest::read(&out)
			.unwrap()
			.formats()
			.unwrap()
			.of("model.layers.0.mlp.up_proj.weight"),
		Format::default()
	);
}
