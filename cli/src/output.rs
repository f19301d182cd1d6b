//! What a command says: progress on stderr, its one result on stdout, both for people or as JSON.

use crate::error::CliError;
use indicatif::{ProgressBar, ProgressStyle};
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
