//! Networks of CPUs and GPUs: what any engine makes, every other confirms, and what none made, all reject alike.
//! Engines of this process, and programs behind a node's socket.

use crate::{
	common::{folder, Tiny},
	device,
};
use assay_engine::{scheduler::SchedulerLimits, Engine, Model};
use assay_numerics::Isa;
use assay_primitives::{job::Input, Finding, ModelId, Output, SamplingParams, WorkId};
use assay_protocol::{Request, Response, Work, WorkResult};
use codec::{DecodeAll, Encode};
use std::{
	io::{Read, Write},
	os::{fd::OwnedFd, unix::net::UnixStream},
	path::Path,
	process::{Child, Command},
	time::Duration,
};

/// Somebody who does work.
trait Member {
	fn work(&mut self, work: &Work) -> WorkResult;
}

impl Member for Engine {
	fn work(&mut self, work: &Work) -> WorkResult {
		self.run(work)
	}
}

fn works(model: ModelId) -> Vec<Work> {
	let params = |temperature, top_k| SamplingParams {
		temperature,
		top_k,
		..SamplingParams::greedy(20)
	};
	let all = [params(0, 0), params(1 << 16, 0), params(3 << 15, 30)];
	let work = |(i, params)| Work {
		model,
		input: Input::Text(format!("hello world {i}").into_bytes().try_into().unwrap()),
		params,
		seed: [i; 32],
		claim: None,
	};
	(0..).zip(all).map(work).collect()
}

/// Each member executes, and all verify what it made, and what it didn't. Returns how many findings were equal.
fn agree(members: &mut [Box<dyn Member>], model: ModelId) -> usize {
	let mut equal = 0;
	for work in works(model) {
		let mut made: Vec<WorkResult> = members.iter_mut().map(|member| member.work(&work)).collect();
		assert!(made.windows(2).all(|pair| pair[0] == pair[1]), "{made:?}");
		let Some(WorkResult::Executed { output, trace_root }) = made.pop() else {
			panic!("{work:?} was not executed")
		};
		let mut find_of = |claim: &Output| -> Vec<WorkResult> {
			let work = Work {
				claim: Some(claim.clone()),
				..work.clone()
			};
			members.iter_mut().map(|member| member.work(&work)).collect()
		};
		let confirm = WorkResult::Verified {
			finding: Finding::Confirm { trace_root },
		};
		let findings = find_of(&output);
		assert!(findings.iter().all(|found| *found == confirm), "{findings:?}");
		let mut changed = output.clone();
		let middle = changed.tokens.len() / 2;
		changed.tokens[middle] = (changed.tokens[middle] + 1) % 200;
		let findings_on_changed = find_of(&changed);
		assert!(findings_on_changed.windows(2).all(|pair| pair[0] == pair[1]));
		let rejected = |found: &WorkResult| {
			matches!(
				found,
				WorkResult::Verified {
					finding: Finding::Reject { .. }
				}
			)
		};
		assert!(rejected(&findings_on_changed[0]), "{:?}", findings_on_changed[0]);
		equal += findings.len() + findings_on_changed.len();
	}
	equal
}

#[test]
fn a_committee_of_gpus_and_cpus_is_of_one_mind() {
	let (gpu, portable) = (device().unwrap(), Some(Isa::Portable));
	let mut id = None;
	let engines = [
		Engine::new(),
		Engine::new().on_gpu(gpu.clone()),
		Engine::with(SchedulerLimits::default(), portable),
		Engine::new().on_gpu(gpu),
	];
	let mut members: Vec<Box<dyn Member>> = Vec::new();
	for mut engine in engines {
		// It serves the model only if it reproduces its known answer.
		id = Some(
			engine
				.add(Model::load(folder(Tiny::default()).path()).unwrap())
				.unwrap(),
		);
		members.push(Box::new(engine));
	}
	let equal = agree(&mut members, id.unwrap());
	println!("agreed {equal} findings: engines of one process");
}

/// A program, and the node's end of its socket.
struct Program {
	child: Child,
	stream: UnixStream,
	next: u8,
}

impl Program {
	fn start(program: &str, models: &Path) -> Self {
		let (stream, theirs) = UnixStream::pair().unwrap();
		let child = Command::new(program)
			.arg("serve")
			.arg("--models")
			.arg(models)
			.stdin(OwnedFd::from(theirs))
			.spawn()
			.unwrap();
		stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
		let mut program = Self { child, stream, next: 0 };
		assert!(matches!(program.read(), Response::Ready { models, .. } if models.is_empty()));
		for directory in std::fs::read_dir(models).unwrap() {
			let directory = directory.unwrap().file_name().into_string().unwrap();
			program.write(&Request::Load { directory });
			let answer = program.read();
			assert!(matches!(answer, Response::Loaded { .. }), "{answer:?}");
		}
		program
	}

	fn write(&mut self, request: &Request) {
		let frame = request.encode();
		self.stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
		self.stream.write_all(&frame).unwrap();
	}

	fn read(&mut self) -> Response {
		let mut length = [0; 4];
		self.stream.read_exact(&mut length).unwrap();
		let mut frame = vec![0; u32::from_be_bytes(length) as usize];
		self.stream.read_exact(&mut frame).unwrap();
		Response::decode_all(&mut &frame[..]).unwrap()
	}
}

impl Member for Program {
	fn work(&mut self, work: &Work) -> WorkResult {
		self.next += 1;
		let work = work.clone();
		self.write(&Request::Run {
			id: WorkId([self.next; 32]),
			work,
		});
		loop {
			match self.read() {
				Response::Done { id, result } if id == WorkId([self.next; 32]) => return result,
				_ => continue,
			}
		}
	}
}

impl Drop for Program {
	fn drop(&mut self) {
		self.child.kill().ok();
		self.child.wait().ok();
	}
}

/// The programs that a node starts: those of this build, or with colons between them
/// `ASSAY_ENGINES=bin/assay-engine:bin/assay-engine-cuda`.
#[test]
fn programs_behind_sockets_are_of_one_mind() {
	let here = env!("CARGO_BIN_EXE_assay-engine");
	let programs = std::env::var("ASSAY_ENGINES").unwrap_or_else(|_| format!("{here}:{here}"));
	let models = tempfile::tempdir().unwrap();
	let source = folder(Tiny::default());
	let to = models.path().join("tiny");
	std::fs::create_dir(&to).unwrap();
	for file in std::fs::read_dir(source.path()).unwrap() {
		let file = file.unwrap();
		std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
	}
	let id = assay_model_folder::Manifest::read(&to).unwrap().model_id();
	let start = |program| Box::new(Program::start(program, models.path())) as Box<dyn Member>;
	let mut members: Vec<_> = programs.split(':').map(start).collect();
	let (count, equal) = (members.len(), agree(&mut members, id));
	println!("agreed {equal} findings: {count} programs behind sockets");
}
