//! The thread that reads model directories, one at a time, while others compute.

use super::Command;
use crate::{engine::guarded, Error, Model, Result};
use assay_protocol::is_directory_name;
use std::{
	path::{Path, PathBuf},
	sync::mpsc::{channel, Receiver, Sender, SyncSender},
	thread,
};

/// The part of the threads that read while work is computed: one in so many.
const SHARE: usize = 4;

/// A model directory to read.
struct Order {
	directory: String,
	threads: usize,
}

/// The way to the thread that reads.
pub(super) struct Loader {
	models: Option<PathBuf>,
	/// To the thread, once there is one.
	orders: Option<Sender<Order>>,
	loaded: SyncSender<Command>,
	/// How many threads compute.
	threads: usize,
}

impl Loader {
	/// Makes the way to read directories in `models`; what was read goes to `loaded`.
	pub(super) fn new(models: Option<&Path>, loaded: SyncSender<Command>) -> Self {
		Self {
			models: models.map(Path::to_owned),
			orders: None,
			loaded,
			threads: rayon::current_num_threads(),
		}
	}

	/// Has a directory read, on all threads if they have nothing else to do. What comes of it is a command. An error says why it is
	/// not read.
	pub(super) fn load(&mut self, directory: String, idle: bool) -> Result<()> {
		let models = self.models.clone();
		let models =
			models.ok_or_else(|| Error::Work("this engine serves what it has, and reads nothing more".into()))?;
		if !is_directory_name(&directory) {
			return Err(Error::Work("the name of a model directory is no name of a file".into()));
		}
		let orders = match &self.orders {
			Some(orders) => orders,
			None => self.orders.insert(start(models, self.loaded.clone())?),
		};
		let threads = if idle {
			self.threads
		} else {
			(self.threads / SHARE).max(1)
		};
		orders
			.send(Order { directory, threads })
			.map_err(|_| Error::Compute("the thread that reads models ended".into()))
	}
}

/// Starts the thread, which ends with its orders.
fn start(models: PathBuf, loaded: SyncSender<Command>) -> Result<Sender<Order>> {
	let (orders, queue) = channel();
	thread::Builder::new()
		.name("models".into())
		.spawn(move || read(&models, &queue, &loaded))
		.map_err(|e| Error::Compute(format!("no thread to read models on: {e}")))?;
	Ok(orders)
}

fn read(models: &Path, orders: &Receiver<Order>, loaded: &SyncSender<Command>) {
	for Order { directory, threads } in orders {
		let path = models.join(&directory);
		// A pool of its own: a thread that computes a step must not begin to read a model within it.
		let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
		let model = match pool {
			Ok(pool) => pool.install(|| guarded("reading it", || Model::load(&path))),
			Err(e) => Err(Error::Compute(format!("no threads to read models on: {e}"))),
		};
		if loaded.send(Command::Loaded(directory, Box::new(model))).is_err() {
			return;
		}
	}
}
