//! The log of samples: a run that was interrupted goes on where it stopped.

use anyhow::{ensure, Context, Result};
use serde_json::{json, Value};
use std::{
	collections::BTreeMap,
	fs::{self, File, OpenOptions},
	io::Write,
	path::Path,
};

/// Which samples belong together: model, engine, measure.
type Key = (String, String, String);

/// All samples of one run, in memory and on disk.
pub struct Samples {
	/// Machine, commit, versions: what makes two samples comparable.
	pub header: Value,
	samples: BTreeMap<Key, Vec<Value>>,
	file: File,
}

impl Samples {
	/// Goes on with the unfinished run in `path` if it has the same header; starts a new one otherwise.
	pub fn open(path: &Path, header: Value) -> Result<Self> {
		let (found, lines) = lines(&fs::read_to_string(path).unwrap_or_default());
		let goes_on = found.as_ref() == Some(&header) && !lines.iter().any(|line| line.get("done").is_some());
		let mut file = OpenOptions::new()
			.create(true)
			.write(true)
			.truncate(!goes_on)
			.append(goes_on)
			.open(path)
			.with_context(|| path.display().to_string())?;
		if !goes_on {
			writeln!(file, "{header}")?;
		}
		let samples = if goes_on { by_key(lines) } else { BTreeMap::new() };
		Ok(Self { header, samples, file })
	}

	/// Reads the run in `path`, whether it ended or not, and changes nothing. Fails if its header is another.
	pub fn read(path: &Path, header: Value) -> Result<Self> {
		let open = || -> Result<_> { Ok((fs::read_to_string(path)?, OpenOptions::new().append(true).open(path)?)) };
		let (text, file) = open().with_context(|| path.display().to_string())?;
		let (found, lines) = lines(&text);
		ensure!(
			found.as_ref() == Some(&header),
			"{} is of another machine, commit, version, number of threads, peer or model than this call names: {}",
			path.display(),
			found.unwrap_or_default()
		);
		let samples = by_key(lines);
		Ok(Self { header, samples, file })
	}

	/// Fewest and most samples of one engine's measures, of those that have any.
	pub fn fewest_and_most(&self, model: &str, engine: &str) -> Option<(usize, usize)> {
		let of_engine = self.samples.iter().filter(|((m, e, _), _)| m == model && e == engine);
		let counts: Vec<usize> = of_engine.map(|(_, answers)| answers.len()).collect();
		Some((*counts.iter().min()?, *counts.iter().max()?))
	}

	/// How many are there already; those that failed count as done.
	pub fn count(&self, model: &str, engine: &str, measure: &str) -> usize {
		let all = self.all(model, engine, measure);
		if all.iter().any(|answer| answer.get("error").is_some()) {
			usize::MAX
		} else {
			all.len()
		}
	}

	/// Adds one.
	pub fn push(&mut self, model: &str, engine: &str, measure: &str, answer: Value) -> Result<()> {
		let line = json!({ "model": model, "engine": engine, "measure": measure, "answer": answer });
		writeln!(self.file, "{line}")?;
		let key = (model.to_owned(), engine.to_owned(), measure.to_owned());
		self.samples.entry(key).or_default().push(answer);
		Ok(())
	}

	/// Ends the run: the next one starts again.
	pub fn finish(&mut self) -> Result<()> {
		Ok(writeln!(self.file, "{}", json!({ "done": true }))?)
	}

	fn all(&self, model: &str, engine: &str, measure: &str) -> &[Value] {
		let key = (model.to_owned(), engine.to_owned(), measure.to_owned());
		self.samples.get(&key).map(Vec::as_slice).unwrap_or_default()
	}

	/// One field of all samples.
	pub fn values(&self, model: &str, engine: &str, measure: &str, field: &str) -> Vec<f64> {
		let all = self.all(model, engine, measure).iter();
		all.filter_map(|answer| answer.get(field)?.as_f64()).collect()
	}

	/// Median of one field, if there is any sample.
	pub fn median(&self, model: &str, engine: &str, measure: &str, field: &str) -> Option<f64> {
		median(self.values(model, engine, measure, field))
	}

	/// Why there are none.
	pub fn error(&self, model: &str, engine: &str, measure: &str) -> Option<&str> {
		let mut all = self.all(model, engine, measure).iter();
		all.find_map(|answer| answer.get("error")?.as_str())
	}
}

/// The header of a log, if it has one, and what follows; lines that were cut off are left out.
fn lines(text: &str) -> (Option<Value>, Vec<Value>) {
	let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
	(lines.next(), lines.collect())
}

fn by_key(lines: Vec<Value>) -> BTreeMap<Key, Vec<Value>> {
	let mut samples = BTreeMap::new();
	for line in lines.iter().filter(|line| line.get("answer").is_some()) {
		let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
		let key = (text("model"), text("engine"), text("measure"));
		let answer = line.get("answer").cloned().unwrap_or_default();
		samples.entry(key).or_insert_with(Vec::new).push(answer);
	}
	samples
}

/// The middle value; of an even number, the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
	values.sort_by(f64::total_cmp);
	let last = values.len().checked_sub(1)?;
	Some((values.get(last / 2)? + values.get(last.div_ceil(2))?) / 2.0)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_median_is_in_the_middle() {
		assert_eq!(median(vec![]), None);
		assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
		assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
	}

	#[test]
	fn an_interrupted_run_goes_on_and_a_finished_or_other_one_does_not() {
		let dir = tempfile::tempdir().expect("a directory");
		let path = dir.path().join("samples");
		let open = |commit: &str| Samples::open(&path, json!({ "commit": commit })).expect("a log");
		let mut run = open("a");
		run.push("m", "e", "x", json!({ "seconds": 2.0 })).expect("written");
		drop(run);
		let mut run = open("a");
		assert_eq!(run.count("m", "e", "x"), 1);
		assert_eq!(run.median("m", "e", "x", "seconds"), Some(2.0));
		run.push("m", "e", "y", json!({ "error": "no" })).expect("written");
		assert_eq!(run.count("m", "e", "y"), usize::MAX);
		run.finish().expect("written");
		drop(run);
		let read = |commit: &str| Samples::read(&path, json!({ "commit": commit }));
		assert_eq!(read("a").expect("a log").count("m", "e", "x"), 1);
		assert!(read("b").is_err() && read("a").is_ok());
		assert_eq!(open("a").count("m", "e", "x"), 0);
		open("a").push("m", "e", "x", json!({})).expect("written");
		assert_eq!(open("b").count("m", "e", "x"), 0);
	}
}
