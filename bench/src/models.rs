//! The models that are measured. Those of the CPU lie on disk: made once below the cache, found again by what they are made of.

use crate::{engine::Load, gguf, ours::cpu, shapes::Shape, weights};
use anyhow::{ensure, Context, Result};
use std::{
	fs,
	io::{IsTerminal, Write},
	path::{Path, PathBuf},
	time::Instant,
};

/// A model that engines are asked to load.
#[derive(Clone)]
pub struct Model {
	/// Its hyperparameters.
	pub shape: Shape,
	/// Where it lies; a GPU's models are made on it.
	pub files: Option<Files>,
}

/// A model in the forms that the engines read.
#[derive(Clone)]
pub struct Files {
	/// The canonical model directory.
	pub dir: PathBuf,
	/// The same int8 blocks as GGUF Q8_0.
	pub gguf: PathBuf,
	/// Its `ModelId`.
	pub id: String,
}

impl Model {
	/// Finds or makes a model for the CPU: `demo`, or the name of a shape.
	pub fn on_disk(name: &str, demo: &Path, cache: &Path) -> Result<Self> {
		let models = cache.join("models");
		if name != "demo" {
			let shape = Shape::named(name).with_context(|| format!("no shape `{name}`"))?;
			ensure!(shape.suits_cpu(), "the shape `{name}` is only for a GPU");
			return random(shape, &models);
		}
		let config = serde_json::from_slice(&fs::read(demo.join("config.json"))?)?;
		let shape = Shape::of_config("demo", &config).context("the demo model's config.json lacks a number")?;
		let id = cpu::model_id(demo)?;
		let gguf = models.join(format!("demo-{}.gguf", id.get(2..18).unwrap_or(&id)));
		Self::with_gguf(shape, demo, gguf, id)
	}

	/// A model of random weights that our engine makes on a GPU.
	pub fn on_gpu(name: &str) -> Result<Self> {
		let shape = Shape::named(name).with_context(|| format!("no shape `{name}`"))?;
		Ok(Self { shape, files: None })
	}

	/// Its name, which is its shape's.
	pub fn name(&self) -> &'static str {
		self.shape.name
	}

	/// What engines load.
	pub fn load(&self, threads: usize) -> Load {
		let files = self.files.as_ref();
		Load {
			shape: self.shape.name.into(),
			config: self.shape.config(),
			context: self.shape.context,
			threads,
			dir: files.map(|files| files.dir.clone()),
			gguf: files.map(|files| files.gguf.clone()),
		}
	}

	fn with_gguf(shape: Shape, dir: &Path, gguf: PathBuf, id: String) -> Result<Self> {
		write_gguf(dir, &gguf)?;
		let dir = dir.to_owned();
		let files = Some(Files { dir, gguf, id });
		Ok(Self { shape, files })
	}
}

fn random(shape: Shape, models: &Path) -> Result<Model> {
	let recipe = blake3::hash(format!("{} {shape:?}", weights::VERSION).as_bytes()).to_hex();
	let recipe = recipe.get(..8).unwrap_or_default();
	let dir = models.join(format!("{}-{recipe}", shape.name));
	let gguf = models.join(format!("{}-{recipe}.gguf", shape.name));
	// Loading tells whether this engine still reads what an older one wrote.
	let id = match cpu::model_id(&dir) {
		Ok(id) => id,
		Err(_) => {
			fs::remove_file(&gguf).ok();
			make(shape, models, &dir)?
		}
	};
	Model::with_gguf(shape, &dir, gguf, id)
}

/// Makes the canonical model directory under another name first: one with the right name is complete.
fn make(shape: Shape, models: &Path, dir: &Path) -> Result<String> {
	let source = models.join(format!("{}.source", shape.name));
	let partial = models.join(format!("{}.partial", shape.name));
	for left_over in [&source, &partial, &dir.to_owned()] {
		fs::remove_dir_all(left_over).ok();
	}
	let begun = Instant::now();
	let millions = shape.weights() / 1_000_000;
	let progress = progress(&format!("{}: {millions} M random weights", shape.name));
	weights::write_dir(&shape, &source, progress)?;
	log(&format!("{}: importing", shape.name));
	let id = cpu::import_random(&source, &partial, shape.name)?;
	fs::remove_dir_all(&source)?;
	fs::rename(&partial, dir)?;
	let seconds = begun.elapsed().as_secs_f64();
	log(&format!("{}: {id} in {seconds:.0} s", shape.name));
	Ok(id)
}

fn write_gguf(dir: &Path, out: &Path) -> Result<()> {
	if out.exists() {
		return Ok(());
	}
	let name = out.file_name().unwrap_or_default().to_string_lossy();
	let partial = out.with_extension("partial");
	fs::create_dir_all(out.parent().context("a file without a directory")?)?;
	gguf::export(dir, &partial, progress(&format!("{name}: the same blocks")))?;
	Ok(fs::rename(&partial, out)?)
}

fn log(line: &str) {
	eprintln!("    {line}");
}

/// Shows per cents of what is being written: on one line of a terminal, at its end elsewhere.
fn progress(what: &str) -> impl FnMut(usize, usize) {
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
			log(&what);
		}
	}
}
