//! What a command says: progress on stderr, its one result on stdout, both for people or as JSON.

use crate::error::CliError;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{json, Value};
use std::{
	io::{IsTerminal, Write},
	time::{Duration, Instant},
};

/// The result of a command.
pub(crate) struct Outcome {
	/// For people; printed as it is.
	pub(crate) text: String,
	/// The same as one JSON object.
	pub(crate) json: Value,
}

impl Outcome {
	/// A result in both forms.
	pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
		Self {
			text: text.into(),
			json,
		}
	}
}

/// Between two lines that say how much is done.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What [`Reporter::bytes`] said last of one piece of work.
#[derive(Default)]
pub(crate) struct Gauge {
	begun: Option<Instant>,
	/// What was done when it began.
	first: Option<u64>,
	told: Option<Instant>,
}

/// Tells how a command gets on.
pub(crate) struct Reporter {
	json: bool,
	spinner: Option<ProgressBar>,
	started: Instant,
}

impl Reporter {
	/// JSON lines, a spinner on a terminal, plain lines elsewhere.
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
			spinner,
			started: Instant::now(),
		}
	}

	/// A step is done. `name` and `facts` are for programs, `text` is for people.
	pub(crate) fn step(&self, name: &str, text: &str, facts: Value) {
		let seconds = self.started.elapsed().as_secs_f32();
		if self.json {
			let line = json!({ "step": name, "seconds": (seconds * 10.0).round() / 10.0, "facts": facts });
			self.line(&line.to_string());
		} else {
			self.line(&format!("{seconds:5.1} s  {text}"));
		}
	}

	/// What is waited for; only a spinner shows it.
	pub(crate) fn waiting(&self, text: &str) {
		if let Some(bar) = &self.spinner {
			bar.set_message(text.to_owned());
		}
	}

	/// How much of a long piece of work is done, in bytes: a bar on a terminal, elsewhere a line now and then.
	pub(crate) fn bytes(&self, gauge: &mut Gauge, done: u64, total: u64) {
		let begun = *gauge.begun.get_or_insert_with(Instant::now);
		let first = *gauge.first.get_or_insert(done);
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
		if gauge.told.is_some_and(|told| told.elapsed() < LINE_EVERY) {
			return;
		}
		gauge.told = Some(Instant::now());
		let speed = done.saturating_sub(first) as f64 / begun.elapsed().as_secs_f64().max(1e-3);
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

	/// The next part of an answer, while it's being made. Programs get it whole, at the end.
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

	/// A part of the result that people need not wait for the rest of. Programs get it with the rest.
	pub(crate) fn say(&self, text: &str) {
		let print = || {
			let _ = writeln!(std::io::stdout(), "{text}");
		};
		match (&self.spinner, self.json) {
			(_, true) => {}
			(Some(bar), false) => bar.suspend(print),
			(None, false) => print(),
		}
	}

	/// Something to know that stops nothing.
	pub(crate) fn warn(&self, text: &str) {
		if self.json {
			self.line(&json!({ "warning": text }).to_string());
		} else {
			self.line(&format!("warning: {text}"));
		}
	}

	fn line(&self, line: &str) {
		match &self.spinner {
			Some(bar) => bar.suspend(|| eprintln!("{line}")),
			None => eprintln!("{line}"),
		}
	}

	/// Prints the result of the command; the exit code.
	pub(crate) fn finish(&self, result: &Result<Outcome, CliError>) -> u8 {
		if let Some(bar) = &self.spinner {
			bar.finish_and_clear();
		}
		let (out, error) = match (result, self.json) {
			(Ok(outcome), true) => (outcome.json.to_string(), None),
			(Ok(outcome), false) => (outcome.text.clone(), None),
			(Err(e), true) => (
				json!({ "error": { "kind": e.kind(), "message": e.to_string() } }).to_string(),
				None,
			),
			(Err(e), false) => (String::new(), Some(format!("error: {e}"))),
		};
		// A reader that hung up is no reason to fail.
		if !out.is_empty() {
			let _ = writeln!(std::io::stdout(), "{}", out.trim_end());
		}
		if let Some(error) = error {
			let _ = writeln!(std::io::stderr(), "{error}");
		}
		result.as_ref().err().map_or(0, CliError::exit_code)
	}
}
