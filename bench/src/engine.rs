//! What every engine answers, ours and the peers alike: one JSON object a line, one answer a line, a process for each engine.

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::{
	fs,
	io::{BufRead, BufReader, Write},
	path::{Path, PathBuf},
	process::{Child, ChildStdin, ChildStdout, Command, Stdio},
	time::Instant,
};

/// What an engine is asked. The answer holds `seconds` unless stated otherwise, or `error` with a sentence.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
	/// Our engine only: `name` of the GPU, whether it is `emulated`, and the default `max_batched_tokens`.
	Device,
	/// Our engine only: what the device can do at most, `read` in bytes and `int8` in multiply-accumulates per second.
	Limits {
		/// Threads that share the work; a GPU uses all it has.
		threads: usize,
	},
	/// Loads or makes a model.
	Load(Load),
	/// A prompt from nothing to the logits of its last token.
	Prefill {
		/// Length of the prompt.
		tokens: usize,
		/// Tokens of one step, where the scheduler is measured.
		max_batched_tokens: Option<usize>,
	},
	/// Steps of one token for each of `batch` sequences.
	Decode {
		/// Positions of each sequence before the first step.
		depth: usize,
		/// Steps.
		tokens: usize,
		/// Sequences.
		batch: usize,
	},
	/// Writes the logits behind the last token as f32 into a file.
	Logits {
		/// Token ids.
		tokens: Vec<u32>,
		/// The file.
		out: PathBuf,
	},
	/// Our engine only: seconds to `generate` and to `verify` answers, and the mean length of an `answer`.
	Job {
		/// Length of each prompt.
		prompt: usize,
		/// Most tokens of each answer.
		answer: usize,
		/// Jobs at once.
		batch: usize,
		/// Temperature, a whole number.
		temperature: u32,
	},
	/// Our engine on a GPU only: seconds to `copy` the residual trace of one step to the host and to `hash` it.
	Trace {
		/// Sequences of the step.
		sequences: usize,
		/// Tokens of each.
		tokens: usize,
	},
	/// Our engine on a GPU only: GPU and CPU confirm each other's answers; how many `tokens` these had.
	Check {
		/// Length of the prompt.
		prompt: usize,
		/// Length of each answer.
		answer: usize,
	},
	/// Our engine on the CPU only: `seconds` to check one chunk in the middle of an answer from what its trace commits to, beside those
	/// to verify all of it, which take `whole`.
	Spot {
		/// Length of the prompt.
		prompt: usize,
		/// Length of the answer.
		answer: usize,
	},
	/// Our engine on the CPU only: `bytes_per_second` at which one thread hashes the loaded model's weights.
	Hash,
	/// The most `bytes` that the process ever had resident.
	Memory,
}

/// The model to load; each engine reads what it needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Load {
	/// Name of the shape.
	pub shape: String,
	/// `config.json` as Hugging Face writes it.
	pub config: Value,
	/// Most positions of a sequence.
	pub context: usize,
	/// Threads to compute with.
	pub threads: usize,
	/// Our engine only: the instruction set that it is held to.
	pub isa: Option<String>,
	/// The canonical model directory, if the model lies on disk.
	pub dir: Option<PathBuf>,
	/// The same weights as GGUF.
	pub gguf: Option<PathBuf>,
}

impl Request {
	/// Positions that one sequence needs.
	pub fn positions(&self) -> usize {
		match *self {
			// The scheduler also makes room for the first token of the answer.
			Self::Prefill {
				tokens,
				max_batched_tokens,
			} => tokens + usize::from(max_batched_tokens.is_some()),
			Self::Decode { depth, tokens, .. } => depth + tokens,
			Self::Job { prompt, answer, .. } | Self::Check { prompt, answer } | Self::Spot { prompt, answer } => {
				prompt + answer
			}
			_ => 1,
		}
	}
}

/// An engine that is measured: ours or a peer, in a process of its own or, in tests, in this one.
pub trait Engine {
	/// Answers one request.
	fn ask(&mut self, request: &Request) -> Result<Value>;
}

/// The answer of most requests.
pub fn seconds_since(begun: Instant) -> Value {
	json!({ "seconds": begun.elapsed().as_secs_f64() })
}

/// The token that all engines are given at a position: no two sequences are alike, and none contains a special token.
pub fn token(position: usize) -> u32 {
	4 + (position * 97 + 13) as u32 % 256
}

/// Writes logits as little-endian f32.
pub fn write_logits(out: &Path, logits: &[f32]) -> Result<()> {
	let bytes: Vec<u8> = logits.iter().flat_map(|v| v.to_le_bytes()).collect();
	Ok(fs::write(out, bytes)?)
}

/// Answers requests from stdin until it ends.
pub fn serve(engine: &mut dyn Engine) -> Result<()> {
	for line in std::io::stdin().lines() {
		let answer = match serde_json::from_str(&line?)? {
			Request::Memory => Ok(json!({ "bytes": peak_bytes() })),
			request => engine.ask(&request),
		};
		let answer = answer.unwrap_or_else(|error| json!({ "error": first_line(&format!("{error:#}")) }));
		println!("{answer}");
		std::io::stdout().flush()?;
	}
	Ok(())
}

/// Without the backtrace that some libraries put into their errors.
fn first_line(text: &str) -> &str {
	text.lines().next().unwrap_or(text)
}

/// The most bytes this process ever had resident.
fn peak_bytes() -> u64 {
	let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
	let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
	let kib = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
	kib.unwrap_or(0) * 1024
}

/// An engine's process, which ends when this is dropped.
pub struct Remote {
	child: Child,
	requests: Option<ChildStdin>,
	answers: BufReader<ChildStdout>,
}

impl Remote {
	/// Starts an engine's process.
	pub fn start(mut command: Command) -> Result<Self> {
		end_with_this_process(&mut command);
		let mut child = command
			.stdin(Stdio::piped())
			.stdout(Stdio::piped())
			.spawn()
			.with_context(|| format!("{command:?}"))?;
		let answers = BufReader::new(child.stdout.take().context("the process has no stdout")?);
		Ok(Self {
			requests: child.stdin.take(),
			child,
			answers,
		})
	}
}

/// Lets a process end when this one is killed, instead of computing on for nobody.
fn end_with_this_process(command: &mut Command) {
	#[cfg(target_os = "linux")]
	{
		use std::os::unix::process::CommandExt;
		// SAFETY: between fork and exec this only makes one system call.
		unsafe {
			command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
				0 => Ok(()),
				_ => Err(std::io::Error::last_os_error()),
			})
		};
	}
	#[cfg(not(target_os = "linux"))]
	let _ = command;
}

impl Engine for Remote {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		let requests = self.requests.as_mut().context("the process has no stdin")?;
		writeln!(requests, "{}", serde_json::to_string(request)?)?;
		requests.flush()?;
		let mut line = String::new();
		if self.answers.read_line(&mut line)? == 0 {
			bail!("the process ended: {}", self.child.wait()?);
		}
		let answer: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
		match answer.get("error").and_then(Value::as_str) {
			Some(error) => bail!("{error}"),
			None => Ok(answer),
		}
	}
}

impl Drop for Remote {
	fn drop(&mut self) {
		// A process ends with its input; one that computes is not waited for.
		self.requests.take();
		self.child.kill().ok();
		self.child.wait().ok();
	}
}
