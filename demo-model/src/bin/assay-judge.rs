//! `assay-judge`: judges the quantized model by every held-out question, with the engine that validators run.

use anyhow::{ensure, Context, Result};
use clap::Parser;
use demo_model::{corpus, judge};
use indicatif::{ProgressBar, ProgressIterator};
use std::{path::PathBuf, process::Command};

/// Asks a model every held-out question of the corpus and counts the right answers.
#[derive(Parser)]
#[command(version)]
struct Options {
	/// The `assay` program.
	#[arg(long)]
	assay: PathBuf,
	/// The model directory, as `assay model import` writes it.
	#[arg(long)]
	model: PathBuf,
}

fn main() -> Result<()> {
	let options = Options::parse();
	let topics = corpus::load()?;
	let questions: Vec<_> = judge::held_out(&topics).collect();
	let mut scores = judge::Scores::default();
	let bar = ProgressBar::new(questions.len() as u64);
	for (topic, question) in questions.into_iter().progress_with(bar.clone()) {
		let answer = ask(&options, &question)?;
		let right = judge::is_right(&topics, topic, &answer);
		if !right {
			bar.suspend(|| println!("[{}] {question}\n    {}", topic.name, answer.trim()));
		}
		let score = if topic.is_unknown() {
			&mut scores.unknown
		} else {
			&mut scores.known
		};
		score.count(right);
	}
	println!("questions about Assay, answered word for word: {}", scores.known);
	println!("other questions, answered with not knowing:     {}", scores.unknown);
	Ok(())
}

/// Returns the engine's greedy answer.
fn ask(options: &Options, question: &str) -> Result<String> {
	let assay = options.assay.display();
	let output = Command::new(&options.assay)
		.args(["model", "run", "--no-verify", "--max-tokens", "128"])
		.arg(&options.model)
		.args(["--", question])
		.output()
		.with_context(|| format!("cannot start {assay}; build it with: cargo build --release -p assay-cli"))?;
	let errors = String::from_utf8_lossy(&output.stderr);
	ensure!(
		output.status.success(),
		"{assay} failed on \"{question}\": {}",
		errors.trim()
	);
	String::from_utf8(output.stdout).with_context(|| format!("{assay} did not print UTF-8"))
}
