//! The `assay-engine-cuda` program: the engine on an NVIDIA card. The bits are those of `assay-engine`.

use assay_engine::{
	gpu::{cuda::Cuda, Gpu},
	process::DEVICE_FAULT,
	program, Error, Result,
};
use clap::{Parser, Subcommand};
use std::{process::ExitCode, sync::Arc};

/// Runs models exactly, on an NVIDIA card: the same bits as on every computer.
#[derive(Parser)]
#[command(name = "assay-engine-cuda", version)]
struct Cli {
	/// Which card to compute on, counted from 0 as nvidia-smi counts them.
	#[arg(long, value_name = "N", global = true, default_value_t = 0)]
	device: u32,
	#[command(subcommand)]
	command: Command,
}

/// By what CUDA counts cards.
const ORDER: &str = "CUDA_DEVICE_ORDER";

#[derive(Subcommand)]
enum Command {
	/// Say which card would be computed on; fails with a reason if none can be.
	Probe,
	#[command(flatten)]
	Engine(program::Command),
}

fn main() -> ExitCode {
	// Left to itself CUDA counts the fastest card first. Before any thread.
	if std::env::var_os(ORDER).is_none() {
		std::env::set_var(ORDER, "PCI_BUS_ID");
	}
	program::log_to_stderr();
	let Cli { device, command } = Cli::parse();
	match command {
		// Its last line is what the node says.
		Command::Probe => match Cuda::open(device) {
			Ok(card) => {
				println!("{}", card.name());
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
		Command::Engine(command) => program::main(command, Some(Box::new(move || open(device)))),
	}
}

fn open(device: u32) -> Result<program::Card> {
	let card = Arc::new(Cuda::open(device)?);
	let gpu = card.clone();
	Ok(program::Card {
		gpu,
		free_memory: Box::new(move || Ok(card.free_memory()?)),
	})
}
