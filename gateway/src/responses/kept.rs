//! Items of answers, kept in memory for a while: some clients name an item instead of sending it again.

use super::response::{Item, ResponseObject};
use assay_primitives::json::Json;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Most bytes of kept items, as JSON and with their ids.
const MAX_BYTES: usize = 16 << 20;

/// The items of the latest answers, by their ids.
#[derive(Default)]
pub(crate) struct KeptItems(Mutex<Inner>);

#[derive(Default)]
struct Inner {
	/// The items as JSON.
	items: HashMap<String, String>,
	/// Their ids, the oldest first.
	order: VecDeque<String>,
	bytes: usize,
}

impl KeptItems {
	/// Keeps the items of an answer, and forgets the oldest ones beyond the limit.
	pub(super) fn keep(&self, response: &ResponseObject) {
		for item in response.output() {
			if let Ok(json) = serde_json::to_string(item) {
				self.0.lock().insert(item, json, MAX_BYTES);
			}
		}
	}

	/// Returns an item by its id, and how many bytes it has as JSON.
	pub(super) fn get(&self, id: &str) -> Option<(Json, usize)> {
		let inner = self.0.lock();
		let json = inner.items.get(id)?;
		Some((serde_json::from_str(json).ok()?, json.len()))
	}
}

impl Inner {
	fn insert(&mut self, item: &Item, json: String, most: usize) {
		let id = item.id();
		self.bytes = self.bytes.saturating_add(id.len()).saturating_add(json.len());
		// A repeated request has the same items. They keep their place.
		match self.items.insert(id.into(), json) {
			Some(old) => self.bytes = self.bytes.saturating_sub(id.len()).saturating_sub(old.len()),
			None => self.order.push_back(id.into()),
		}
		while self.bytes > most {
			let Some(oldest) = self.order.pop_front() else { return };
			let json = self.items.remove(&oldest).unwrap_or_default();
			self.bytes = self.bytes.saturating_sub(oldest.len()).saturating_sub(json.len());
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_oldest_items_are_forgotten_first() {
		let item = |id: &str| Item::Message {
			id: id.into(),
			role: "assistant",
			content: Vec::new(),
			status: "completed",
		};
		let mut inner = Inner::default();
		for id in ["a", "b", "a", "c"] {
			inner.insert(&item(id), "1234".into(), 10);
		}
		assert_eq!((inner.order, inner.bytes), (["b".to_string(), "c".into()].into(), 10));
		assert!(!inner.items.contains_key("a") && inner.items.len() == 2);
	}
}
