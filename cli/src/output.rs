//! What a command prints: progress on stderr and one result on stdout, both as text for people or as JSON.

use crate::error::CliError;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{json, Value};
use std::{
	io::{IsTerminal, Write},
	sync::atomic::{AtomicBool, Ordering},
	time::{Duration, Instant},
};

/// The result of a command.
pub(crate) struct Outcome {
	/// The text for people.
	pub(crate) text: String,
	/// One JSON object with the same facts.
	pub(crate) json: Value,
	/// The exit code.
	pub(crate) code: u8,
}

impl Outcome {
	/// Returns a result in both forms.
	pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
		Self {
			text: text.into(),
			json,
			code: 0,
		}
	}

	/// Returns the same result with this exit code.
	pub(crate) fn with_code(self, code: u8) -> Self {
		Self { code, ..self }
	}
}

/// Time without news after which the chain counts as stalled.
pub(crate) const STALL_SECONDS: u64 = 60;
/// How a terminal writes what is provisional, and what is not.
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
/// Time between two lines of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How far one transfer has come, for [`Reporter::bytes`].
#[derive(Default)]
pub(crate) struct Transfer {
	started: Option<Instant>,
	/// Bytes that were done at the first report, by an earlier run.
	first: Option<u64>,
	last_line: Option<Instant>,
}

/// Reports a command's progress and prints its result.
pub(crate) struct Reporter {
	json: bool,
	quiet: bool,
	spinner: Option<ProgressBar>,
	started: Instant,
	/// Whether a draft is being written, whose line is open.
	drafting: AtomicBool,
	/// Whether it was said that it is one.
	announced: AtomicBool,
}

impl Reporter {
	/// Returns a reporter that writes JSON lines, shows a spinner on a terminal, or writes plain lines elsewhere.
	pub(crate) fn new(json: bool) -> Self {
		let spinner = (!json && std::io::stderr().is_terminal()).then(|| {
			let bar = ProgressBar::new_spinner();
			if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
				bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
			}
			bar.enable_steady_tick(Duration::from_millis(120));
			bar
		});
		Self {
			json,
			quiet: false,
			spinner,
			started: Instant::now(),
			drafting: AtomicBool::new(false),
			announced: AtomicBool::new(false),
		}
	}

	/// Returns a reporter that prints warnings only, as lines.
	pub(crate) fn quiet() -> Self {
		Self {
			json: false,
			quiet: true,
			spinner: None,
			started: Instant::now(),
			drafting: AtomicBool::new(false),
			announced: AtomicBool::new(false),
		}
	}

	/// Returns whether drafts are shown to somebody.
	pub(crate) fn shows_drafts(&self) -> bool {
		self.json || (!self.quiet && std::io::stdout().is_terminal())
	}

	/// Writes the next part of a draft: to a terminal as it comes, for programs as a step.
	pub(crate) fn draft(&self, attempt: u8, text: &str, tokens: usize) {
		if self.json {
			self.step(
				"draft",
				"",
				json!({ "attempt": attempt, "text": text, "tokens": tokens }),
			);
			return;
		}
		if text.is_empty() || !self.shows_drafts() {
			return;
		}
		let mut out = std::io::stdout();
		if !self.drafting.swap(true, Ordering::Relaxed) {
			if let Some(bar) = &self.spinner {
				bar.set_draw_target(ProgressDrawTarget::hidden());
			}
			if !self.announced.swap(true, Ordering::Relaxed) {
				let _ = writeln!(out, "\n{DIM}draft, which nobody has checked yet:{PLAIN}\n");
			}
		}
		let _ = write!(out, "{DIM}{}{PLAIN}", printable(text)).and_then(|()| out.flush());
	}

	/// Ends the open line of a draft, if there is one.
	fn end_draft(&self) {
		if self.drafting.swap(false, Ordering::Relaxed) {
			let _ = writeln!(std::io::stdout(), "\n");
			if let Some(bar) = &self.spinner {
				bar.set_draw_target(ProgressDrawTarget::stderr());
			}
		}
	}

	/// Reports that a step is done; `name` and `facts` are for programs, `text` is for people.
	pub(crate) fn step(&self, name: &str, text: &str, facts: Value) {
		if self.quiet {
			return;
		}
		let seconds = self.started.elapsed().as_secs_f32();
		if self.json {
			let line = json!({ "step": name, "seconds": (seconds * 10.0).round() / 10.0, "facts": facts });
			self.line(&line.to_string());
		} else {
			self.line(&format!("{seconds:5.1} s  {}", printable(text)));
		}
	}

	/// Shows on the spinner what the command waits for.
	pub(crate) fn waiting(&self, text: &str) {
		if let Some(bar) = &self.spinner {
			if bar.is_hidden() && !self.drafting.load(Ordering::Relaxed) {
				bar.set_draw_target(ProgressDrawTarget::stderr());
			}
			bar.set_message(text.to_owned());
		}
	}

	/// Reports how many bytes of a long transfer are done: as a bar on a terminal, elsewhere as a line now and then.
	pub(crate) fn bytes(&self, transfer: &mut Transfer, done: u64, total: u64) {
		let started = *transfer.started.get_or_insert_with(Instant::now);
		let first = *transfer.first.get_or_insert(done);
		if let Some(bar) = &self.spinner {
			if bar.length() != Some(total) {
				if let Ok(style) =
					ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
				{
					bar.set_style(style);
				}
				bar.set_length(total);
				bar.reset_eta();
			}
			bar.set_position(done);
			return;
		}
		if transfer.last_line.is_some_and(|line| line.elapsed() < LINE_INTERVAL) {
			return;
		}
		transfer.last_line = Some(Instant::now());
		let speed = done.saturating_sub(first) as f64 / started.elapsed().as_secs_f64().max(1e-3);
		let left = (speed > 0.0).then(|| total.saturating_sub(done) as f64 / speed);
		let mut text = format!("{} of {}", HumanBytes(done), HumanBytes(total));
		if let Some(left) = left {
			let left = Duration::from_secs(left.min(1e9) as u64);
			text.push_str(&format!(
				", {}/s, {} left",
				HumanBytes(speed as u64),
				HumanDuration(left)
			));
		}
		let facts = json!({ "done": done, "total": total, "seconds_left": left.map(|s| s.round()) });
		self.step("progress", &text, facts);
	}

	/// Takes the spinner away while somebody types; the next line of progress brings it back.
	pub(crate) fn hidden(&self) {
		self.end_draft();
		if let Some(bar) = &self.spinner {
			bar.set_draw_target(ProgressDrawTarget::hidden());
		}
	}

	/// Prints the next part of an answer while it is generated. Programs get it whole, at the end.
	pub(crate) fn stream(&self, text: &str) {
		if self.json {
			return;
		}
		if let Some(bar) = &self.spinner {
			bar.finish_and_clear();
		}
		let mut out = std::io::stdout();
		let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
	}

	/// Prints a part of the result before the rest is known. Programs get it with the rest.
	pub(crate) fn early(&self, text: &str) {
		self.end_draft();
		self.announced.store(false, Ordering::Relaxed);
		let print = || {
			let _ = writeln!(std::io::stdout(), "{text}");
		};
		match (&self.spinner, self.json) {
			(_, true) => {}
			(Some(bar), false) => bar.suspend(print),
			(None, false) => print(),
		}
	}

	/// Reports something that does not stop the command.
	pub(crate) fn warn(&self, text: &str) {
		if self.json {
			self.line(&json!({ "warning": text }).to_string());
		} else {
			self.line(&format!("warning: {}", printable(text)));
		}
	}

	/// Does something that uses the terminal, without the spinner.
	pub(crate) fn suspended<R>(&self, f: impl FnOnce() -> R) -> R {
		self.end_draft();
		match &self.spinner {
			Some(bar) => bar.suspend(f),
			None => f(),
		}
	}

	fn line(&self, line: &str) {
		self.end_draft();
		match &self.spinner {
			Some(bar) => bar.suspend(|| eprintln!("{line}")),
			None => eprintln!("{line}"),
		}
	}

	/// Prints the result of the command and returns the exit code.
	pub(crate) fn finish(&self, result: &Result<Outcome, CliError>) -> u8 {
		self.end_draft();
		if let Some(bar) = &self.spinner {
			bar.finish_and_clear();
		}
		let (out, error) = match (result, self.json) {
			(Ok(outcome), true) => (outcome.json.to_string(), None),
			(Ok(outcome), false) => (printable(&outcome.text), None),
			(Err(e), true) => (json!({ "error": e.json() }).to_string(), None),
			(Err(e), false) => (String::new(), Some(format!("error: {}", printable(&e.to_string())))),
		};
		// A closed pipe is not an error of the command.
		if !out.is_empty() {
			let _ = writeln!(std::io::stdout(), "{}", out.trim_end());
		}
		if let Some(error) = error {
			let _ = writeln!(std::io::stderr(), "{error}");
		}
		result.as_ref().map_or_else(CliError::exit_code, |outcome| outcome.code)
	}
}

/// Returns a text without what could command a terminal: strangers write answers, names, and files.
pub(crate) fn printable(text: &str) -> String {
	text.chars()
		.map(|c| {
			if c.is_control() && c != '\n' && c != '\t' {
				'\u{FFFD}'
			} else {
				c
			}
		})
		.collect()
}

#[cfg(test)]
mod tests {
	use super::printable;

	#[test]
	fn an_answer_cannot_command_a_terminal() {
		assert_eq!(
			printable("a\x1b[2Jb\tc\nd\r\u{9b}e é"),
			"a\u{FFFD}[2Jb\tc\nd\u{FFFD}\u{FFFD}e é"
		);
	}
}
