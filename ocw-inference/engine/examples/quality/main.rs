//! How near models in each format of weights are to their floats: computes the table of docs/models.md, which
//! `scripts/quality.sh` writes.

// A measurement that fails may say where.
#![allow(clippy::unwrap_used)]

mod float;
#[allow(dead_code)]
#[path = "../../tests/engine/rows.rs"]
mod rows;
mod subject;

use assay_engine::Model;
use assay_model_folder::formats::Format;
use clap::Parser;
use rayon::prelude::*;
use std::{fs, path::PathBuf};
use subject::{Subject, Text};

const BEGIN: &str = "<!-- figures: written by make quality -->\n";
const END: &str = "<!-- end of figures -->";

#[derive(Parser)]
struct Options {
	/// The document whose table is written; without one it is only printed.
	#[arg(long)]
	out: Option<PathBuf>,
	/// SmolLM2-135M-Instruct as GGUF in Q4_1.
	#[arg(long)]
	smollm2: Option<PathBuf>,
	/// Tokens that SmolLM2 is measured on.
	#[arg(long, default_value_t = 4096)]
	tokens: usize,
	/// Formats to measure; all of them if none is named.
	#[arg(long, value_delimiter = ',')]
	formats: Vec<Format>,
}

/// What was found of one model in one format, or of its floats.
#[derive(Clone, Default)]
struct Figures {
	/// Minus the logarithms of the probabilities of what followed.
	surprises: Vec<f64>,
	/// Divergence of the predictions from those of the floats.
	divergence: f64,
	/// Rows whose most likely token is that of the floats.
	agreed: usize,
}

impl Figures {
	fn perplexity(&self) -> f64 {
		(self.surprises.iter().sum::<f64>() / self.surprises.len() as f64).exp()
	}

	/// Adds a text's rows.
	fn add(&mut self, text: &Text, floats: &[Vec<f32>], ours: &[Vec<f32>]) {
		let rows = text.first - 1..text.tokens.len() - 1;
		let found: Vec<(f64, f64, bool)> = rows
			.into_par_iter()
			.map(|i| {
				let (float, our) = (&floats[i], &ours[i]);
				let (p, q) = (float::log_sum(float), float::log_sum(our));
				let each = float.iter().zip(our).map(|(f, o)| {
					let (f, o) = (f64::from(*f) - p, f64::from(*o) - q);
					f.exp() * (f - o)
				});
				(
					float::surprise(our, text.tokens[i + 1]),
					each.sum(),
					likeliest(float) == likeliest(our),
				)
			})
			.collect();
		for (surprise, divergence, agrees) in found {
			self.surprises.push(surprise);
			self.divergence += divergence;
			self.agreed += usize::from(agrees);
		}
	}

	/// Returns the cells of a row of the table.
	fn cells(&self, floats: &Self) -> String {
		let rows = self.surprises.len() as f64;
		let differences = self.surprises.iter().zip(&floats.surprises).map(|(a, b)| a - b);
		let differences: Vec<f64> = differences.collect();
		let mean = differences.iter().sum::<f64>() / rows;
		let variance = differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (rows - 1.0);
		let (change, error) = ((mean.exp() - 1.0) * 100.0, (variance / rows).sqrt() * 100.0);
		let (divergence, agreed) = (self.divergence / rows, self.agreed as f64 / rows * 100.0);
		format!(
			"{:.3} | {change:+.2} ± {error:.2} % | {divergence:.5} | {agreed:.1} %",
			self.perplexity()
		)
	}
}

fn likeliest(logits: &[f32]) -> Option<usize> {
	(0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
}

/// Returns a model's table.
fn measure(subject: &Subject, formats: &[Format]) -> String {
	let mut models: Vec<(String, f64, Model)> = Vec::new();
	for format in formats {
		eprintln!("{}: importing {format}", subject.name);
		models.push((format!("`{format}`"), bits(*format), subject.in_format(*format)));
	}
	eprintln!("{}: importing Q4_0", subject.name);
	models.push(("GGUF's Q4_0, by llama.cpp's rule".into(), 4.5, subject.in_q4_0()));
	let mut floats = Figures::default();
	let mut all = vec![Figures::default(); models.len()];
	for (done, text) in subject.texts.iter().enumerate() {
		eprintln!("{}: text {} of {}", subject.name, done + 1, subject.texts.len());
		let truth = float::logits(&subject.floats, &text.tokens);
		floats.add(text, &truth, &truth);
		for ((_, _, model), figures) in models.iter().zip(&mut all) {
			let found = rows::logits(model, &text.tokens);
			let found: Vec<_> = found
				.chunks(found.len() / text.tokens.len())
				.map(<[f32]>::to_vec)
				.collect();
			figures.add(text, &truth, &found);
		}
	}
	let mut table = format!(
		"{} on {}.\n{} predicted tokens; perplexity of the floats {:.3}.\n\n| weights of the layers | bits a weight | \
		 perplexity | change | divergence | same first |\n| -- | -- | -- | -- | -- | -- |\n",
		capitalized(&subject.name),
		subject.measured_on,
		floats.surprises.len(),
		floats.perplexity()
	);
	for ((name, bits, _), figures) in models.iter().zip(&all) {
		table += &format!("| {name} | {bits:.2} | {} |\n", figures.cells(&floats));
	}
	table
}

/// Returns the bits of a weight in a wide matrix, with its share of scales and zero points.
fn bits(format: Format) -> f64 {
	const WIDTH: usize = 4096;
	let format = format.with_table([0; 16]);
	let bytes = format.weight_bytes(WIDTH) + format.scale_bytes(WIDTH) + format.zero_bytes(WIDTH);
	bytes as f64 * 8.0 / WIDTH as f64
}

fn capitalized(text: &str) -> String {
	let mut letters = text.chars();
	letters
		.next()
		.map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn main() {
	let options = Options::parse();
	let formats = if options.formats.is_empty() {
		Format::ALL.to_vec()
	} else {
		options.formats
	};
	let mut tables = Vec::new();
	if let Some(gguf) = &options.smollm2 {
		tables.push(measure(&Subject::smollm2(gguf, options.tokens), &formats));
	}
	tables.push(measure(&Subject::demo(), &formats));
	let tables = tables.join("\n");
	println!("{tables}");
	if let Some(path) = options.out {
		let document = fs::read_to_string(&path).unwrap();
		let (before, rest) = document
			.split_once(BEGIN)
			.expect("the document has the place for the figures");
		let (_, after) = rest.split_once(END).expect("the place for the figures ends");
		fs::write(&path, format!("{before}{BEGIN}\n{tables}\n{END}{after}")).unwrap();
	}
}
