//! What the engine's programs share: the process that a node starts, on the CPU (`assay-engine`) or on a GPU
//! (`assay-engine-cuda`), with one command line.

use crate::{
	engine::FreeMemory,
	gpu::Gpu,
	process::{self, MemoryWatch, ProcessLimits},
	scheduler::SchedulerLimits,
	server, Engine, Error,
};
use anyhow::{Context, Result};
use assay_model_folder::files;
use assay_numerics::{
	isa::{amx_status, AmxStatus},
	Isa,
};
use assay_protocol::{process::stdin_socket, ByteSize, SandboxMode, SandboxStatus};
use assay_sandbox::Policy;
use std::{
	fs,
	path::{Path, PathBuf},
	process::ExitCode,
	sync::Arc,
};

/// A GPU that a program computes on.
pub struct OpenedGpu {
	/// The GPU.
	pub gpu: Arc<dyn Gpu>,
	/// Returns how many bytes of its memory are free.
	pub free_memory: FreeMemory,
}

/// Opens a program's GPU.
pub type OpenGpu = Box<dyn FnOnce() -> crate::Result<OpenedGpu> + Send>;

/// The command line of `serve`.
#[derive(clap::Args)]
pub struct ServeArgs {
	/// The directory that holds a model directory per model. The node names those to serve.
	#[arg(long, value_name = "DIR")]
	models: PathBuf,
	/// Threads that compute; 0 takes one for each core.
	#[arg(long, value_name = "N", default_value_t = 0)]
	threads: usize,
	/// Instruction set to compute with instead of the fastest: portable, neon, avx2, avx512 or amx. The bits are the same.
	#[arg(long, value_name = "NAME")]
	isa: Option<Isa>,
	/// Memory for keys and values of all models together, in bytes; K, M and G are understood. Default: 1G, or on a GPU
	/// three quarters of what the models leave free. They share it equally, anew with each that comes or goes; a model is not
	/// served if one whole context of it, or of one that is served already, does not fit its share. A rejection is computed a
	/// second time beside that, with pages of its own.
	#[arg(long, value_name = "BYTES")]
	kv_memory: Option<ByteSize>,
	/// Whether this process gives up every right that serving does not need, before it reads a model: auto (as far as the
	/// kernel can), require (or it ends), or off.
	#[arg(long, value_name = "MODE", default_value_t = SandboxMode::Auto)]
	sandbox: SandboxMode,
	/// What this process may take.
	#[command(flatten)]
	limits: ProcessLimits,
}

/// Serves until the node hangs up, on a GPU if one is given, and writes to standard error why it ended.
pub fn main(args: ServeArgs, open: Option<OpenGpu>) -> ExitCode {
	match serve(args, open) {
		// Without waiting for work in progress: whoever requested it is gone.
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

fn serve(args: ServeArgs, open: Option<OpenGpu>) -> Result<()> {
	let ServeArgs {
		models,
		threads,
		isa,
		kv_memory,
		sandbox,
		limits,
	} = args;
	if sandbox != SandboxMode::Off {
		close_inherited_descriptors(sandbox)?;
	}
	let socket = stdin_socket().context("a node starts this program and hands it a socket as standard input")?;
	// Before any thread, and before the GPU, whose driver starts some: these inherit it.
	let watch = match open {
		None => limits.apply().map(|()| None)?,
		Some(_) => limits.apply_to_gpu_process()?,
	};
	// Asked before the sandbox, and said: what computes wrongly here may do so elsewhere.
	if amx_status() == AmxStatus::Differs {
		log::error!(
			"this CPU's matrix units compute wrongly and are not used: check the hardware, or report this as a bug"
		);
	}
	let sandbox = confine(&models, open.is_some(), sandbox)?;
	watch.map(MemoryWatch::start).transpose()?;
	let mut scheduling = SchedulerLimits::default();
	if let Some(ByteSize(bytes)) = kv_memory {
		scheduling.kv_bytes = usize::try_from(bytes).context("--kv-memory")?;
	}
	let load = move || {
		let engine = Engine::with(scheduling, isa).serving_from(models);
		let Some(open) = open else { return Ok(engine) };
		let OpenedGpu { gpu, free_memory } = open()?;
		log::info!("computing on {}", gpu.name());
		let engine = engine.on_gpu(gpu);
		Ok(match kv_memory {
			Some(_) => engine,
			None => engine.with_free_memory(free_memory),
		})
	};
	let runtime = tokio::runtime::Builder::new_multi_thread()
		.worker_threads(1)
		.enable_all()
		.build()?;
	runtime.block_on(async {
		socket.set_nonblocking(true)?;
		let stream = tokio::net::UnixStream::from_std(socket)?;
		Ok(server::serve_loading(stream, threads, sandbox, load).await?)
	})
}

/// Closes what the node may have left open in this process. Where a sandbox is required, an error if that fails.
fn close_inherited_descriptors(mode: SandboxMode) -> Result<()> {
	// SAFETY: no thread runs yet, and nothing has been opened but the standard descriptors.
	match unsafe { assay_sandbox::close_inherited_descriptors() } {
		Err(error) if mode == SandboxMode::Require => Err(error.into()),
		Err(error) => {
			log::warn!("sandbox: {error}");
			Ok(())
		}
		Ok(()) => Ok(()),
	}
}

/// Gives up every right that serving the models in `models` does not need, those among them that come later.
fn confine(models: &Path, on_gpu: bool, mode: SandboxMode) -> Result<SandboxStatus> {
	let readable = [vec![models.to_owned()], linked_directories(models)].concat();
	let policy = Policy::serving(models, readable);
	let policy = if on_gpu { policy.with_gpu() } else { policy };
	Ok(assay_sandbox::confine(&policy, mode)?)
}

/// Returns the model directories that symbolic links in `models` lead to. What they lead to later stays closed.
fn linked_directories(models: &Path) -> Vec<PathBuf> {
	let entries = fs::read_dir(models).into_iter().flatten().flatten();
	entries
		.map(|entry| entry.path())
		.filter(|directory| directory.is_symlink() && directory.join(files::MANIFEST).is_file())
		.collect()
}

/// Sends log lines to standard error, where the node reads them.
pub fn log_to_stderr() {
	log::set_logger(&Stderr)
		.map(|()| log::set_max_level(log::LevelFilter::Info))
		.ok();
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
