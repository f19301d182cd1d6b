//! Simulates cartels and writes the tables of a document. See `make simulate`.

use anyhow::Context;
use assay_simulate::{random::Effort, report};
use clap::Parser;
use std::{fs, path::PathBuf};

/// Simulates cartels against the chain's own rules.
#[derive(Parser)]
struct Args {
	/// Jobs of each figure.
	#[arg(long, default_value_t = 1_000_000)]
	jobs: u64,
	/// The seed of all chance.
	#[arg(long, default_value_t = 1)]
	seed: u64,
	/// The document whose tables are replaced; without it, they are only printed.
	#[arg(long)]
	out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
	let args = Args::parse();
	let effort = Effort {
		jobs: args.jobs.max(1),
		seed: args.seed,
	};
	let figures = report::tables(effort, &|title| eprintln!("{title}"));
	println!("{figures}");
	if let Some(path) = args.out {
		let document = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
		let document = report::replace(&document, &figures)?;
		fs::write(&path, document).with_context(|| format!("cannot write {}", path.display()))?;
	}
	Ok(())
}
