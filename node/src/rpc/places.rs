//! How many subscriptions of one kind, to jobs or to streams, there may be: of each connection, and of the node.

use super::error::Error;
use jsonrpsee::ConnectionId;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Most subscriptions of one connection.
const MAX_PER_CONNECTION: usize = 16;
/// Most subscriptions of a node, which bounds what it reads in each block.
const MAX_PER_NODE: usize = 4_096;

/// The places of subscriptions of one kind.
///
/// Each connection has some of its own, which no other can take: as many as are left for each when the node has all the
/// connections that it allows.
pub(super) struct Places {
	per_connection: usize,
	taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
	total: usize,
	/// Listeners for IPv4 and IPv6 number their connections alike: two connections with one number share their places.
	by_connection: HashMap<ConnectionId, usize>,
}

/// The place of one subscription, which is given back when this is dropped.
pub(super) struct Place {
	places: Arc<Places>,
	connection: ConnectionId,
}

impl Places {
	/// Divides the places of a node that allows so many connections, of all its listeners together.
	pub(super) fn new(connections: usize) -> Self {
		let share = MAX_PER_NODE.checked_div(connections).unwrap_or(MAX_PER_NODE);
		Self {
			per_connection: share.clamp(1, MAX_PER_CONNECTION),
			taken: Mutex::default(),
		}
	}

	/// Returns how many places are taken.
	pub(super) fn taken(&self) -> usize {
		self.taken.lock().total
	}

	/// Takes a place of a connection.
	pub(super) fn take(self: &Arc<Self>, connection: ConnectionId) -> Result<Place, Error> {
		let mut taken = self.taken.lock();
		let own = taken.by_connection.get(&connection).copied().unwrap_or(0);
		if own >= self.per_connection {
			return Err(Error::TooManySubscriptions(self.per_connection));
		}
		if taken.total >= MAX_PER_NODE {
			return Err(Error::NodeAtCapacity(MAX_PER_NODE));
		}
		taken.by_connection.insert(connection, own.saturating_add(1));
		taken.total = taken.total.saturating_add(1);
		Ok(Place {
			places: self.clone(),
			connection,
		})
	}
}

impl Drop for Place {
	fn drop(&mut self) {
		let mut taken = self.places.taken.lock();
		taken.total = taken.total.saturating_sub(1);
		match taken.by_connection.get_mut(&self.connection) {
			Some(own) if *own > 1 => *own = own.saturating_sub(1),
			_ => {
				taken.by_connection.remove(&self.connection);
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn take(places: &Arc<Places>, connection: usize) -> Result<Place, i32> {
		places
			.take(ConnectionId(connection))
			.map_err(|e| jsonrpsee::types::ErrorObjectOwned::from(e).code())
	}

	#[test]
	fn one_connection_cannot_take_the_places_of_another() {
		let places = Arc::new(Places::new(200));
		let greedy: Vec<_> = (0..100).filter_map(|_| take(&places, 1).ok()).collect();
		assert_eq!(greedy.len(), MAX_PER_CONNECTION);
		assert_eq!(take(&places, 1).err(), Some(20_002));
		let other = take(&places, 2).unwrap();
		drop(greedy);
		assert!(take(&places, 1).is_ok());
		drop(other);
		assert!(
			places.taken.lock().by_connection.is_empty(),
			"who has none is forgotten"
		);
		assert_eq!(places.taken.lock().total, 0);
	}

	#[test]
	fn whoever_is_connected_finds_a_place_on_a_full_node() {
		for connections in [1, 100, 200, 256, 257, 1_000, 2_000, MAX_PER_NODE] {
			let places = Arc::new(Places::new(connections));
			let mut taken = Vec::new();
			for connection in 1..connections {
				while let Ok(place) = take(&places, connection) {
					taken.push(place);
				}
			}
			assert!(take(&places, connections).is_ok(), "{connections} connections");
			assert!(taken.len() <= MAX_PER_NODE);
		}
	}

	#[test]
	fn a_node_with_more_connections_than_places_refuses_by_name() {
		let places = Arc::new(Places::new(2 * MAX_PER_NODE));
		let taken: Vec<_> = (0..MAX_PER_NODE).map(|n| take(&places, n).ok()).collect();
		assert!(taken.iter().all(Option::is_some));
		assert_eq!(take(&places, MAX_PER_NODE).err(), Some(20_004));
		assert_eq!(take(&places, 0).err(), Some(20_002), "its own limit comes first");
	}
}
