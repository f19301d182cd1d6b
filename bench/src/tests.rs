//! The whole benchmark with peers that are none: on an emulated GPU, where our engine computes, and on the CPU, where it doesn't. Every
//! measure runs, and what the tables say is there.

use super::*;
use engine::Engine;
use report::Sheet;
use std::{path::Path, sync::Arc};

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
		"trace": 0.01, "bytes": 1e9, "bytes_per_second": 3e9,
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
		python: None,
		commit: "a commit".into(),
		versions: String::new(),
		threads: Some(2),
		quick: true,
		report: false,
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
	let report = run(&options, &mut |engine| {
		started.push(engine.to_owned());
		let emulated = Arc::new(cuda_emulation::Emulated::default());
		Ok(match engine {
			OURS => Some(Box::new(Emulated(ours::gpu::Ours::new(emulated, true)))),
			"torch" => Some(Box::new(Peer)),
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
			"48.0 tok/s",
			"torch, decode-40: no memory",
			"- GPU: an emulated",
		],
	);
	assert!(!options.out.exists());
	assert!(started.iter().any(|engine| engine == "torch.compile"));
}

/// A run on a device that is known: one second a measure.
fn known(dir: &Path, plan: Plan, name: &str) -> Run {
	let model = Model::on_gpu(name).expect("a shape");
	let files = models::Files {
		dir: dir.into(),
		gguf: dir.into(),
		id: "none".into(),
	};
	Run {
		engines: plan.engines.map(String::from).into(),
		models: vec![Model {
			files: (plan.device == Device::Cpu).then_some(files),
			..model
		}],
		plan,
		threads: 2,
		cache: dir.into(),
		samples: Samples::open(&dir.join("log"), json!({ "GPU": "none" })).expect("a log"),
		begun: Instant::now(),
	}
}

fn words(sheet: &Sheet, label: &str) -> String {
	let own = sheet
		.own
		.iter()
		.find(|line| line[0] == label)
		.map(|line| line[1].clone());
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
		push("8b", OURS, &measure.key, a_second());
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
	assert_eq!(sheet.rows[0].ratio(1), Some(0.5));
	let report = report::markdown(&run, &sheets);
	assert!(report.contains("reading memory 1000 GB/s; int8 by `mma.m16n8k32` 100.0 TMAC/s"));
	let out = dir.path().join("out");
	documents::write(&out, &run, &sheets, &report).expect("written");
	let svg = fs::read_to_string(out.join("img/gpu.svg")).expect("a chart");
	assert!(svg.contains("512 tok/s") && svg.contains("ours 0.50 ×"), "{svg}");
	let document = fs::read_to_string(out.join("benchmarks-gpu.md")).expect("a document");
	assert!(document.starts_with("<!-- figures: written by make bench-gpu -->") && document.contains("](img/gpu.svg)"));
}

#[test]
fn a_run_on_the_cpu_asks_every_engine_what_it_can_do_and_an_interrupted_one_only_for_the_rest() {
	let dir = tempfile::tempdir().expect("a directory");
	let mut started = 0;
	let start: &mut Start = &mut |engine| {
		started += 1;
		let engine: Box<dyn Engine> = if engine == "llama.cpp" {
			Box::new(Peer)
		} else {
			Box::new(Second)
		};
		Ok(Some(engine))
	};
	let mut run = known(dir.path(), Plan::cpu(false, 2), "1.1b");
	let done = |run: &Run, engine: &str, key: &str| run.samples.count("1.1b", engine, key);
	run.measure(start).expect("measured");
	assert_eq!(run.samples.count(run::DEVICE, run::DEVICE, "limits-2"), 10);
	assert_eq!([OURS, "candle"].map(|engine| done(&run, engine, "decode-128")), [5, 5]);
	assert_eq!([OURS, "candle"].map(|engine| done(&run, engine, "batch-32")), [3, 0]);
	assert_eq!([OURS, "candle"].map(|engine| done(&run, engine, "job-32")), [2, 0]);
	assert_eq!([OURS, "candle"].map(|engine| done(&run, engine, "hash")), [3, 0]);
	assert_eq!(done(&run, "candle", "memory"), 3);
	assert_eq!(done(&run, "llama.cpp", "decode-128"), usize::MAX);
	let sheets = report::sheets(&run);
	let report = report::markdown(&run, &sheets);
	assert_all_in(
		&report,
		&[
			"reading memory 1000.0 GB/s with one thread, 1000.0 with 2; int8 100000 GMAC/s with one thread, 100000 with 2",
			"2 to 5 repetitions; medians.",
			"logits of candle beside ours",
			"cosine 1.00000",
			"trace's share of prefill of 512",
			"1.1b: verify ÷ generate ≤ 5 %, one job",
			"llama.cpp, batch-8: no memory",
		],
	);
	assert_eq!(words(&sheets[0], "of int8's peak, prefill 512"), "0.5 %");
	assert_eq!(words(&sheets[0], "prefill, 128 tokens"), "128 tok/s");
	assert_eq!(words(&sheets[0], "first token after load"), "1.00 s");
	assert_eq!(words(&sheets[0], "peak memory"), "1000 MB");
	documents::write(&dir.path().join("out"), &run, &sheets, &report).expect("written");
	assert!(dir.path().join("out/img/verify.svg").exists());

	// Nothing is missing, so no engine is loaded again.
	run.measure(start).expect("measured");
	assert_eq!(started, 2 + 3 + 3 * 3);
}
