//! The transaction pool's tasks at a clean end of the node.

use futures::{
	future::{pending, BoxFuture},
	FutureExt,
};
use sc_service::SpawnEssentialTaskHandle;
use sp_core::traits::SpawnEssentialNamed;

/// Starts the pool's tasks so that the node ends with an error if one of them fails, and without one when it ends anyway.
///
/// One of them waits on its own thread, without noticing the node's end, until the pool is gone: then it returns, and an
/// essential task that returns is logged as failed. It returns for no other reason. So after it the task only waits for the
/// end of the node, which it can then notice; a panic is still a failure.
#[derive(Clone)]
pub(super) struct PoolTasks(pub(super) SpawnEssentialTaskHandle);

impl SpawnEssentialNamed for PoolTasks {
	fn spawn_essential_blocking(
		&self,
		name: &'static str,
		group: Option<&'static str>,
		future: BoxFuture<'static, ()>,
	) {
		self.0.spawn_blocking(name, group, future.then(|()| pending()));
	}

	fn spawn_essential(&self, name: &'static str, group: Option<&'static str>, future: BoxFuture<'static, ()>) {
		self.0.spawn(name, group, future);
	}
}
