//! What only our engine does: verification, spot checks, the trace, the check at load.

use super::Figures;
use crate::{
	engine::Request,
	entries::Entry,
	format::{duration, percent},
	plan::{Device, Measure},
};

/// The share of verdicts that are audited.
const AUDIT_RATE: f64 = 0.05;

/// Whether an engine has a column in the table of ours alone.
pub fn has_column(entry: &Entry) -> bool {
	entry.is_ours() && !entry.reference
}

impl Figures<'_> {
	/// Each line's label, and its words for each of our columns.
	pub(super) fn own(&self) -> Vec<(String, Vec<String>)> {
		let mut own: Vec<(String, Vec<String>)> = Vec::new();
		let entries: Vec<&Entry> = self.model.entries.iter().filter(|entry| has_column(entry)).collect();
		for (column, entry) in entries.iter().enumerate() {
			// A line that the columns before do not have comes behind the one that it follows here.
			let mut next = 0;
			for (label, words) in self.lines(entry) {
				let known = own.iter().position(|(known, _)| *known == label);
				let index = known.unwrap_or_else(|| {
					own.insert(next, (label, vec!["–".to_owned(); entries.len()]));
					next
				});
				next = index + 1;
				if let Some(cell) = own.get_mut(index).and_then(|(_, cells)| cells.get_mut(column)) {
					*cell = words;
				}
			}
		}
		own
	}

	/// Lines of one of our columns.
	fn lines(&self, entry: &Entry) -> Vec<(String, String)> {
		let mut lines = Vec::new();
		for measure in &self.run.plan.measures {
			lines.extend(self.lines_of(entry, measure));
		}
		for (key, what) in [("decode-128", "decode at depth 128"), ("prefill-512", "prefill of 512")] {
			if let Some(share) = self.median(entry, key, "trace") {
				lines.push((format!("trace's share of {what}"), format!("{:.2} %", share * 100.0)));
			}
		}
		let bytes = entry.bits.bytes(&self.model.shape);
		match (self.median(entry, "load", "seconds"), self.run.plan.device) {
			(Some(seconds), Device::Cpu) => {
				let label = "load: reading, checking and packing together";
				lines.push((label.into(), format!("{:.2} GB/s", bytes / seconds / 1e9)));
			}
			(Some(seconds), Device::Gpu) => {
				lines.push(("making the weights and moving them".into(), duration(seconds)));
			}
			(None, _) => {}
		}
		if let Some(rate) = self.median(entry, "hash", "bytes_per_second") {
			let label = "BLAKE3 of the weights, one thread";
			lines.push((label.into(), format!("{:.2} GB/s", rate / 1e9)));
		}
		lines
	}

	/// What a measure that only ours does tells.
	fn lines_of(&self, entry: &Entry, measure: &Measure) -> Vec<(String, String)> {
		let (key, label) = (&measure.key, &measure.label);
		match measure.request {
			Request::Job { prompt, answer, .. } => {
				self.job(entry, key, &format!("{label}, {prompt} tokens in, {answer} out"))
			}
			Request::Spot { prompt, answer } => {
				let (spot, whole) = (self.median(entry, key, "seconds"), self.median(entry, key, "whole"));
				let words = spot.zip(whole).map(|(spot, whole)| share(spot, whole));
				let label = format!("{label}, {prompt} tokens in, {answer} out");
				words.map(|words| (label, words)).into_iter().collect()
			}
			Request::Trace { sequences, tokens } => self.trace(entry, key, sequences, tokens),
			Request::Check { .. } => match (self.median(entry, key, "tokens"), self.error(entry, key)) {
				(Some(tokens), _) => vec![(label.clone(), format!("yes, {tokens:.0} tokens"))],
				(None, Some(error)) => vec![(label.clone(), format!("NO: {error}"))],
				(None, None) => Vec::new(),
			},
			_ => Vec::new(),
		}
	}

	/// Verification beside generation, and what that makes of a job's cost.
	fn job(&self, entry: &Entry, key: &str, label: &str) -> Vec<(String, String)> {
		let (verify, generate) = (self.median(entry, key, "verify"), self.median(entry, key, "generate"));
		let Some((verify, generate)) = verify.zip(generate) else {
			return Vec::new();
		};
		let mut lines = vec![(label.to_owned(), share(verify, generate))];
		if !label.contains("temperature") {
			let jobs = label.strip_prefix("verify ÷ generate, ").unwrap_or(label);
			let jobs = jobs.split(',').next().unwrap_or(jobs);
			lines.push((
				format!("{jobs}: checks and audits with 0, 1, 2, 3 verifiers, % of generation"),
				checks(verify / generate * 100.0),
			));
		}
		lines
	}

	/// A trace that was measured by itself, beside the step of which it is a part.
	fn trace(&self, entry: &Entry, key: &str, sequences: usize, tokens: usize) -> Vec<(String, String)> {
		let step = self.run.plan.step_of_trace(sequences, tokens);
		let step = step.and_then(|(key, steps)| Some(self.median(entry, key, "seconds")? / steps));
		let (copy, hash) = (self.median(entry, key, "copy"), self.median(entry, key, "hash"));
		let (Some(copy), Some(hash), Some(step)) = (copy, hash, step) else {
			return Vec::new();
		};
		let of = if tokens == 1 {
			format!("a step of decoding, batch of {sequences}")
		} else {
			format!("a step of {tokens} tokens of a prompt")
		};
		let megabytes = self.model.shape.trace_bytes(sequences * tokens) as f64 / 1e6;
		let words = |seconds: f64| format!("{} ({})", percent(seconds / step), duration(seconds));
		vec![
			(
				format!("copying {megabytes:.1} MB of trace to the host, {of}"),
				words(copy),
			),
			(format!("hashing it, {of}"), words(hash)),
		]
	}

	/// Verification as a share of generation, by column and jobs at once.
	pub(super) fn verify(&self) -> Vec<(usize, usize, f64)> {
		let mut all = Vec::new();
		for (column, entry) in self.model.entries.iter().enumerate() {
			for measure in &self.run.plan.measures {
				let Request::Job {
					batch, temperature: 0, ..
				} = measure.request
				else {
					continue;
				};
				let median = |field| self.median(entry, &measure.key, field);
				if let Some((verify, generate)) = median("verify").zip(median("generate")) {
					all.push((column, batch, verify / generate));
				}
			}
		}
		all
	}
}

fn share(part: f64, whole: f64) -> String {
	let parts = [part, whole].map(duration).join(" ÷ ");
	format!("{:.1} % ({parts})", part / whole * 100.0)
}

/// Returns what verifying a job costs of its generation, by its number of verifiers: a check each, and the audits.
fn checks(share: f64) -> String {
	let cost = |verifiers: u8| format!("{:.1}", share * (f64::from(verifiers) + AUDIT_RATE));
	(0..=3).map(cost).collect::<Vec<_>>().join(", ")
}
