//! Checkpoints of AWQ and GPTQ: every weight is kept, and what cannot be is refused by name.

use crate::{
	checkpoint_writer::{Checkpoint, Method, Tensor},
	dequantize::matrices,
	hugging_face::{read, same_model},
};
use assay_engine::{Engine, Model};
use assay_import::{import, import_with, Error, ImportOptions};
use assay_model_folder::{files, header::Dtype, Manifest};
use assay_test_fixtures::options;
use serde_json::{json, Value};
use std::{fs, ops::ControlFlow, path::Path};

const METHODS: [Method; 3] = [Method::Awq, Method::Gptq, Method::GptqV2];

fn without_answer() -> ImportOptions {
	ImportOptions {
		without_answer: true,
		..options()
	}
}

/// Imports a checkpoint without its known answer, or returns why not.
fn imported(checkpoint: &Checkpoint, dir: &Path) -> Result<(), String> {
	let (source, out) = (dir.join("source"), dir.join("out"));
	checkpoint.write(&source);
	fs::remove_dir_all(&out).ok();
	fs::remove_dir_all(dir.join("out.partial")).ok();
	import(&source, &out, &without_answer())
		.map(drop)
		.map_err(|e| e.to_string())
}

fn check_values(checkpoint: &Checkpoint, out: &Path, format: &str) {
	let found = matrices(out);
	for (name, values) in &checkpoint.values {
		let matrix = &found[name];
		assert_eq!(matrix.format, format, "{name}");
		assert!(matrix.values == *values, "{name}");
	}
	assert_eq!(found["model.embed_tokens.weight"].format, "w8-32");
}

#[test]
fn every_weight_of_a_packed_checkpoint_is_kept() {
	let dir = tempfile::tempdir().unwrap();
	for method in METHODS {
		for (group, more) in [
			(32, json!({})),
			(64, json!({})),
			// Rows of 96 and of 64: the last group, or the only one, is short.
			(128, json!({})),
			// Rows of 320 and of 128, in two groups and a half.
			(
				128,
				json!({ "hidden_size": 128, "intermediate_size": 320, "num_attention_heads": 8 }),
			),
			(64, json!({ "model_type": "qwen3", "head_dim": 32 })),
		] {
			let checkpoint = Checkpoint::new(method, group, more);
			imported(&checkpoint, dir.path()).unwrap();
			let out = dir.path().join("out");
			let smallest = |width: usize| {
				[32, 64, 128]
					.into_iter()
					.find(|g| width.div_ceil(*g) == width.div_ceil(group))
			};
			let manifest = Manifest::read(&out).unwrap();
			let found = matrices(&out);
			for (name, values) in &checkpoint.values {
				let matrix = &found[name];
				let width = matrix.values.len() / matrix.rows;
				assert_eq!(
					matrix.format,
					format!("w4z-{}", smallest(width).unwrap()),
					"{method:?} {name}"
				);
				assert!(matrix.values == *values, "{method:?} {name}");
			}
			let name = if method == Method::Awq { "awq" } else { "gptq" };
			assert_eq!(
				manifest.provenance.quantizer,
				format!("{name} groups of {group}, bits kept; others: assay w8 blocks of 32, version 1")
			);
		}
	}
}

#[test]
fn a_packed_checkpoint_answers_in_any_number_of_shards() {
	let dir = tempfile::tempdir().unwrap();
	let checkpoint = Checkpoint::new(Method::Awq, 32, json!({}));
	let source = dir.path().join("source");
	let outs = [1, 3, 5].map(|count| {
		checkpoint.write_shards(&source, count);
		let out = dir.path().join(format!("out-{count}"));
		import(&source, &out, &options()).unwrap();
		out
	});
	check_values(&checkpoint, &outs[0], "w4z-32");
	same_model(&outs[0], &outs[1]);
	same_model(&outs[0], &outs[2]);
	Engine::new().add(Model::load(&outs[0]).unwrap()).unwrap();
	// The same numbers, packed by another program, are the same model.
	Checkpoint::new(Method::Gptq, 32, json!({})).write(&source);
	let other = dir.path().join("gptq");
	import(&source, &other, &options()).unwrap();
	same_model(&outs[0], &other);
}

#[test]
fn modules_that_stayed_floats_are_quantized() {
	let dir = tempfile::tempdir().unwrap();
	let mut checkpoint = Checkpoint::new(Method::Awq, 32, json!({}));
	let name = "model.layers.1.mlp.down_proj.weight";
	for end in ["qweight", "qzeros", "scales"] {
		checkpoint.tensors.remove(&name.replace("weight", end)).unwrap();
	}
	let values = checkpoint.values.remove(name).unwrap();
	checkpoint
		.tensors
		.insert(name.into(), Tensor::floats(Dtype::BF16, &[64, 96], &values));
	let checkpoint = checkpoint.with(json!({ "modules_to_not_convert": ["layers.1.mlp.down_proj"] }));
	imported(&checkpoint, dir.path()).unwrap();
	let out = dir.path().join("out");
	check_values(&checkpoint, &out, "w4z-32");
	assert_eq!(matrices(&out)[name].format, "w8-32");
	// A matrix that is both is a mistake.
	let mut both = Checkpoint::new(Method::Awq, 32, json!({}));
	both.tensors
		.insert(name.into(), Tensor::floats(Dtype::BF16, &[64, 96], &values));
	let refused = imported(&both, dir.path()).unwrap_err();
	assert!(
		refused.contains(name) && refused.contains("not part of the model"),
		"{refused}"
	);
}

#[test]
fn a_bias_that_the_model_lacks_must_be_zeros() {
	let dir = tempfile::tempdir().unwrap();
	let name = "model.layers.1.mlp.down_proj.bias";
	let with = |dtype, shape: &[u64], last: f32| {
		let mut checkpoint = Checkpoint::new(Method::Gptq, 32, json!({}));
		let mut values = vec![0.0; shape.iter().product::<u64>() as usize];
		values[0] = -0.0;
		*values.last_mut().unwrap() = last;
		let tensor = Tensor::floats(dtype, shape, &values);
		checkpoint.tensors.insert(name.into(), tensor);
		imported(&checkpoint, dir.path())
	};
	let out = dir.path().join("out");
	imported(&Checkpoint::new(Method::Gptq, 32, json!({})), dir.path()).unwrap();
	let without = read(&out, files::WEIGHTS);
	for dtype in [Dtype::F16, Dtype::BF16, Dtype::F32] {
		with(dtype, &[64], 0.0).unwrap();
		assert!(read(&out, files::WEIGHTS) == without);
		let refused = with(dtype, &[64], 1e-4).unwrap_err();
		assert!(refused.contains(name) && refused.contains("not all zeros"), "{refused}");
	}
	let refused = with(Dtype::F16, &[32], 0.0).unwrap_err();
	assert!(
		refused.contains(name) && refused.contains("has shape [32]"),
		"{refused}"
	);
	// Beside a matrix of floats it is another model's, zeros or not.
	let mut floats = Checkpoint::new(Method::Gptq, 32, json!({}));
	floats
		.tensors
		.retain(|tensor, _| !tensor.contains("layers.1.mlp.down_proj"));
	let weights = Tensor::floats(Dtype::F16, &[64, 96], &[0.5; 64 * 96]);
	floats.tensors.insert(name.replace("bias", "weight"), weights);
	floats
		.tensors
		.insert(name.into(), Tensor::floats(Dtype::F16, &[64], &[0.0; 64]));
	let refused = imported(&floats, dir.path()).unwrap_err();
	assert!(
		refused.contains(name) && refused.contains("not part of the model"),
		"{refused}"
	);
}

#[test]
fn scales_of_other_floats_are_kept_where_f16_holds_them() {
	let dir = tempfile::tempdir().unwrap();
	let name = "model.layers.0.self_attn.o_proj.scales";
	let with = |dtype, value: f32| {
		let mut checkpoint = Checkpoint::new(Method::Gptq, 32, json!({}));
		let shape = checkpoint.tensors[name].shape.clone();
		let count = shape.iter().product::<u64>() as usize;
		let mut scales = vec![0.25; count];
		scales[count - 1] = value;
		checkpoint
			.tensors
			.insert(name.into(), Tensor::floats(dtype, &shape, &scales));
		imported(&checkpoint, dir.path())
	};
	for dtype in [Dtype::F16, Dtype::BF16, Dtype::F32] {
		with(dtype, 0.125).unwrap();
		with(dtype, -0.0).unwrap();
		for (value, reason) in [
			(f32::NAN, "a NaN or an infinity"),
			(f32::NEG_INFINITY, "a NaN or an infinity"),
		] {
			let refused = with(dtype, value).unwrap_err();
			assert!(refused.contains(name) && refused.contains(reason), "{refused}");
		}
	}
	for (dtype, value) in [
		(Dtype::BF16, 1e-20),
		(Dtype::BF16, 1e6),
		(Dtype::F32, 0.1),
		(Dtype::F32, 1e-8),
	] {
		let refused = with(dtype, value).unwrap_err();
		assert!(
			refused.contains(name) && refused.contains("f16 does not hold exactly"),
			"{value}: {refused}"
		);
	}
}

#[test]
fn a_zero_point_of_sixteen_is_refused() {
	let dir = tempfile::tempdir().unwrap();
	let name = "model.layers.0.mlp.up_proj.qzeros";
	for (method, fits) in [(Method::Gptq, false), (Method::GptqV2, true), (Method::Awq, true)] {
		let mut checkpoint = Checkpoint::new(method, 32, json!({}));
		let last = checkpoint.tensors.get_mut(name).unwrap().bytes.last_mut().unwrap();
		*last |= 0xF0;
		match imported(&checkpoint, dir.path()) {
			Ok(()) => assert!(fits, "{method:?}"),
			Err(refused) => assert!(
				!fits && refused.contains(name) && refused.contains("zero point 16"),
				"{refused}"
			),
		}
	}
}

#[test]
fn inputs_in_another_order_are_refused() {
	let dir = tempfile::tempdir().unwrap();
	let name = "model.layers.1.self_attn.q_proj.g_idx";
	// `desc_act` with an order that is none is what `static_groups` leaves.
	let ordered = Checkpoint::new(Method::Gptq, 32, json!({})).with(json!({ "desc_act": true, "static_groups": true }));
	imported(&ordered, dir.path()).unwrap();
	for change in [
		|order: &mut Vec<u8>| order.swap(0, 4 * 63),
		|order: &mut Vec<u8>| order[4 * 33] = 0,
		|order: &mut Vec<u8>| order[3] = 0x80,
	] {
		for desc_act in [true, false] {
			let mut checkpoint = Checkpoint::new(Method::Gptq, 32, json!({})).with(json!({ "desc_act": desc_act }));
			change(&mut checkpoint.tensors.get_mut(name).unwrap().bytes);
			let refused = imported(&checkpoint, dir.path()).unwrap_err();
			assert!(refused.contains(name) && refused.contains("another order"), "{refused}");
		}
	}
	// Without the tensor, the configuration has to say that there is no order.
	for (desc_act, taken) in [(true, false), (false, true)] {
		let mut checkpoint = Checkpoint::new(Method::Gptq, 32, json!({})).with(json!({ "desc_act": desc_act }));
		checkpoint.tensors.remove(name).unwrap();
		match imported(&checkpoint, dir.path()) {
			Ok(()) => assert!(taken),
			Err(refused) => assert!(
				!taken && refused.contains(name) && refused.contains("desc_act"),
				"{refused}"
			),
		}
	}
}

#[test]
fn tensors_that_do_not_fit_their_matrix_are_refused_by_name() {
	type Change<'a> = &'a dyn Fn(&mut Checkpoint);
	let tensor = |checkpoint: &mut Checkpoint, end: &str, change: &dyn Fn(&mut Tensor)| {
		change(
			checkpoint
				.tensors
				.get_mut(&format!("model.layers.0.mlp.gate_proj.{end}"))
				.unwrap(),
		);
	};
	let remove = |checkpoint: &mut Checkpoint, end: &str| {
		checkpoint
			.tensors
			.remove(&format!("model.layers.0.mlp.gate_proj.{end}"))
			.unwrap();
	};
	let cases: [(Change<'_>, &str); 10] = [
		(&|c| remove(c, "qweight"), "quantization_config"),
		(&|c| remove(c, "qzeros"), "gate_proj.qzeros: the weights lack it"),
		(&|c| remove(c, "scales"), "gate_proj.scales: the weights lack it"),
		(
			&|c| tensor(c, "qweight", &|t| t.shape.reverse()),
			"gate_proj.qweight: has shape",
		),
		(
			&|c| tensor(c, "qzeros", &|t| t.shape.push(1)),
			"gate_proj.qzeros: has shape",
		),
		(
			&|c| tensor(c, "scales", &|t| t.shape.swap(0, 1)),
			"gate_proj.scales: has shape",
		),
		(&|c| tensor(c, "scales", &|t| t.dtype = "I32"), "does not fit bytes"),
		(
			&|c| tensor(c, "scales", &|t| (t.dtype, t.shape[1]) = ("I32", t.shape[1] / 2)),
			"is I32; import the floats",
		),
		(
			&|c| tensor(c, "qweight", &|t| (t.dtype, t.shape[1]) = ("F16", t.shape[1] * 2)),
			"gate_proj.qweight: does not have the type",
		),
		(
			&|c| tensor(c, "qweight", &|t| (t.dtype, t.shape[1]) = ("U8", t.shape[1] * 4)),
			"gate_proj.qweight: is U8",
		),
	];
	let dir = tempfile::tempdir().unwrap();
	for method in METHODS {
		for (change, reason) in cases {
			let mut checkpoint = Checkpoint::new(method, 32, json!({}));
			change(&mut checkpoint);
			let refused = imported(&checkpoint, dir.path()).unwrap_err();
			assert!(refused.contains(reason), "{method:?} {reason}: {refused}");
		}
		// Groups other than those that the tensors have.
		for group in [64, 128] {
			let checkpoint = Checkpoint::new(method, 32, json!({})).with(json!({ "group_size": group }));
			let refused = imported(&checkpoint, dir.path()).unwrap_err();
			assert!(refused.contains(&format!("`group_size` {group}")), "{refused}");
		}
	}
	let mut awq = Checkpoint::new(Method::Awq, 32, json!({}));
	awq.tensors.insert(
		"model.layers.0.mlp.gate_proj.g_idx".into(),
		Tensor::words(&[64], &[0; 64]),
	);
	assert!(imported(&awq, dir.path())
		.unwrap_err()
		.contains("g_idx: is an order of inputs"));
}

#[test]
fn another_quantization_is_refused_with_the_next_step() {
	let dir = tempfile::tempdir().unwrap();
	let refused = |method, more: Value| {
		let checkpoint = Checkpoint::new(method, 32, json!({})).with(more.clone());
		match imported(&checkpoint, dir.path()) {
			Ok(()) => panic!("{method:?} {more} is imported"),
			Err(refused) => refused,
		}
	};
	for (more, reason) in [
		(json!({ "bits": 8 }), "`quantization_config.bits` is 8"),
		(json!({ "bits": 3 }), "`quantization_config.bits` is 3"),
		(json!({ "bits": "4" }), "`quantization_config.bits` is \"4\""),
		(json!({ "bits": null }), "`quantization_config.bits` is null"),
		(json!({ "group_size": -1 }), "`quantization_config.group_size` is -1"),
		(json!({ "group_size": 256 }), "`quantization_config.group_size` is 256"),
		(
			json!({ "group_size": 32.5 }),
			"`quantization_config.group_size` is 32.5",
		),
		(json!({ "quant_method": "bitsandbytes" }), "`quant_method` bitsandbytes"),
		(json!({ "quant_method": "fp8" }), "import the floats"),
		(json!({ "quant_method": null }), "`quant_method` unknown"),
		(json!({ "method": "exl3" }), "`quantization_config.method` is \"exl3\""),
		(
			json!({ "quant_method": "compressed-tensors", "format": "pack-quantized" }),
			"`quant_method` compressed-tensors",
		),
		(json!({ "modules_to_not_convert": "lm_head" }), "modules_to_not_convert"),
		(json!({ "grupo": 3 }), "`quantization_config.grupo` is not a known key"),
	] {
		for method in [Method::Awq, Method::Gptq] {
			let error = refused(method, more.clone());
			assert!(
				error.contains(reason) && error.contains("config.json"),
				"{method:?} {more}: {error}"
			);
		}
	}
	for (more, reason) in [
		(
			json!({ "version": "gemv" }),
			"`quantization_config.version` is \"gemv\"",
		),
		(json!({ "version": "gemv_fast" }), "take a checkpoint with `gemm`"),
		(json!({ "version": "marlin" }), "marlin"),
		(json!({ "version": "exllama" }), "exllama"),
		(json!({ "backend": "llm-awq" }), "`quantization_config.backend`"),
		(json!({ "zero_point": "yes" }), "`quantization_config.zero_point`"),
		(json!({ "do_fuse": true }), "`quantization_config.do_fuse`"),
		(
			json!({ "modules_to_fuse": { "attention": [] } }),
			"`quantization_config.modules_to_fuse`",
		),
		(
			json!({ "checkpoint_format": "gemv_fast" }),
			"`quantization_config.checkpoint_format` is \"gemv_fast\"",
		),
		(
			json!({ "checkpoint_format": "gemm", "format": "gemv" }),
			"`quantization_config.format` is \"gemv\"",
		),
		(json!({ "desc_act": true }), "`quantization_config.desc_act`"),
	] {
		let error = refused(Method::Awq, more.clone());
		assert!(error.contains(reason), "{more}: {error}");
	}
	for (more, reason) in [
		(
			json!({ "checkpoint_format": "marlin" }),
			"`quantization_config.checkpoint_format` is \"marlin\"",
		),
		(json!({ "checkpoint_format": "bitblas" }), "gptq and gptq_v2"),
		(
			json!({ "format": "gptq_v2" }),
			"`quantization_config.format` is \"gptq_v2\"",
		),
		(
			json!({ "is_marlin_format": true }),
			"`quantization_config.is_marlin_format`",
		),
		(json!({ "pack_dtype": "int64" }), "`quantization_config.pack_dtype`"),
		(
			json!({ "dynamic": { "-:.*down.*": {} } }),
			"`quantization_config.dynamic`",
		),
		(json!({ "desc_act": 1 }), "`quantization_config.desc_act`"),
		(json!({ "sym": 1 }), "`quantization_config.sym`"),
	] {
		let error = refused(Method::Gptq, more.clone());
		assert!(error.contains(reason), "{more}: {error}");
	}
	// What changes no weight is read past.
	for (method, more) in [
		(
			Method::Awq,
			json!({ "method": "awq", "quant_method": null, "checkpoint_format": "gemm", "format": "gemm" }),
		),
		(
			Method::Awq,
			json!({ "version": "GEMM", "zero_point": false, "backend": "autoawq", "do_fuse": false }),
		),
		(
			Method::Gptq,
			json!({ "checkpoint_format": null, "meta": { "quantizer": ["x"] }, "use_exllama": true }),
		),
		(
			Method::Gptq,
			json!({ "format": "gptq", "pack_dtype": "int32", "dynamic": null, "sym": true }),
		),
	] {
		imported(&Checkpoint::new(method, 32, json!({})).with(more), dir.path()).unwrap();
	}
	// Without the key, the integers are nothing that the importer knows.
	let mut bare = Checkpoint::new(Method::Awq, 32, json!({}));
	bare.config.as_object_mut().unwrap().remove("quantization_config");
	let error = imported(&bare, dir.path()).unwrap_err();
	assert!(error.contains("quantize_config.json or quant_config.json"), "{error}");
}

#[test]
fn an_interrupted_import_of_a_checkpoint_goes_on() {
	let dir = tempfile::tempdir().unwrap();
	let checkpoint = Checkpoint::new(Method::Gptq, 32, json!({}));
	imported(&checkpoint, dir.path()).unwrap();
	let (source, whole) = (dir.path().join("source"), dir.path().join("out"));
	for steps in [1, 3, 10, 25, 60] {
		let out = dir.path().join(format!("again-{steps}"));
		let mut left = steps;
		let stopped = import_with(&source, &out, &without_answer(), &mut |_| {
			left -= 1;
			if left == 0 {
				ControlFlow::Break(())
			} else {
				ControlFlow::Continue(())
			}
		});
		let Err(Error::Interrupted { partial }) = stopped else {
			panic!("{stopped:?}")
		};
		// A tensor of each kind that was written is damaged: the journal is not believed.
		let weights = partial.join(files::WEIGHTS);
		if weights.exists() && steps > 20 {
			let mut bytes = fs::read(&weights).unwrap();
			let end = bytes.len();
			bytes.iter_mut().skip(end / 2).step_by(501).for_each(|b| *b ^= 0x55);
			fs::write(&weights, bytes).unwrap();
		}
		import(&source, &out, &without_answer()).unwrap();
		for name in [files::WEIGHTS, files::MANIFEST, files::CONFIG] {
			assert!(read(&whole, name) == read(&out, name), "{steps} {name}");
		}
	}
}
