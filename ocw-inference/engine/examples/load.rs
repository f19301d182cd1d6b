//! Measures how quickly a model directory is loaded, checked and packed: `cargo run --release --example load -- DIR [THREADS]`.
//! The first time reads the disk, the others what the system has cached of it.

use assay_engine::Model;
use std::{path::PathBuf, time::Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
	let mut arguments = std::env::args().skip(1);
	let directory: PathBuf = arguments.next().ok_or("which model directory?")?.into();
	let threads = arguments.next().map_or(Ok(0), |threads| threads.parse())?;
	let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
	for _ in 0..5 {
		let begun = Instant::now();
		let model = pool.install(|| Model::load(&directory))?;
		let (seconds, bytes) = (begun.elapsed().as_secs_f64(), model.manifest().weight_bytes());
		println!(
			"{bytes} bytes in {seconds:.3} s on {} threads: {:.2} GB/s",
			pool.current_num_threads(),
			bytes as f64 / seconds / 1e9
		);
	}
	Ok(())
}
