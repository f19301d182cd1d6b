//! What the engine's programs share: the process that a node starts, on the CPU (`assay-engine`) or on a GPU
//! (`assay-engine-cuda`), with one command line.

use crate::{
	gpu::Gpu,
	process::{self, end_if_device_failed, ProcessLimits},
	scheduler::SchedulerLimits,
	server, Engine, Error,
};
use anyhow::{Context, Result};
use assay_numerics::Isa;
use assay_protocol::{process::stdin_socket, ByteSize};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// A GPU that a program computes on.
pub struct OpenedGpu {
	/// The GPU.
	pub gpu: Arc<dyn Gpu>,
	/// Returns how many bytes of its memory are free.
	pub free_memory: Box<dyn Fn() -> crate::Result<usize> + Send>,
}

/// Opens a program's GPU.
pub type OpenGpu = Box<dyn FnOnce() -> crate::Result<OpenedGpu> + Send>;

/// The command line of `serve`.
#[derive(clap::Args)]
pub struct ServeArgs {
	/// The directory that holds a model directory per model.
	#[arg(long, value_name = "DIR")]
	models: PathBuf,
	/// Threads that compute; 0 takes one for each core.
	#[arg(long, value_name = "N", default_value_t = 0)]
	threads: usize,
	/// Instruction set to compute with instead of the fastest: portable, neon, avx2 or avx512. The bits are the same.
	#[arg(long, value_name = "NAME")]
	isa: Option<Isa>,
	/// Memory for keys and values of all models together, in bytes; K, M and G are understood. Default: 1G, or on a GPU
	/// three quarters of what is free once the models are loaded. They share it equally; a model of which one whole context
	/// does not fit its share is not served. A rejection is computed a second time beside that, with pages of its own.
	#[arg(long, value_name = "BYTES")]
	kv_memory: Option<ByteSize>,
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
		limits,
	} = args;
	let socket = stdin_socket().context("a node starts this program and hands it a socket as standard input")?;
	// Before any thread, and before the GPU, whose driver starts some: these inherit it.
	match open {
		None => limits.apply()?,
		Some(_) => limits.apply_watching()?,
	}
	let mut scheduling = SchedulerLimits::default();
	if let Some(ByteSize(bytes)) = kv_memory {
		scheduling.kv_bytes = usize::try_from(bytes).context("--kv-memory")?;
	}
	let load = move || {
		let mut engine = Engine::with(scheduling, isa);
		let device = open.map(|open| open()).transpose()?;
		if let Some(device) = &device {
			log::info!("computing on {}", device.gpu.name());
			engine = engine.on_gpu(device.gpu.clone());
		}
		engine.load(&models).map_err(end_if_device_failed)?;
		if let (Some(device), None) = (&device, kv_memory) {
			engine.set_kv_bytes((device.free_memory)()? / 4 * 3);
		}
		Ok(engine)
	};
	let runtime = tokio::runtime::Builder::new_multi_thread()
		.worker_threads(1)
		.enable_all()
		.build()?;
	runtime.block_on(async {
		socket.set_nonblocking(true)?;
		let stream = tokio::net::UnixStream::from_std(socket)?;
		Ok(server::serve_loading(stream, threads, load).await?)
	})
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
