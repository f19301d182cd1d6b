//! Leads an anchor on to newer validators, as a light client does.

use super::{begin, check_justified, hand_over};
use crate::{finality::Header, Anchor, Authority, Finality, MaxAge, Reason};

impl Anchor {
	/// Returns the anchor to which evidence leads: the set of validators after its block, made at `time` in Unix seconds. The
	/// evidence needs no proof of storage. Nobody is trusted besides this anchor, so it must not be too old.
	pub fn lead_on(&self, evidence: &Finality, time: u64, now: u64, max_age: MaxAge) -> Result<Self, Reason> {
		if !evidence.is_within_limits() {
			return Err(Reason::Malformed);
		}
		let start = begin(self, evidence, now, max_age)?;
		let (set, last) = hand_over(&start)?;
		let header = Header::read(&evidence.header)?;
		let block = header.block();
		check_justified(&block, &start, &set, last)?;
		// A block that hands over is the last of its set.
		let (set, set_id) = match header.next_set() {
			Ok(next) => (next, evidence.set_id.saturating_add(1)),
			Err(Reason::NoChange) => (set, evidence.set_id),
			Err(reason) => return Err(reason),
		};
		Ok(Self {
			number: block.number,
			hash: block.hash,
			time: Some(time),
			set_id,
			authorities: set.iter().map(|(key, weight)| Authority { key, weight }).collect(),
			..self.clone()
		})
	}
}
