//! What the engine's programs do: the process that a node spawns, and the tool for model folders. On the processor (`assay-engine`) or
//! on a graphics card (`assay-engine-cuda`), with one command line.

use crate::{
	engine::known_answer_test,
	generate,
	gpu::Gpu,
	process::{self, end_if_device_failed},
	scheduler::SchedulerLimits,
	server, Engine, Error, Model,
};
use anyhow::{Context, Result};
use assay_numerics::Isa;
use assay_primitives::{job::Output, SamplingParams, Vote};
use assay_protocol::ByteSize;
use clap::Subcommand;
use std::{
	io::Write,
	path::{Path, PathBuf},
	process::ExitCode,
	sync::Arc,
	time::Instant,
};

/// A graphics card that a program computes on.
pub struct Card {
	/// The card.
	pub gpu: Arc<dyn Gpu>,
	/// How many bytes nobody uses on it.
	pub free_memory: Box<dyn Fn() -> crate::Result<usize> + Send>,
}

/// What a program is asked to do.
#[derive(Subcommand)]
pub enum Command {
	/// Serve the models of a folder to the node that listens on a socket. Ends when the node hangs up.
	Serve {
		/// The node's Unix socket.
		#[arg(long)]
		socket: PathBuf,
		/// A folder with one folder per model.
		#[arg(long)]
		models: PathBuf,
		/// Threads that compute; 0 takes one for each core.
		#[arg(long, default_value_t = 0)]
		threads: usize,
		/// Compute with these instructions instead of the fastest: portable, neon, avx2 or avx512. The bits are the same.
		#[arg(long)]
		tier: Option<Isa>,
		/// Memory for keys and values of all models together, in bytes; K, M and G are understood. Default: 1G, or on a graphics card
		/// three quarters of what is free once the models are there.
		#[arg(long, value_name = "BYTES")]
		kv_memory: Option<ByteSize>,
		/// What this process may take.
		#[command(flatten)]
		share: process::Limits,
	},
	/// Check a model folder, byte by byte, and reproduce its known answer. Prints the model's id.
	Check {
		/// The canonical folder.
		dir: PathBuf,
	},
	/// Answer a prompt without a chain, then verify the answer by prefill.
	Run {
		/// The canonical folder.
		dir: PathBuf,
		/// The question.
		prompt: String,
		/// Most tokens to generate.
		#[arg(long, default_value_t = 128)]
		max_tokens: u32,
		/// Zero takes the best token each time.
		#[arg(long, default_value_t = 0.0)]
		temperature: f64,
		/// Keep only so many best tokens; 0 keeps all.
		#[arg(long, default_value_t = 0)]
		top_k: u32,
		/// Keep only tokens at least this probable relative to the best; 0 keeps all.
		#[arg(long, default_value_t = 0.0)]
		min_p: f64,
		/// A string that ends the answer; may be given up to four times.
		#[arg(long)]
		stop: Vec<String>,
		/// 64 hex digits that decide the noise.
		#[arg(long, value_parser = seed)]
		seed: Option<Seed>,
		/// Don't verify afterwards.
		#[arg(long)]
		no_verify: bool,
	},
}

/// 32 bytes of a command line.
#[derive(Clone, Copy)]
pub struct Seed([u8; 32]);

fn seed(text: &str) -> Result<Seed, String> {
	assay_primitives::hash::parse(text).map(Seed).map_err(|e| e.to_string())
}

/// How a program gets at its card.
pub type Open = Box<dyn FnOnce() -> crate::Result<Card> + Send>;

/// Carries a command out, on a card if there is one, and says on standard error how that went.
pub fn main(command: Command, open: Option<Open>) -> ExitCode {
	match run(command, open) {
		// Without waiting for work in progress: whoever asked for it is gone.
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => match error.downcast_ref() {
			Some(Error::Device(why)) => process::device_failed(why),
			_ => {
				eprintln!("error: {error:#}");
				ExitCode::FAILURE
			}
		},
	}
}

/// Sends log lines to standard error, where a node reads them.
pub fn log_to_stderr() {
	log::set_logger(&Stderr)
		.map(|()| log::set_max_level(log::LevelFilter::Info))
		.ok();
}

fn run(command: Command, open: Option<Open>) -> Result<()> {
	match command {
		Command::Serve {
			socket,
			models,
			threads,
			tier,
			kv_memory,
			share,
		} => {
			// Before any thread, and before the card, whose driver starts some: these inherit it.
			match open {
				None => share.apply()?,
				Some(_) => share.apply_watching()?,
			}
			let mut limits = SchedulerLimits::default();
			if let Some(ByteSize(bytes)) = kv_memory {
				limits.kv_bytes = usize::try_from(bytes).context("--kv-memory")?;
			}
			let runtime = tokio::runtime::Builder::new_multi_thread()
				.worker_threads(1)
				.enable_all()
				.build()?;
			let load = move || {
				let mut engine = Engine::with(limits, tier);
				let card = open.map(|open| open()).transpose()?;
				if let Some(card) = &card {
					log::info!("computing on {}", card.gpu.name());
					engine = engine.on_gpu(card.gpu.clone());
				}
				engine.load(&models).map_err(end_if_device_failed)?;
				if let (Some(card), None) = (&card, kv_memory) {
					engine.set_kv_bytes((card.free_memory)()? / 4 * 3);
				}
				Ok(engine)
			};
			Ok(runtime.block_on(server::serve_loading(&socket, threads, load))?)
		}
		Command::Check { dir } => {
			let model = load(&dir, open)?;
			known_answer_test(&model)?;
			println!("{}", model.id());
			Ok(())
		}
		Command::Run {
			dir,
			prompt,
			max_tokens,
			temperature,
			top_k,
			min_p,
			stop,
			seed,
			no_verify,
		} => {
			let stop = stop
				.into_iter()
				.map(|s| s.into_bytes().try_into())
				.collect::<Result<Vec<_>, _>>();
			let stop = stop
				.ok()
				.and_then(|s| s.try_into().ok())
				.context("--stop: at most 4 strings of at most 32 bytes")?;
			let (temperature, min_p) = (q16("--temperature", temperature)?, q16("--min-p", min_p)?);
			let params = SamplingParams {
				max_tokens,
				temperature,
				top_k,
				min_p,
				stop,
			};
			let model = load(&dir, open)?;
			answer(&model, &prompt, &params, seed.map_or([0; 32], |s| s.0), !no_verify)
		}
	}
}

fn load(dir: &Path, open: Option<Open>) -> Result<Model> {
	let model = Model::load(dir).with_context(|| dir.display().to_string())?;
	match open {
		Some(open) => Ok(model.on_gpu(open()?.gpu)?),
		None => Ok(model),
	}
}

fn answer(model: &Model, prompt: &str, params: &SamplingParams, seed: [u8; 32], check: bool) -> Result<()> {
	let begun = Instant::now();
	let mut shown = 0;
	let executed = generate::execute_with(model, prompt, params, seed, &mut |text| {
		print!("{}", text.get(shown..).unwrap_or_default());
		shown = text.len().max(shown);
		std::io::stdout().flush().ok();
	})?;
	println!();
	let took = begun.elapsed();
	let Output {
		input_tokens,
		tokens,
		finish,
		..
	} = &executed.output;
	let speed = tokens.len() as f64 / took.as_secs_f64();
	eprintln!(
		"{input_tokens} tokens in, {} out, {finish:?}; {speed:.1} tokens/s",
		tokens.len()
	);
	eprintln!("trace root {}", executed.trace_root);
	if check {
		let begun = Instant::now();
		let vote = generate::verify(model, prompt, params, seed, &executed.output)?;
		anyhow::ensure!(
			vote == Vote::Confirm {
				trace_root: executed.trace_root
			},
			"prefill doesn't confirm: {vote:?}"
		);
		let part = begun.elapsed().as_secs_f64() / took.as_secs_f64() * 100.0;
		eprintln!("verified by one prefill in {part:.0} % of the time");
	}
	Ok(())
}

/// A fraction on the command line as Q16.16.
fn q16(flag: &str, value: f64) -> Result<u32> {
	anyhow::ensure!((0.0..=16.0).contains(&value), "{flag} must be between 0 and 16");
	Ok((value * 65_536.0).round() as u32)
}

/// Lines for the node's log.
struct Stderr;

impl log::Log for Stderr {
	fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
		metadata.level() <= log::Level::Info
	}

	fn log(&self, record: &log::Record<'_>) {
		if self.enabled(record.metadata()) {
			eprintln!("{}: {}", record.level(), record.args());
		}
	}

	fn flush(&self) {}
}
