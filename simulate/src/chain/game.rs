//! The game for one draw: the cartel withholds, overrides and forks until the block of the draw is final.

use super::{Claim, Slots, FINALITY};
use crate::random::Rng;
use assay_primitives::{draw::next_beacon, rules::DRAW_DELAY, Hash32};
use rand::Rng as _;

/// Most blocks that are considered for one draw. Almost none gets near.
const MAX_NODES: usize = 400;

/// What the cartel does with its blocks before the one that draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
	/// It follows the rules: what it makes, it publishes at once. Chance decides.
	Honest,
	/// It publishes blocks before the draw, and plays for the block of the draw.
	Publish,
	/// It also withholds all its blocks before the draw, and builds its own chains from them.
	Withhold,
}

/// One draw that the cartel plays for.
pub struct Game<'a> {
	/// What the cartel does.
	pub policy: Policy,
	/// The slot of the block before the first one that matters.
	pub from: usize,
	/// The beacon of that block.
	pub beacon: Hash32,
	/// What a draw by this beacon is worth to the cartel, from 0 to 1.
	pub value: &'a dyn Fn(&Hash32) -> f64,
	/// What a draw is worth on average: the cartel withholds what is worth less.
	pub mean: f64,
}

/// Height of the block of the draw: after the root comes the block of the publication.
const TARGET: u32 = 1 + DRAW_DELAY;

struct Node {
	parent: usize,
	slot: usize,
	height: u32,
	primaries: u32,
	beacon: Hash32,
	/// The value of the draw in its chain, if that is decided.
	value: Option<f64>,
	/// The beacon of the draw in its chain.
	drawn: Hash32,
}

struct Tree {
	nodes: Vec<Node>,
	/// The best chain that everybody knows, by height.
	chain: Vec<usize>,
}

impl Tree {
	fn best(&self) -> usize {
		self.chain[self.chain.len() - 1]
	}

	fn is_on_chain(&self, node: usize) -> bool {
		self.chain.get(self.nodes[node].height as usize) == Some(&node)
	}

	/// Returns the height at which a node's chain leaves the known one.
	fn fork_height(&self, mut node: usize) -> u32 {
		while !self.is_on_chain(node) {
			node = self.nodes[node].parent;
		}
		self.nodes[node].height
	}

	/// Returns whether a chain that leaves the known one here could still replace its rest.
	fn is_open(&self, fork_height: u32) -> bool {
		self.nodes[self.best()].height < fork_height + 1 + FINALITY
	}

	fn order(&self, node: usize) -> (u32, u32) {
		(self.nodes[node].primaries, self.nodes[node].height)
	}

	/// Makes a node's chain the best one.
	fn adopt(&mut self, mut node: usize) {
		self.chain.resize(self.nodes[node].height as usize + 1, 0);
		loop {
			let height = self.nodes[node].height as usize;
			if self.chain[height] == node && height + 1 < self.chain.len() {
				break;
			}
			self.chain[height] = node;
			if height == 0 {
				break;
			}
			node = self.nodes[node].parent;
		}
	}

	fn add(&mut self, parent: usize, slot: usize, claim: &Claim, game: &Game) -> usize {
		let above = &self.nodes[parent];
		let height = above.height + 1;
		let beacon = next_beacon(&above.beacon, height, Some(&claim.vrf));
		let (value, drawn) = if height == TARGET {
			(Some((game.value)(&beacon)), beacon)
		} else {
			(above.value, above.drawn)
		};
		self.nodes.push(Node {
			parent,
			slot,
			height,
			primaries: above.primaries + u32::from(claim.primary),
			beacon,
			value,
			drawn,
		});
		self.nodes.len() - 1
	}

	/// Returns whether the cartel gains anything by a block on this one: its chain has no draw yet, or a better one than
	/// the best chain, or is the best chain.
	fn is_worth_extending(&self, node: usize, slot: usize) -> bool {
		let Node { slot: made, value, .. } = self.nodes[node];
		let worth = match value {
			None => true,
			Some(_) if node == self.best() => true,
			Some(value) => self.nodes[self.best()].value.is_none_or(|known| value > known),
		};
		made < slot && worth && self.is_open(self.fork_height(node))
	}
}

/// Plays for one draw and returns its beacon, once it is final.
pub fn play(rng: &mut Rng, slots: &mut Slots, game: &Game) -> Hash32 {
	let mut tree = Tree {
		nodes: vec![Node {
			parent: 0,
			slot: game.from,
			height: 0,
			primaries: 0,
			beacon: game.beacon,
			value: None,
			drawn: game.beacon,
		}],
		chain: vec![0],
	};
	for number in game.from + 1.. {
		let slot = slots.get(rng, number);
		let (own, honest) = (slot.own.clone(), slot.honest);
		if let Some(claim) = &honest {
			let node = tree.add(tree.best(), number, claim, game);
			tree.adopt(node);
		}
		let made = own_blocks(&mut tree, number, &own, game);
		release(rng, &mut tree, number, made, game);
		let best = &tree.nodes[tree.best()];
		if best.height >= TARGET + FINALITY {
			return best.drawn;
		}
	}
	game.beacon
}

/// Makes all blocks of the cartel in a slot that might be of use, and returns the first of them.
fn own_blocks(tree: &mut Tree, slot: usize, own: &[Claim], game: &Game) -> usize {
	let known = tree.nodes.len();
	for claim in own {
		for parent in 0..known {
			if tree.nodes.len() < MAX_NODES && tree.is_worth_extending(parent, slot) {
				tree.add(parent, slot, claim, game);
			}
		}
	}
	known
}

/// Publishes the chain that suits the cartel best, if one would be accepted.
fn release(rng: &mut Rng, tree: &mut Tree, slot: usize, made: usize, game: &Game) {
	let best = tree.best();
	let known = tree.nodes[best].value;
	// Of two equal blocks of one slot, half of the network sees the cartel's first.
	let lucky = rng.gen_bool(0.5);
	let wins = |node: usize| {
		let tie = tree.nodes[best].slot == slot && tree.nodes[node].slot == slot && lucky;
		let order = tree.order(node).cmp(&tree.order(best));
		(order.is_gt() || order.is_eq() && tie) && tree.is_open(tree.fork_height(node))
	};
	let suits = |node: usize| {
		let Node { value, parent, .. } = tree.nodes[node];
		let follows = parent == best || tree.nodes[best].slot == slot && parent == tree.nodes[best].parent;
		match (game.policy, value, known) {
			(Policy::Honest, ..) => follows && node >= made,
			(Policy::Publish, None, None) => follows && node >= made,
			(Policy::Withhold, None, None) => false,
			(_, Some(value), None) => value >= game.mean,
			(_, Some(value), Some(known)) => value > known || value >= known && known >= game.mean && parent == best,
			(_, None, Some(_)) => false,
		}
	};
	let value = |node: usize| tree.nodes[node].value.unwrap_or(0.0);
	let candidates = (1..tree.nodes.len()).filter(|node| !tree.is_on_chain(*node) && suits(*node) && wins(*node));
	let chosen = candidates.max_by(|a, b| {
		value(*a)
			.total_cmp(&value(*b))
			.then(tree.order(*a).cmp(&tree.order(*b)))
	});
	if let Some(node) = chosen {
		tree.adopt(node);
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::random::{hash, Effort};

	/// Returns how often a draw that is good with a tenth turns out good.
	fn share_good(policy: Policy, x: f64) -> f64 {
		let effort = Effort { jobs: 40_000, seed: 3 };
		let value = |beacon: &Hash32| f64::from(u8::from(beacon[0] < 26));
		let [good] = effort.measure("game", |rng| {
			let beacon = hash(rng);
			let game = Game {
				policy,
				from: 0,
				beacon,
				value: &value,
				mean: 0.1,
			};
			[value(&play(rng, &mut Slots::new(x), &game))]
		});
		good.value() / (26.0 / 256.0)
	}

	#[test]
	fn nobody_gains_by_following_the_rules() {
		for x in [0.0, 0.3] {
			let share = share_good(Policy::Honest, x);
			assert!((0.95..1.05).contains(&share), "{share}");
		}
	}

	#[test]
	fn without_blocks_there_is_nothing_to_play() {
		let share = share_good(Policy::Withhold, 0.0);
		assert!((0.95..1.05).contains(&share), "{share}");
	}

	#[test]
	fn a_cartel_that_plays_gains_and_more_blocks_gain_more() {
		let (few, many) = (share_good(Policy::Publish, 0.1), share_good(Policy::Publish, 0.3));
		assert!(few > 1.04 && many > few + 0.1 && many < 2.5, "{few} {many}");
	}
}
