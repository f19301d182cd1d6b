//! The `assay-engine-cuda` program: the engine on an NVIDIA GPU. The bits are those of `assay-engine`.

use assay_engine::{
	gpu::{cuda::Cuda, Gpu},
	process::DEVICE_FAULT,
	program::{self, OpenedGpu, ServeArgs},
	Error, Result,
};
use clap::{Parser, Subcommand};
use std::{process::ExitCode, sync::Arc};

/// Runs models exactly, on an NVIDIA GPU: the same bits as on every machine.
#[derive(Parser)]
#[command(name = "assay-engine-cuda", version)]
struct Cli {
	/// The GPU to compute on, counted from 0 as nvidia-smi counts them.
	#[arg(long, value_name = "N", global = true, default_value_t = 0)]
	device: u32,
	#[command(subcommand)]
	command: Command,
}

/// The order in which CUDA counts GPUs.
const ORDER: &str = "CUDA_DEVICE_ORDER";

#[derive(Subcommand)]
enum Command {
	/// Print the name of the GPU that would be used; fails with a reason if none can be.
	Probe,
	/// Serve a directory of models to the node whose socket is this program's standard input.
	Serve(ServeArgs),
}

fn main() -> ExitCode {
	// Left to itself CUDA counts the fastest GPU first. Before any thread.
	if std::env::var_os(ORDER).is_none() {
		std::env::set_var(ORDER, "PCI_BUS_ID");
	}
	program::log_to_stderr();
	let Cli { device, command } = Cli::parse();
	match command {
		// The node logs the last line.
		Command::Probe => match Cuda::open(device) {
			Ok(gpu) => {
				println!("{}", gpu.name());
				ExitCode::SUCCESS
			}
			Err(Error::Device(why)) => {
				eprintln!("{why}");
				ExitCode::from(DEVICE_FAULT as u8)
			}
			Err(error) => {
				eprintln!("{error}");
				ExitCode::FAILURE
			}
		},
		Command::Serve(args) => program::main(args, Some(Box::new(move || open(device)))),
	}
}

fn open(device: u32) -> Result<OpenedGpu> {
	let cuda = Arc::new(Cuda::open(device)?);
	let gpu = cuda.clone();
	Ok(OpenedGpu {
		gpu,
		free_memory: Arc::new(move || Ok(cuda.free_memory()?)),
	})
}
