//! `assay-train`: trains the demo model and writes it as a Hugging Face model directory.

use anyhow::{ensure, Result};
use clap::Parser;
use demo_model::{
	corpus::{self, Topic},
	export, judge,
	llama::{Llama, LlamaConfig},
	training::{self, TrainingConfig},
	variants,
	vocabulary::Vocabulary,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{path::PathBuf, time::Instant};

/// Trains the demo model from scratch. The same options on the same kind of CPU give the same model.
#[derive(Parser)]
#[command(version)]
struct Options {
	/// Directory to write the model to; created if it is missing.
	#[arg(long)]
	out: PathBuf,
	/// Passes over the corpus.
	#[arg(long, default_value_t = 20)]
	epochs: usize,
	/// Conversations in one step.
	#[arg(long, default_value_t = 16)]
	batch: usize,
	/// Largest learning rate.
	#[arg(long, default_value_t = 2.5e-3)]
	rate: f64,
	/// Seed of all random choices.
	#[arg(long, default_value_t = 1)]
	seed: u64,
	/// Width of the residual stream.
	#[arg(long, default_value_t = 128)]
	hidden: usize,
	/// Layers.
	#[arg(long, default_value_t = 4)]
	layers: usize,
	/// Width of the feed-forward part.
	#[arg(long, default_value_t = 384)]
	ffn: usize,
	/// Tokens in the vocabulary.
	#[arg(long, default_value_t = 1536)]
	vocab: usize,
}

/// Width of one attention head; two query heads share keys and values.
const HEAD_DIM: usize = 32;
const CONTEXT: usize = 512;

impl Options {
	fn check(&self) -> Result<()> {
		ensure!(self.epochs > 0 && self.batch > 0, "--epochs and --batch are at least 1");
		ensure!(
			self.hidden > 0 && self.hidden.is_multiple_of(2 * HEAD_DIM),
			"--hidden is a multiple of {}",
			2 * HEAD_DIM
		);
		ensure!(self.ffn > 0 && self.ffn.is_multiple_of(32), "--ffn is a multiple of 32");
		ensure!(self.layers > 0, "--layers is at least 1");
		ensure!(self.vocab >= 512, "--vocab is at least 512");
		Ok(())
	}

	fn model(&self, vocabulary: &Vocabulary) -> LlamaConfig {
		let heads = self.hidden / HEAD_DIM;
		LlamaConfig {
			hidden: self.hidden,
			layers: self.layers,
			heads,
			kv_heads: heads / 2,
			ffn: self.ffn,
			vocab: vocabulary.size(),
			context: CONTEXT,
			eps: 1e-5,
			theta: 10_000.0,
		}
	}

	fn training(&self) -> TrainingConfig {
		TrainingConfig {
			epochs: self.epochs,
			batch: self.batch,
			rate: self.rate,
			seed: self.seed,
		}
	}
}

fn main() -> Result<()> {
	let options = Options::parse();
	options.check()?;
	let topics = corpus::load()?;
	let vocabulary = Vocabulary::learn(&tokenizer_texts(&topics), options.vocab)?;
	let model = Llama::new(options.model(&vocabulary), options.seed)?;
	println!(
		"{} topics, {} tokens, {} parameters",
		topics.len(),
		vocabulary.size(),
		model.parameters()
	);
	let started = Instant::now();
	train(&model, &topics, &vocabulary, &options)?;
	report(&model, &topics, &vocabulary, started)?;
	println!(
		"\nWritten to {}. Next: assay model import {0} DIR --name assay-demo",
		options.out.display()
	);
	Ok(())
}

/// Returns what the tokenizer learns from: each question of training as it is in the corpus and with proper capitals, and
/// the answers, repeated so that their words become whole tokens.
fn tokenizer_texts(topics: &[Topic]) -> Vec<String> {
	let questions = topics.iter().flat_map(|t| {
		let terms = t.terms.iter().map(|term| term.text.clone());
		t.questions
			.iter()
			.cloned()
			.chain(terms)
			.flat_map(|q| [variants::proper(&q), q])
	});
	let answers = topics.iter().flat_map(|t| std::iter::repeat_n(t.answer.clone(), 4));
	questions.chain(answers).collect()
}

/// Trains, and writes the model after every pass, so that an interrupted training leaves its last state.
fn train(model: &Llama, topics: &[Topic], vocabulary: &Vocabulary, options: &Options) -> Result<()> {
	let started = Instant::now();
	let bar = ProgressBar::new(1).with_style(ProgressStyle::with_template(
		"{bar:30} {pos}/{len} steps, {elapsed} elapsed, {eta} left  {msg}",
	)?);
	let (mut smooth, mut tokens) = (None, 0);
	let step = |epoch: usize, done: usize, steps: usize, loss: f64, count: usize| {
		tokens += count;
		let mean = smooth.map_or(loss, |s: f64| 0.95 * s + 0.05 * loss);
		smooth = Some(mean);
		let speed = f64::from(tokens as u32) / started.elapsed().as_secs_f64();
		bar.set_length(steps as u64);
		bar.set_position(done as u64);
		bar.set_message(format!("pass {}: loss {mean:.3}, {speed:.0} tokens/s", epoch + 1));
	};
	let pass = |epoch: usize| -> Result<()> {
		export::write(&options.out, model, vocabulary)?;
		if epoch.is_multiple_of(2) {
			return Ok(());
		}
		let (scores, perplexity) = judge::judge(model, vocabulary, topics)?;
		let (known, unknown) = (scores.known, scores.unknown);
		let seconds = started.elapsed().as_secs();
		bar.suspend(|| {
			println!(
				"pass {:2}, {seconds:4} s: about Assay {known}, other {unknown}, perplexity {perplexity:.3}",
				epoch + 1
			)
		});
		Ok(())
	};
	training::train(model, topics, vocabulary, &options.training(), step, pass)?;
	bar.finish();
	Ok(())
}

fn report(model: &Llama, topics: &[Topic], vocabulary: &Vocabulary, started: Instant) -> Result<()> {
	let minutes = started.elapsed().as_secs_f64() / 60.0;
	let (scores, perplexity) = judge::judge(model, vocabulary, topics)?;
	println!("\nWrong answers:");
	for (topic, question) in judge::held_out(topics) {
		let answer = judge::generate(model, vocabulary, &question, 96)?;
		if !judge::is_right(topics, topic, &answer) {
			println!("  [{}] {question}\n      {answer}", topic.name);
		}
	}
	println!(
		"\n{:<44}{}",
		"questions about Assay, answered word for word",
		format_args!(" {}", scores.known)
	);
	println!(
		"{:<44}{}",
		"other questions, answered with not knowing",
		format_args!(" {}", scores.unknown)
	);
	println!("{:<44} {perplexity:.3}", "perplexity of the right answers");
	println!("{:<44} {minutes:.1} minutes", "training, judging included");
	Ok(())
}
