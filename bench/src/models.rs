//! The models on disk: made once below the cache, found again by what they are made of.

use crate::{gguf, shapes::Shape, weights};
use anyhow::{Context, Result};
use assay_engine::Model;
use assay_import::{import, ImportOptions};
use std::{
	fs,
	io::{IsTerminal, Write},
	path::{Path, PathBuf},
	time::Instant,
};

/// A model in the forms that the engines read.
pub struct Files {
	/// The canonical folder.
	pub folder: PathBuf,
	/// The same int8 blocks as GGUF Q8_0.
	pub gguf: PathBuf,
	/// Its numbers.
	pub shape: Shape,
	/// Its `ModelId`.
	pub id: String,
}

/// Finds or makes a model: `demo`, or the name of a random shape.
pub fn prepare(name: &str, demo: &Path, cache: &Path) -> Result<Files> {
	match Shape::named(name) {
		Some(shape) => random(shape, &cache.join("models")),
		None => {
			let config = serde_json::from_slice(&fs::read(demo.join("config.json"))?)?;
			let shape = Shape::of_config("demo", &config).context("the demo model's config.json lacks a number")?;
			let id = Model::load(demo)?.id().to_string();
			let gguf = cache
				.join("models")
				.join(format!("demo-{}.gguf", id.get(2..18).unwrap_or(&id)));
			write_gguf(demo, &gguf)?;
			Ok(Files {
				folder: demo.to_owned(),
				gguf,
				shape,
				id,
			})
		}
	}
}

fn random(shape: Shape, models: &Path) -> Result<Files> {
	let recipe = blake3::hash(format!("{} {shape:?}", weights::VERSION).as_bytes()).to_hex();
	let recipe = recipe.get(..8).unwrap_or_default();
	let folder = models.join(format!("{}-{recipe}", shape.name));
	let gguf = models.join(format!("{}-{recipe}.gguf", shape.name));
	// Loading says whether this engine still reads what an older one wrote.
	let id = match Model::load(&folder) {
		Ok(model) => model.id(),
		Err(_) => {
			fs::remove_file(&gguf).ok();
			make(shape, models, &folder)?
		}
	};
	write_gguf(&folder, &gguf)?;
	Ok(Files {
		folder,
		gguf,
		shape,
		id: id.to_string(),
	})
}

/// Makes the canonical folder under another name first: one with the right name is complete.
fn make(shape: Shape, models: &Path, folder: &Path) -> Result<assay_primitives::ModelId> {
	let source = models.join(format!("{}.source", shape.name));
	let partial = models.join(format!("{}.partial", shape.name));
	for left_over in [&source, &partial, &folder.to_owned()] {
		fs::remove_dir_all(left_over).ok();
	}
	let begun = Instant::now();
	let millions = shape.weights() / 1_000_000;
	weights::write_folder(
		&shape,
		&source,
		&mut progress(&format!("{}: {millions} M random weights", shape.name)),
	)?;
	say(&format!("{}: importing", shape.name));
	let options = ImportOptions {
		name: format!("random-{}", shape.name),
		source: "random numbers".into(),
		license: "CC0-1.0".into(),
		..ImportOptions::default()
	};
	let id = import(&source, &partial, &options)?;
	fs::remove_dir_all(&source)?;
	fs::rename(&partial, folder)?;
	say(&format!(
		"{}: {id} in {:.0} s",
		shape.name,
		begun.elapsed().as_secs_f64()
	));
	Ok(id)
}

fn write_gguf(folder: &Path, out: &Path) -> Result<()> {
	if out.exists() {
		return Ok(());
	}
	let name = out.file_name().unwrap_or_default().to_string_lossy();
	let partial = out.with_extension("partial");
	fs::create_dir_all(out.parent().context("a file without a folder")?)?;
	gguf::export(folder, &partial, &mut progress(&format!("{name}: the same blocks")))?;
	Ok(fs::rename(&partial, out)?)
}

fn say(line: &str) {
	eprintln!("    {line}");
}

/// Tells per cents of what is being written, on one line of a terminal, at its end elsewhere.
fn progress(what: &str) -> impl FnMut(u64, u64) {
	let what = what.to_owned();
	let mut shown = 101;
	move |done, all| {
		let percent = done * 100 / all.max(1);
		if percent == shown {
			return;
		}
		shown = percent;
		if std::io::stderr().is_terminal() {
			eprint!("\r    {what} {percent:3} %{}", if percent == 100 { "\n" } else { "" });
			std::io::stderr().flush().ok();
		} else if percent == 100 {
			say(&what);
		}
	}
}
