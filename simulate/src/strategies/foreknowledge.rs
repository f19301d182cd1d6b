//! The liar that waits until it knows.
//!
//! The executor holds its answer back. Whenever the cartel owns slots close to each other, it reckons the draws of all
//! chains that it could build alone: publication, the block after it, and the block of the draw, all its own, on any
//! block that is not final. If one of them has only friends in the seats, it builds that chain in secret, and shows it
//! only if it beats the public one. If it does not, nobody has seen the lie, and the cartel waits for the next chance. It
//! never risks anything but the audit.

use super::{claim, indicator};
use crate::{
	chain::{Slots, FINALITY},
	electorate::Electorate,
	random::{hash, Effort, Mean, Rng},
};
use assay_primitives::{draw::next_beacon, ClaimId, Hash32};
use rand::Rng as _;

/// Slots in which a secret chain is finished.
const HORIZON: usize = 6;

/// Returns the share of jobs in which the executor finds a draw that it knows and likes, among this many slots, if the
/// draw comes this many blocks after the publication.
pub fn captured(effort: Effort, share: f64, k: u32, slots: usize, delay: u32) -> Mean {
	let electorate = Electorate::full(share);
	let [captured] = effort.measure(&format!("foreknowledge {share} {k} {slots} {delay}"), |rng| {
		let search = Search {
			claim: claim(rng),
			electorate: &electorate,
			k,
			delay,
		};
		[indicator(search.finds(rng, share, slots))]
	});
	captured
}

struct Search<'a> {
	claim: ClaimId,
	electorate: &'a Electorate,
	k: u32,
	delay: u32,
}

/// A block of the public chain.
#[derive(Clone, Copy)]
struct Block {
	height: u32,
	primaries: u32,
	beacon: Hash32,
}

/// The end of a chain of the cartel's own blocks.
struct Secret {
	slot: usize,
	height: u32,
	primaries: u32,
	own: u32,
	beacon: Hash32,
	liked: bool,
}

impl Search<'_> {
	fn finds(&self, rng: &mut Rng, x: f64, slots: usize) -> bool {
		let mut epoch = Slots::new(x);
		epoch.get(rng, slots + HORIZON);
		let mut chain = vec![Block {
			height: 0,
			primaries: 0,
			beacon: hash(rng),
		}];
		for start in 0..slots {
			if !epoch.get(rng, start).own.is_empty() && self.from(rng, &mut epoch, &chain, start) {
				return true;
			}
			extend(rng, &mut epoch, &mut chain, start);
		}
		false
	}

	/// Returns whether a secret chain that begins in this slot wins.
	fn from(&self, rng: &mut Rng, epoch: &mut Slots, chain: &[Block], start: usize) -> bool {
		let lucky = rng.gen_bool(0.5);
		let Some(head) = chain.last() else { return false };
		// The public chain, if the cartel adds nothing to it.
		let mut public = vec![(head.primaries, head.height)];
		for slot in start..=start + HORIZON {
			let honest = epoch.get(rng, slot).honest;
			let (primaries, height) = public[public.len() - 1];
			public.push(match honest {
				Some(claim) => (primaries + u32::from(claim.primary), height + 1),
				None => (primaries, height),
			});
		}
		chain.iter().rev().take(FINALITY as usize + 1).any(|base| {
			let secret = Secret {
				slot: start,
				height: base.height,
				primaries: base.primaries,
				own: 0,
				beacon: base.beacon,
				liked: false,
			};
			self.grow(rng, epoch, &public, start, base.height, lucky, &secret)
		})
	}

	/// Adds the cartel's next block to a secret chain, in all ways there are, and returns whether one of them wins.
	#[allow(clippy::too_many_arguments)]
	fn grow(
		&self,
		rng: &mut Rng,
		epoch: &mut Slots,
		public: &[(u32, u32)],
		start: usize,
		base: u32,
		lucky: bool,
		secret: &Secret,
	) -> bool {
		// The first block is of the first slot: chains that begin later are looked at later.
		let last = if secret.own == 0 { start } else { start + HORIZON };
		for slot in secret.slot..=last {
			let known = public[slot - start + 1];
			if known.1 >= base + 1 + FINALITY {
				return false;
			}
			for claim in epoch.get(rng, slot).own.clone() {
				let mut next = Secret {
					slot: slot + 1,
					height: secret.height + 1,
					primaries: secret.primaries + u32::from(claim.primary),
					own: secret.own + 1,
					beacon: next_beacon(&secret.beacon, secret.height + 1, Some(&claim.vrf)),
					liked: secret.liked,
				};
				if !next.liked && next.own > self.delay {
					next.liked = self.electorate.honest_seats(&self.claim, 1, &next.beacon, self.k) == 0;
				}
				let order = (next.primaries, next.height).cmp(&known);
				let tie = lucky && known != public[slot - start];
				if next.liked && (order.is_gt() || order.is_eq() && tie) {
					return true;
				}
				if self.grow(rng, epoch, public, start, base, lucky, &next) {
					return true;
				}
			}
		}
		false
	}
}

/// Adds a slot's block to the public chain: the cartel's too, where it keeps to the rules.
fn extend(rng: &mut Rng, epoch: &mut Slots, chain: &mut Vec<Block>, slot: usize) {
	let coin = rng.gen_bool(0.5);
	let slot = epoch.get(rng, slot);
	let own = slot.own.first().copied();
	let claim = match (own, slot.honest) {
		(Some(own), Some(honest)) if own.primary && (!honest.primary || coin) => Some(own),
		(own, honest) => honest.or(own),
	};
	if let (Some(claim), Some(head)) = (claim, chain.last().copied()) {
		chain.push(Block {
			height: head.height + 1,
			primaries: head.primaries + u32::from(claim.primary),
			beacon: next_beacon(&head.beacon, head.height + 1, Some(&claim.vrf)),
		});
	}
}
