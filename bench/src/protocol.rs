//! How the benchmark talks to its workers: a process for each engine, one JSON object a line, one answer a line.
//!
//! | request | answer |
//! |---|---|
//! | `load` with `folder`, `gguf`, `threads`, `context` | `seconds` |
//! | `prefill` with `tokens` | `seconds` for that many tokens from nothing, logits of the last |
//! | `decode` with `depth`, `tokens`, `batch` | `seconds` for that many steps of `batch` sequences, each that deep before |
//! | `logits` with `tokens` (ids) and `out` (a file) | `seconds`; the last row's logits as f32 in the file |
//! | `memory` | `bytes`: the most that the process ever had resident |
//!
//! The engine's own worker answers more (`ours.rs`), and so does the machine's (`roofline.rs`). An answer may be `error` with a sentence.

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};
use std::{
	fs,
	io::{BufRead, BufReader, Write},
	process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// What an engine's process answers.
pub trait Worker {
	/// Answers one request.
	fn answer(&mut self, request: &Value) -> Result<Value>;
}

/// Answers requests from stdin until it ends.
pub fn serve(mut worker: impl Worker) -> Result<()> {
	for line in std::io::stdin().lines() {
		let request: Value = serde_json::from_str(&line?)?;
		let answer = match request.get("op").and_then(Value::as_str) {
			Some("memory") => Ok(json!({ "bytes": peak_bytes() })),
			_ => worker.answer(&request),
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

/// The most this process ever had resident.
fn peak_bytes() -> u64 {
	let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
	let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
	let kib = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
	kib.unwrap_or(0) * 1024
}

/// A number of a request.
pub fn number(request: &Value, key: &str) -> Result<usize> {
	let value = request.get(key).and_then(Value::as_u64);
	Ok(usize::try_from(
		value.with_context(|| format!("the request lacks `{key}`"))?,
	)?)
}

/// A text of a request.
pub fn text<'a>(request: &'a Value, key: &str) -> Result<&'a str> {
	let value = request.get(key).and_then(Value::as_str);
	value.with_context(|| format!("the request lacks `{key}`"))
}

/// The token that all engines are fed at a position: no two sequences are alike, and none meets a mark.
pub fn token(position: usize) -> u32 {
	4 + (position * 97 + 13) as u32 % 256
}

/// Writes logits to the file that the request names.
pub fn write_logits(request: &Value, logits: &[f32]) -> Result<()> {
	let bytes: Vec<u8> = logits.iter().flat_map(|v| v.to_le_bytes()).collect();
	Ok(fs::write(text(request, "out")?, bytes)?)
}

/// A worker's process, seen from the benchmark. It ends when this is dropped.
pub struct Remote {
	child: Child,
	requests: Option<ChildStdin>,
	answers: BufReader<ChildStdout>,
}

impl Remote {
	/// Starts a worker.
	pub fn start(mut command: Command) -> Result<Self> {
		let mut child = command
			.stdin(Stdio::piped())
			.stdout(Stdio::piped())
			.spawn()
			.with_context(|| format!("{command:?}"))?;
		let answers = BufReader::new(child.stdout.take().context("a worker without stdout")?);
		Ok(Self {
			requests: child.stdin.take(),
			child,
			answers,
		})
	}

	/// One request and its answer; an `error` in it becomes one here.
	pub fn ask(&mut self, request: &Value) -> Result<Value> {
		let requests = self.requests.as_mut().context("the worker is gone")?;
		writeln!(requests, "{request}")?;
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
		// A worker ends with its input; one that computes is not waited for.
		self.requests.take();
		self.child.kill().ok();
		self.child.wait().ok();
	}
}
