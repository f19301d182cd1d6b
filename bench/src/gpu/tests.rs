//! The whole benchmark on an emulated card: every measure runs, what the table says is there, and nothing of it gets into a document.

use super::*;
use report::Sheet;

/// Our worker in this process.
struct Here(ours::Ours);

impl Asked for Here {
	fn ask(&mut self, request: &Value) -> Result<Value> {
		// The emulation has no limits; a run needs some.
		match request.get("op").and_then(Value::as_str) {
			Some("limits") => Ok(json!({ "read": 1e12, "int8": 1e14 })),
			_ => self.0.answer(request),
		}
	}
}

/// A peer that takes a second for everything.
struct Peer;

impl Asked for Peer {
	fn ask(&mut self, request: &Value) -> Result<Value> {
		match request.get("op").and_then(Value::as_str) {
			Some("decode") => bail!("no memory"),
			_ => Ok(json!({ "seconds": 1.0 })),
		}
	}
}

fn options(dir: &Path) -> Options {
	Options {
		device: 0,
		cache: dir.join("cache"),
		out: dir.join("out"),
		peers: dir.into(),
		python: None,
		shapes: vec!["tiny".into()],
		commit: "a commit".into(),
		versions: String::new(),
		quick: true,
	}
}

#[test]
fn an_emulated_card_is_measured_to_the_end_and_written_nowhere() {
	let dir = tempfile::tempdir().expect("a folder");
	let options = options(dir.path());
	let mut started = Vec::new();
	let report = measure(&options, &mut |engine| {
		started.push(engine.to_owned());
		let emulated = Arc::new(cuda_emulation::Emulated::default());
		Ok(match engine {
			"ours" => Some(Box::new(Here(ours::Ours::new(emulated, true)))),
			"torch" => Some(Box::new(Peer)),
			_ => None,
		})
	})
	.expect("a report");
	for words in [
		"prefill, 48 tokens",
		"decode at depth 40, batch 3",
		"of memory's speed, decode, batch 1",
		"of int8's peak, prefill, 48 tokens",
		"a step of decoding, batch 3",
		"a step of 256 rows of a prompt",
		"verify ÷ generate, 40 tokens in, 6 out, batch 3",
		"card and processor confirm each other's answers",
		"yes, 8 tokens",
		"48.0 tok/s",
		"torch, decode at depth 40, batch 1: no memory",
		"an emulated graphics card",
	] {
		assert!(report.contains(words), "{words} is missing in\n{report}");
	}
	assert!(!options.out.exists());
	assert!(started.iter().any(|engine| engine == "torch.compile"));
}

/// Samples of a card that is known: one second a measure.
fn known(dir: &Path, shape: &Shape, scale: &Scale) -> Samples {
	let mut samples = Samples::open(&dir.join("log"), json!({ "card": "none" })).expect("a log");
	let mut push = |model: &str, engine: &str, measure: &str, answer| {
		samples.push(model, engine, measure, answer).expect("written");
	};
	push(CARD, CARD, "limits", json!({ "read": 1e12, "int8": 1e14 }));
	for measure in plan::measures(scale, 256) {
		let answer = json!({ "seconds": 1.0, "copy": 0.001, "hash": 0.002, "verify": 0.1, "generate": 2.0 });
		push(shape.name, "ours", &measure.key, answer);
	}
	push(shape.name, "torch", "prefill-512", json!({ "seconds": 0.5 }));
	samples
}

#[test]
fn shares_are_of_the_card_s_limits_and_of_the_step_they_belong_to() {
	let dir = tempfile::tempdir().expect("a folder");
	let (shape, scale) = (Shape::on_card("8b").expect("a shape"), Scale::FULL);
	let samples = known(dir.path(), &shape, &scale);
	let sheets = report::sheets(&samples, &[shape], &scale, 256);
	let Sheet { rows, own, missing, .. } = &sheets[0];
	assert!(missing.is_empty());
	let words = |label: &str| {
		let line = own.iter().find(|line| line[0] == label);
		line.unwrap_or_else(|| panic!("{label} is missing in {own:?}"))[1].clone()
	};
	// 32 steps in a second, each reads 7.96 GB and 144 positions' keys and values: 255 GB/s of 1000.
	assert_eq!(words("of memory's speed, decode, batch 1"), "26 %");
	// 2048 tokens of 6.98 G multiplications.
	assert_eq!(words("of int8's peak, prefill, 2048 tokens"), "14 %");
	// A millisecond of a 32nd of a second; of an eighth of a second.
	assert_eq!(
		words("copying 17.3 MB of rows back, a step of decoding, batch 32"),
		"3.2 % (1.0 ms)"
	);
	assert_eq!(words("hashing them, a step of 256 rows of a prompt"), "1.6 % (2.0 ms)");
	assert_eq!(
		words("verify ÷ generate, 128 tokens in, 256 out, batch 128"),
		"5.0 % (100 ms ÷ 2.00 s)"
	);
	assert_eq!(rows[0].ratio(1), Some(0.5));
	let report = report::markdown(&samples, &sheets);
	assert!(report.contains("reading memory 1000 GB/s; int8 by `mma.m16n8k32` 100.0 TMAC/s"));
	write(&dir.path().join("out"), &report, &sheets, "none").expect("written");
	let svg = fs::read_to_string(dir.path().join("out/img/gpu.svg")).expect("a chart");
	assert!(svg.contains("512 tok/s") && svg.contains("ours 0.50 ×"), "{svg}");
	let document = fs::read_to_string(dir.path().join("out/benchmarks-gpu.md")).expect("a document");
	assert!(document.starts_with("<!-- figures: written by make bench-gpu -->") && document.contains("](img/gpu.svg)"));
}
