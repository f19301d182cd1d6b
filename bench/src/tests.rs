//! The whole benchmark with peers that are none: on an emulated GPU, where our engine computes, and on the CPU, where it doesn't. Every
//! measure runs, and what the tables say is there.

use super::*;
use engine::Engine;
use entries::Width;
use report::Sheet;
use std::{num::NonZeroUsize, path::Path, sync::Arc};

/// Our engine on an emulated GPU, in this process.
struct Emulated(ours::gpu::Ours);

impl Engine for Emulated {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		// The emulation has no limits; a run needs some.
		match request {
			Request::Limits { .. } => Ok(json!({ "read": 1e12, "int8": 1e14 })),
			request => self.0.ask(request),
		}
	}
}

/// A peer that takes a second for everything but cannot decode.
struct Peer;

impl Engine for Peer {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		match request {
			Request::Decode { .. } => bail!("no memory"),
			_ => Ok(json!({ "seconds": 1.0 })),
		}
	}
}

/// What an engine answers that takes a second for everything.
fn a_second() -> Value {
	json!({
		"seconds": 1.0, "copy": 0.001, "hash": 0.002, "verify": 0.1, "generate": 2.0, "answer": 256, "read": 1e12, "int8": 1e14,
		"trace": 0.01, "bytes": 1e9, "bytes_per_second": 3e9, "whole": 20.0,
	})
}

/// An engine that writes the same logits as the others.
struct Second;

impl Engine for Second {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		if let Request::Logits { out, .. } = request {
			engine::write_logits(out, &[1.0, 2.0])?;
		}
		Ok(a_second())
	}
}

fn options(dir: &Path, gpu: Option<u32>, model: &str) -> Options {
	Options {
		gpu,
		root: dir.into(),
		cache: dir.join("cache"),
		out: dir.join("out"),
		peers: [Program::Torch, Program::TorchCompile]
			.map(|peer| (peer, dir.into()))
			.into(),
		commit: "a commit".into(),
		versions: String::new(),
		threads: NonZeroUsize::new(2),
		quick: true,
		report: false,
		repetitions: None,
		models: vec![model.into()],
		engines: Vec::new(),
	}
}

fn assert_all_in(report: &str, all: &[&str]) {
	for words in all {
		assert!(report.contains(words), "{words} is missing in\n{report}");
	}
}

#[test]
fn an_emulated_gpu_is_measured_to_the_end_and_written_nowhere() {
	let dir = tempfile::tempdir().expect("a directory");
	let options = options(dir.path(), Some(0), "tiny");
	let mut started = Vec::new();
	let report = run(&options, &mut |entry| {
		started.push(entry.program);
		let emulated = Arc::new(cuda_emulation::Emulated::default());
		Ok(match entry.program {
			Program::Ours => Some(Box::new(Emulated(ours::gpu::Ours::new(emulated, true)))),
			Program::Torch => Some(Box::new(Peer)),
			_ => None,
		})
	})
	.expect("a report");
	assert_all_in(
		&report,
		&[
			"prefill, 48 tokens",
			"decode, batch of 3",
			"of memory's speed, depth 40",
			"of int8's peak, prefill 48",
			"a step of decoding, batch of 3",
			"a step of 128 tokens of a prompt",
			"verify ÷ generate, 3 jobs at once, 40 tokens in, 6 out",
			"GPU and CPU confirm each other's answers",
			"yes, 8 tokens",
			"prefill, 48 tokens, tok/s",
			" 48.0 |",
			"torch, decode-40: no memory",
			"- GPU: an emulated",
		],
	);
	assert!(!options.out.exists());
	assert!(started.contains(&Program::TorchCompile));
}

/// A run on a device that is known: one second a measure.
fn known(dir: &Path, plan: Plan, name: &str) -> Run {
	let on_gpu = Model::on_gpu(name).expect("a shape");
	let on_cpu = |width: Width| {
		let entries = entries::of_width(width, false);
		let formats = entries.iter().filter_map(|entry| entry.format);
		let files = models::Files {
			dirs: formats.map(|format| (format, dir.into())).collect(),
			gguf: dir.into(),
			ids: Vec::new(),
		};
		Model {
			name: format!("{name}-{}", width.name()),
			entries,
			files: Some(files),
			..on_gpu.clone()
		}
	};
	Run {
		models: match plan.device {
			Device::Cpu => Width::ALL.map(on_cpu).into(),
			Device::Gpu => vec![on_gpu],
		},
		plan,
		threads: 2,
		cache: dir.into(),
		samples: Samples::open(&dir.join("log"), json!({ "GPU": "none", "matrix units": "none" })).expect("a log"),
		begun: Instant::now(),
	}
}

/// What the tables have for our first column.
fn words(sheet: &Sheet, label: &str) -> String {
	let own = sheet.own.iter().find(|(known, _)| known == label);
	let own = own.map(|(_, words)| words[0].clone());
	let row = sheet.rows.iter().find(|row| row.label == label);
	let found = own.or(row.map(|row| row.cells[0].words.clone()));
	found.unwrap_or_else(|| panic!("{label} is missing in {:?}", sheet.own))
}

#[test]
fn shares_are_of_the_gpu_s_limits_and_of_the_step_they_belong_to() {
	let dir = tempfile::tempdir().expect("a directory");
	let mut run = known(dir.path(), Plan::gpu(false, 256), "8b");
	let mut push = |model: &str, engine: &str, measure: &str, answer| {
		run.samples.push(model, engine, measure, answer).expect("written");
	};
	push(run::DEVICE, run::DEVICE, "limits", a_second());
	for measure in &run.plan.measures {
		push("8b", "ours", &measure.key, a_second());
	}
	push("8b", "torch", "prefill-512", json!({ "seconds": 0.5 }));
	let sheets = report::sheets(&run);
	let sheet = &sheets[0];
	assert!(sheet.missing.is_empty());
	// 32 steps in a second, each reads 7.96 GB and 144 positions' keys and values: 255 GB/s of 1000.
	assert_eq!(words(sheet, "of memory's speed, depth 128"), "26 %");
	// 2048 tokens of 6.98 G multiplications.
	assert_eq!(words(sheet, "of int8's peak, prefill 2048"), "14 %");
	// A millisecond of a 32nd of a second; of an eighth of a second.
	assert_eq!(
		words(
			sheet,
			"copying 17.3 MB of trace to the host, a step of decoding, batch of 32"
		),
		"3.2 % (1.0 ms)"
	);
	assert_eq!(
		words(sheet, "hashing it, a step of 256 tokens of a prompt"),
		"1.6 % (2.0 ms)"
	);
	assert_eq!(
		words(sheet, "verify ÷ generate, 128 jobs at once, 128 tokens in, 256 out"),
		"5.0 % (100 ms ÷ 2.00 s)"
	);
	assert_eq!(
		(sheet.rows[0].best_peer(&sheet.entries), sheet.rows[0].ratio(0, 1)),
		(Some(1), Some(0.5))
	);
	let report = report::markdown(&run, &sheets);
	assert!(report.contains("reading memory 1000 GB/s; int8 by `mma.m16n8k32` 100.0 TMAC/s"));
	let out = dir.path().join("out");
	documents::write(&out, &run, &sheets, &report).expect("written");
	let svg = fs::read_to_string(out.join("img/gpu.svg")).expect("a chart");
	assert!(
		svg.contains("1024 torch") && svg.contains("512 ours  (0.50 × the best peer)"),
		"{svg}"
	);
	let document = fs::read_to_string(out.join("benchmarks-gpu.md")).expect("a document");
	assert!(document.starts_with("<!-- figures: written by make bench-gpu -->") && document.contains("](img/gpu.svg)"));
}

#[test]
fn a_run_on_the_cpu_asks_every_engine_what_it_can_do_and_an_interrupted_one_only_for_the_rest() {
	let dir = tempfile::tempdir().expect("a directory");
	let mut started = 0;
	let start: &mut Start = &mut |entry| {
		started += 1;
		let engine: Box<dyn Engine> = if entry.program == Program::LlamaCpp {
			Box::new(Peer)
		} else {
			Box::new(Second)
		};
		Ok(Some(engine))
	};
	let mut run = known(dir.path(), Plan::cpu(false, 2), "1.1b");
	run.measure(start).expect("measured");
	let done = |model: &str, engine: &str, key: &str| run.samples.count(model, engine, key);
	assert_eq!(done(run::DEVICE, run::DEVICE, "limits-2"), 10);
	let eight = |engine, key| done("1.1b-8bit", engine, key);
	assert_eq!(["w8-32", "w8-128", "candle"].map(|e| eight(e, "decode-128")), [5, 5, 5]);
	assert_eq!(
		["w8-32", "ik_llama.cpp", "candle"].map(|e| eight(e, "batch-32")),
		[3, 3, 0]
	);
	assert_eq!(["w8-32", "w8-128", "OpenVINO"].map(|e| eight(e, "job-32")), [2, 0, 0]);
	assert_eq!(["w8-32", "w8-128", "OpenVINO"].map(|e| eight(e, "job-1")), [3, 3, 0]);
	assert_eq!(["w8-32", "w8-128", "candle"].map(|e| eight(e, "spot")), [3, 3, 0]);
	assert_eq!(["w8-32", "OpenVINO"].map(|e| eight(e, "hash")), [3, 0]);
	assert_eq!(
		(eight("candle", "memory"), eight("llama.cpp", "decode-128")),
		(3, usize::MAX)
	);
	let four = |engine, key| done("1.1b-4bit", engine, key);
	// What is only divided by is asked for nothing else.
	assert_eq!(
		["decode-128", "prefill-128", "job-1", "memory", "cosine"].map(|key| four("w8-32", key)),
		[5, 0, 0, 0, 0]
	);
	assert_eq!(["w4", "w4z-128", "OpenVINO"].map(|e| four(e, "job-32")), [0, 2, 0]);

	// Nothing is missing, so no engine is loaded again.
	run.measure(start).expect("measured");
	assert_eq!(started, 2 + (6 + 5 * 3 + 3) + (6 + 5 * 3));
}

#[test]
fn tables_of_the_cpu_have_a_column_for_each_engine_and_the_best_peer() {
	let dir = tempfile::tempdir().expect("a directory");
	let mut run = known(dir.path(), Plan::cpu(false, 2), "1.1b");
	let start: &mut Start = &mut |entry| {
		let fails = entry.program == Program::LlamaCpp;
		Ok(Some(if fails { Box::new(Peer) } else { Box::new(Second) }))
	};
	run.measure(start).expect("measured");
	let push = |run: &mut Run, engine: &str, key: &str, seconds: f64| {
		run.samples
			.push("1.1b-4bit", engine, key, json!({ "seconds": seconds }))
			.expect("written");
	};
	for _ in 0..6 {
		push(&mut run, "OpenVINO", "decode-1024", 0.5);
		push(&mut run, "w4", "decode-1024", 0.25);
	}
	let sheets = report::sheets(&run);
	let report = report::markdown(&run, &sheets);
	let cells = |label: &str, sheet: usize| {
		let table = report.split("### ").nth(sheet).expect("a table");
		let mut lines = table.lines();
		let line = lines.find(|line| line.starts_with(&format!("| {label} ")));
		let line = line.unwrap_or_else(|| panic!("{label} is missing in\n{table}"));
		line.split('|')
			.map(str::trim)
			.filter(|cell| !cell.is_empty())
			.skip(1)
			.map(String::from)
			.collect::<Vec<_>>()
	};
	assert_eq!(
		cells("decode at depth 1024, tok/s", 2),
		["96.0", "24.0", "24.0", "failed", "24.0", "48.0", "OpenVINO", "2.00 ×", "0.50 ×"]
	);
	assert_eq!(
		cells("prefill, 128 tokens, tok/s", 1),
		["128", "128", "128", "128", "128", "128", "candle", "1.00 ×", "1.00 ×"]
	);
	assert_eq!(cells("peak memory, bytes a weight", 1)[..2], ["0.91", "0.91"]);
	assert_eq!(cells("logits beside w8-32's, cosine", 1)[..2], ["–", "1.00000"]);
	assert_all_in(
		&report,
		&[
			"reading memory 1000.0 GB/s with one thread, 1000.0 with 2; multiplying int8, in tiles where it\n",
			"  has them, 100000 GMAC/s with one thread, 100000 with 2",
			"2 to 5 repetitions; medians.",
			"trace's share of prefill of 512",
			"spot check of one chunk ÷ verification of all, 128 tokens in, 256 out",
			"5.0 % (1.00 s ÷ 20.00 s)",
			"32 jobs at once: checks and audits with 0, 1, 2, 3 verifiers, % of generation",
			"0.2, 5.2, 10.2, 15.2",
			"1.1b: w4, decode at depth 1024, ours ÷ our w8-32 ≥ 1.7 ×",
			"4.00 × | reached",
			"1.1b: w4z-128, decode at depth 1024, ours ÷ our w8-32 ≥ 1.7 ×",
			"- matrix units: none",
			"llama.cpp, batch-8: no memory",
		],
	);
	assert_eq!(words(&sheets[0], "of int8's peak, prefill 512"), "0.5 %");
	assert_eq!(words(&sheets[0], "first token after load"), "1.00 s");
	assert_eq!(words(&sheets[0], "peak memory"), "1000 MB");
	documents::write(&dir.path().join("out"), &run, &sheets, &report).expect("written");
	let chart = |name: &str| fs::read_to_string(dir.path().join("out/img").join(name)).expect("a chart");
	assert!(chart("verify.svg").contains("1.1b w4z-128, 32 jobs"));
	assert!(
		chart("speed.svg").contains("24.0 ours, w4z-128"),
		"{}",
		chart("speed.svg")
	);
}

#[test]
fn random_models_hold_the_same_weights_in_all_formats_of_a_width() {
	let shape = shapes::Shape::named("tiny").expect("a shape");
	let dir = tempfile::tempdir().expect("a directory");
	for width in Width::ALL {
		let [first, second] = width.formats().map(|format| {
			let out = dir.path().join(format.to_string());
			weights::write_dir(&shape, format, &out, |_, _| ()).expect("written");
			let model = assay_engine::Model::load(&out).expect("a model that the engine reads");
			assert_eq!(
				model.manifest().parameters() as usize,
				shape.weights() + 5 * shape.hidden
			);
			floats(&out, "model.layers.1.mlp.down_proj.weight")
		});
		assert_eq!(first, second);
		let power = first.iter().map(|v| v * v).sum::<f32>() / first.len() as f32 * shape.intermediate as f32;
		assert!((0.2..2.0).contains(&power), "{power}");
		let gguf = dir.path().join("gguf");
		gguf::export(&dir.path().join(width.formats()[0].to_string()), &gguf, |_, _| ()).expect("written");
		assert_eq!(of_gguf(&gguf, "blk.1.ffn_down.weight"), first);
	}
}

/// A matrix of a canonical model directory.
fn floats(dir: &Path, name: &str) -> Vec<f32> {
	let bytes = fs::read(dir.join("model.safetensors")).expect("weights");
	let file = safetensors::SafeTensors::deserialize(&bytes).expect("weights");
	let (weight, scale) = (
		file.tensor(name).expect("a matrix"),
		file.tensor(&format!("{name}_scale")).expect("scales"),
	);
	let table = file.tensor(&format!("{name}_table")).ok();
	let values: Vec<i32> = match weight.dtype() {
		safetensors::Dtype::I8 => weight.data().iter().map(|v| i32::from(*v as i8)).collect(),
		_ => {
			let nibbles = weight.data().iter().flat_map(|v| [v & 15, v >> 4]);
			let value = |index: u8| match &table {
				Some(table) => i32::from(table.data()[usize::from(index)] as i8),
				None => i32::from(index) - 8,
			};
			nibbles.map(value).collect()
		}
	};
	let (rows, groups) = (scale.shape()[0], scale.shape()[1]);
	let width = values.len() / rows;
	let scales: Vec<f32> = scale
		.data()
		.chunks(2)
		.map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
		.collect();
	let group = |column: usize| column * groups.max(1) / width;
	let value = |(i, v): (usize, &i32)| *v as f32 * scales[i / width * groups + group(i % width)];
	values.iter().enumerate().map(value).collect()
}

/// A matrix of a GGUF file.
fn of_gguf(path: &Path, name: &str) -> Vec<f32> {
	let mut file = fs::File::open(path).expect("a file");
	let content = candle_core::quantized::gguf_file::Content::read(&mut file).expect("GGUF");
	let tensor = content
		.tensor(&mut file, name, &candle_core::Device::Cpu)
		.expect("a matrix");
	let floats = tensor.dequantize(&candle_core::Device::Cpu).expect("floats");
	floats.flatten_all().expect("floats").to_vec1().expect("floats")
}
