//! The models that are measured. Those of the CPU lie on disk: made once below the cache, found again by what they are made of.

use crate::{
	engine::Load,
	entries::{self, Entry, Width},
	gguf,
	shapes::Shape,
	weights,
};
use anyhow::{bail, ensure, Context, Result};
use assay_model_folder::{formats::Format, manifest::ManifestFile};
use std::{
	fs,
	io::{IsTerminal, Write},
	path::{Path, PathBuf},
	time::Instant,
};

/// A model that engines are asked to load.
#[derive(Clone)]
pub struct Model {
	/// Its name in tables and samples.
	pub name: String,
	/// Its hyperparameters.
	pub shape: Shape,
	/// What is measured on it.
	pub entries: Vec<Entry>,
	/// Where it lies; a GPU's models are made on it.
	pub files: Option<Files>,
}

/// A model in the forms that the engines read.
#[derive(Clone)]
pub struct Files {
	/// Canonical model directories by the format of their layers. The first has the weights of the GGUF file.
	pub dirs: Vec<(Format, PathBuf)>,
	/// The same weights as GGUF.
	pub gguf: PathBuf,
	/// The `ModelId` of each directory.
	pub ids: Vec<String>,
}

impl Model {
	/// Finds or makes models for the CPU: `demo`, the name of a shape for both widths, or the name of one, such as `1.1b-4bit`.
	pub fn on_disk(name: &str, demo: &Path, cache: &Path, amx: bool) -> Result<Vec<Self>> {
		let models = cache.join("models");
		if name == "demo" {
			return Ok(vec![the_demo(demo, &models)?]);
		}
		let of_one = |width: Width| Some((name.strip_suffix(width.name())?.strip_suffix('-')?, vec![width]));
		let (shape, widths) = Width::ALL
			.into_iter()
			.find_map(of_one)
			.unwrap_or((name, Width::ALL.into()));
		let shape = Shape::named(shape).with_context(|| format!("no shape `{shape}`"))?;
		ensure!(shape.suits_cpu(), "the shape `{}` is only for a GPU", shape.name);
		widths
			.into_iter()
			.map(|width| random(shape, width, &models, amx))
			.collect()
	}

	/// A model of random weights that our engine makes on a GPU.
	pub fn on_gpu(name: &str) -> Result<Self> {
		Ok(Self {
			name: name.into(),
			shape: Shape::named(name).with_context(|| format!("no shape `{name}`"))?,
			entries: entries::of_gpu(),
			files: None,
		})
	}

	/// What an engine loads.
	pub fn load(&self, entry: &Entry, threads: usize) -> Result<Load> {
		let (mut dir, mut gguf) = (None, None);
		if let Some(files) = &self.files {
			let mut dirs = files.dirs.iter();
			let found = match entry.format {
				Some(wanted) => dirs.find(|(format, _)| *format == wanted),
				None => dirs.next(),
			};
			let (_, found) = found.with_context(|| format!("{} is not there in {}", self.name, entry.name))?;
			(dir, gguf) = (Some(found.clone()), Some(files.gguf.clone()));
		}
		Ok(Load {
			shape: self.shape.name.into(),
			config: self.shape.config(),
			context: self.shape.context,
			threads,
			isa: entry.isa.map(|isa| isa.to_string()),
			dir,
			gguf,
		})
	}
}

/// The bundled model, as its importer wrote it.
fn the_demo(dir: &Path, models: &Path) -> Result<Model> {
	let config = serde_json::from_slice(&fs::read(dir.join("config.json"))?)?;
	let shape = Shape::of_config("demo", &config).context("the demo model's config.json lacks a number")?;
	let id = id_of(dir)?;
	let gguf = models.join(format!("demo-{}.gguf", id.get(2..18).unwrap_or(&id)));
	write_gguf(dir, &gguf)?;
	Ok(Model {
		name: shape.name.into(),
		shape,
		entries: entries::of_demo(),
		files: Some(Files {
			dirs: vec![(Format::default(), dir.into())],
			gguf,
			ids: vec![id],
		}),
	})
}

/// Random weights of one width, in each of our formats.
fn random(shape: Shape, width: Width, models: &Path, amx: bool) -> Result<Model> {
	let recipe = blake3::hash(format!("{} {shape:?}", weights::VERSION).as_bytes()).to_hex();
	let recipe = recipe.get(..8).unwrap_or_default();
	let path = |format: Format| models.join(format!("{}-{format}-{recipe}", shape.name));
	let entries = entries::of_width(width, amx);
	let (mut dirs, mut ids) = (Vec::new(), Vec::new());
	// What is only divided by has other weights.
	let references = entries
		.iter()
		.filter(|entry| entry.reference)
		.filter_map(|entry| entry.format);
	for format in width.formats().into_iter().chain(references) {
		let dir = path(format);
		ids.push(match id_of(&dir) {
			Ok(id) => id,
			Err(_) => make(&shape, format, &dir)?,
		});
		dirs.push((format, dir));
	}
	let Some((format, dir)) = dirs.first() else {
		bail!("there is no format of {}", width.name());
	};
	let gguf = models.join(format!("{}-{format}-{recipe}.gguf", shape.name));
	write_gguf(dir, &gguf)?;
	Ok(Model {
		name: format!("{}-{}", shape.name, width.name()),
		shape,
		entries,
		files: Some(Files { dirs, gguf, ids }),
	})
}

/// The `ModelId` of a canonical model directory; an error if it is none that is read today.
fn id_of(dir: &Path) -> Result<String> {
	let manifest = fs::read(dir.join("manifest.json"))?;
	Ok(ManifestFile::parse(&manifest)?.model_id.to_string())
}

/// Makes the canonical model directory under another name first: one with the right name is complete.
fn make(shape: &Shape, format: Format, dir: &Path) -> Result<String> {
	let mut partial = dir.as_os_str().to_owned();
	partial.push(".partial");
	let partial = PathBuf::from(partial);
	for left_over in [partial.as_path(), dir] {
		fs::remove_dir_all(left_over).ok();
	}
	let begun = Instant::now();
	let millions = shape.weights() / 1_000_000;
	let what = format!("{}: {millions} M random weights as {format}", shape.name);
	let id = weights::write_dir(shape, format, &partial, progress(&what))?;
	fs::rename(&partial, dir)?;
	log(&format!(
		"{}: {id} in {:.0} s",
		shape.name,
		begun.elapsed().as_secs_f64()
	));
	Ok(id.to_string())
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
