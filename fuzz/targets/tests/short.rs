//! Every target on its seeds and on some thousands of mutations of them, the same ones each time. `make fuzz` runs longer.

#![allow(clippy::unwrap_used)]

use assay_fuzz_targets::{Target, TARGETS};
use assay_primitives::{Input, ModelId, SamplingParams, WorkId};
use assay_protocol::{Request, Response, SandboxStatus, ServedModel, Work, WorkResult};
use codec::Encode;
use std::{
	fs,
	panic::{catch_unwind, AssertUnwindSafe},
	path::{Path, PathBuf},
	time::{Duration, Instant},
};

/// Mutations of one target end after so many, or so much time on a slow machine; but some always run.
const MUTATIONS: usize = 20_000;
const TIME: Duration = Duration::from_secs(5);
const AT_LEAST: usize = 200;
/// One input takes no longer, whatever it is.
const SLOWEST: Duration = Duration::from_secs(5);

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
	let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds").join(name);
	let mut seeds: Vec<_> = fs::read_dir(&dir)
		.unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
		.map(|entry| entry.unwrap().path())
		.map(|path| (path.clone(), fs::read(path).unwrap()))
		.collect();
	seeds.sort();
	assert!(!seeds.is_empty(), "{name} has no seeds");
	seeds
}

/// xorshift64*: the same numbers everywhere.
struct Chance(u64);

impl Chance {
	fn below(&mut self, limit: usize) -> usize {
		self.0 ^= self.0 >> 12;
		self.0 ^= self.0 << 25;
		self.0 ^= self.0 >> 27;
		(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
	}
}

/// One to four small changes: flipped bits, telling bytes and numbers, pieces doubled, dropped, or taken from another seed.
fn mutate(chance: &mut Chance, data: &mut Vec<u8>, other: &[u8]) {
	const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\"{}[]():,|%*-+~\\'0919eE.nul \n";
	const WORDS: [&[u8]; 12] = [
		b"null",
		b"18446744073709551615",
		b"-1",
		b"1e999",
		b"\\ud800",
		b"[[[[[[[[",
		b"{\"a\":",
		b"{% for i in range(9999) %}",
		b"{{ x * 9999 }}",
		b" * 99999999",
		b"|join",
		b"\xff\xff\xff\xff",
	];
	for _ in 0..=chance.below(4) {
		let (from, length) = (chance.below(data.len() + 1), chance.below(24) + 1);
		let to = (from + length).min(data.len());
		match chance.below(7) {
			0 if from < data.len() => data[from] ^= 1 << chance.below(8),
			1 if from < data.len() => data[from] = TELLING[chance.below(TELLING.len())],
			2 => data.insert(from, TELLING[chance.below(TELLING.len())]),
			3 => drop(data.drain(from..to)),
			4 => data.extend_from_within(from..to),
			5 => drop(data.splice(from..to, WORDS[chance.below(WORDS.len())].iter().copied())),
			_ => {
				let begin = chance.below(other.len() + 1);
				let end = (begin + length).min(other.len());
				drop(data.splice(from..from, other[begin..end].iter().copied()));
			}
		}
	}
}

fn run(name: &str, target: Target, data: &[u8]) {
	let (begun, worked) = (Instant::now(), cpu_time());
	let held = catch_unwind(AssertUnwindSafe(|| target(data)));
	// Wall-clock time passes while other processes have the CPU.
	let slow = begun.elapsed() > SLOWEST && cpu_time().saturating_sub(worked) > SLOWEST;
	if held.is_err() || slow {
		let path = std::env::temp_dir().join(format!("assay-fuzz-{name}"));
		fs::write(&path, data).unwrap();
		let took = cpu_time().saturating_sub(worked);
		panic!("{name}, after {took:?}: the input is kept in {}", path.display());
	}
}

/// Returns the CPU time that this thread has used.
fn cpu_time() -> Duration {
	let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
	let nanoseconds = stat.split_whitespace().next().and_then(|n| n.parse().ok());
	Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn short_run(name: &str) {
	let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
	let seeds = seeds(name);
	for (_, seed) in &seeds {
		run(name, target, seed);
	}
	// FUZZ_RUNS: so many, however long they take; other ones with another FUZZ_SEED.
	let asked = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
	let (mutations, time) = match asked("FUZZ_RUNS") {
		Some(runs) => (runs as usize, Duration::MAX),
		None => (MUTATIONS, TIME),
	};
	let seed = asked("FUZZ_SEED")
		.unwrap_or(0)
		.wrapping_mul(2)
		.wrapping_add(0x9E37_79B9_7F4A_7C15);
	let (begun, mut chance, mut done) = (Instant::now(), Chance(seed), 0);
	while done < mutations && (done < AT_LEAST || begun.elapsed() < time) {
		let mut data = seeds[chance.below(seeds.len())].1.clone();
		let other = &seeds[chance.below(seeds.len())].1;
		mutate(&mut chance, &mut data, other);
		run(name, target, &data);
		done += 1;
	}
	println!(
		"{name}: {} seeds, {done} mutations in {:?}",
		seeds.len(),
		begun.elapsed()
	);
}

/// Seeds that follow from the formats in this tree: `ASSAY_BLESS=1` writes them again after a change of a format.
#[test]
fn made_seeds_are_current() {
	let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
	let framed = |message: Vec<u8>| [&(message.len() as u32).to_be_bytes()[..], &message].concat();
	let work = Work {
		model: ModelId([7; 32]),
		input: Input::Text(b"What is a seed?".to_vec().try_into().unwrap()),
		params: SamplingParams::greedy(20),
		seed: [1; 32],
		claim: None,
	};
	let request = |id| Request::Run { id, work: work.clone() }.encode();
	let abstained = WorkResult::Abstained {
		reason: "no such model".into(),
	};
	let ready = Response::Ready {
		models: vec![ServedModel {
			id: ModelId([7; 32]),
			name: "demo".into(),
			parameters: 3_000_000,
			load_ms: 12,
		}],
		sandbox: SandboxStatus::OFF,
	};
	let done = Response::Done {
		id: WorkId([2; 32]),
		result: abstained,
	};
	let tokenizer = assay_test_fixtures::tokenizer().to_string();
	for (name, bytes) in [
		(
			"config/demo.json",
			fs::read(root.join("demo-model/assay-demo/config.json")).unwrap(),
		),
		(
			"manifest/demo.json",
			fs::read(root.join("demo-model/assay-demo/manifest.json")).unwrap(),
		),
		("registration/demo", demo_manifest(&root)),
		(
			"template/demo",
			fs::read(root.join("demo-model/assay-demo/chat_template.jinja")).unwrap(),
		),
		(
			"tokenizer/tiny",
			[tokenizer.as_bytes(), "\0hello world<|end|>".as_bytes()].concat(),
		),
		(
			"tokenizer/text",
			"\0hello wörld \u{1F600}\n\t<|user|>12345 don't".as_bytes().to_vec(),
		),
		(
			"frames/requests",
			[framed(Request::Ping(3).encode()), framed(request(WorkId([2; 32])))].concat(),
		),
		(
			"frames/responses",
			[
				framed(ready.encode()),
				framed(Response::Pong(3).encode()),
				framed(done.encode()),
			]
			.concat(),
		),
		("frames/request", request(WorkId([3; 32]))),
		("frames/response", done.encode()),
		("receipt/closed", receipt(&root, "closed_three_handovers")),
		("receipt/open", receipt(&root, "open_objections_possible")),
		("receipt/pruned", receipt(&root, "pruned")),
		("receipt/descendants", receipt(&root, "votes_for_descendants")),
		("receipt/no_evidence", receipt(&root, "format_4")),
	] {
		let path = root.join("fuzz/seeds").join(name);
		if std::env::var_os("ASSAY_BLESS").is_some() {
			fs::write(&path, &bytes).unwrap();
		}
		let found = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
		assert!(
			found == bytes,
			"{name} is of an older format; ASSAY_BLESS=1 writes it again"
		);
	}
}

/// Returns the bytes that a registration of the demo model carries.
fn demo_manifest(root: &Path) -> Vec<u8> {
	let model = root.join("demo-model/assay-demo");
	assay_model_folder::Manifest::read(&model).unwrap().encode()
}

/// Returns the file and the anchor of one of the vectors of receipts.
fn receipt(root: &Path, name: &str) -> Vec<u8> {
	let text = fs::read_to_string(root.join("docs/spec/receipt-vectors.json")).unwrap();
	let all: serde_json::Value = serde_json::from_str(&text).unwrap();
	let vector = all["vectors"]
		.as_array()
		.unwrap()
		.iter()
		.find(|vector| vector["name"] == name);
	let vector = vector.unwrap_or_else(|| panic!("there is no vector {name}"));
	let anchor: assay_receipt::Anchor = serde_json::from_value(vector["anchor"].clone()).unwrap();
	let anchor = serde_json::to_string(&anchor).unwrap();
	format!("{}\0{anchor}", vector["file"].as_str().unwrap()).into_bytes()
}

macro_rules! short_runs {
	($($test:ident $target:literal)*) => {
		$(#[test]
		fn $test() {
			short_run($target);
		})*

		#[test]
		fn every_target_has_a_short_run_a_program_and_seeds() {
			let short = [$($target),*];
			for (name, _) in TARGETS {
				assert!(short.contains(&name), "{name}");
				let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../programs/{name}.rs"));
				assert!(fs::read_to_string(program).unwrap().contains(&format!("assay_fuzz_targets::{name}(data)")));
				assert!(!seeds(name).is_empty());
			}
			assert_eq!(short.len(), TARGETS.len());
		}
	};
}

short_runs! {
	untrusted_conversations_are_read_or_refused "chat"
	untrusted_endpoints_are_read_or_refused "endpoint"
	untrusted_configurations_are_read_or_refused "config"
	untrusted_frames_are_read_or_refused "frames"
	untrusted_gguf_files_are_read_or_refused "gguf"
	untrusted_headers_are_read_or_refused "header"
	untrusted_manifests_are_read_or_refused "manifest"
	untrusted_receipts_are_verified_or_refused "receipt"
	untrusted_registrations_are_read_or_refused "registration"
	untrusted_templates_are_rendered_or_refused "template"
	untrusted_tokenizers_are_read_or_refused "tokenizer"
}
