//! The tree over a trace's leaves: pairs from the left, and a node without a partner goes up as it is.

use super::Hash;
use alloc::{vec, vec::Vec};
use blake3::Hasher;

const NODE: &str = "assay/v2/trace-node";

/// Returns the levels of the tree, from the leaves to the apex; a tree without leaves has one empty level.
pub(super) fn levels(leaves: Vec<Hash>) -> Vec<Vec<Hash>> {
	let mut levels = vec![leaves];
	while let Some(level) = levels.last().filter(|level| level.len() > 1) {
		let above = level.chunks(2).map(|pair| match pair {
			[left, right] => node(left, right),
			[one] => *one,
			_ => Hash::default(),
		});
		levels.push(above.collect());
	}
	levels
}

/// Returns the hashes that [`apex`] needs besides the leaves at these places, which ascend.
pub(super) fn proof(levels: &[Vec<Hash>], places: &[u64]) -> Option<Vec<Hash>> {
	let at = |level: usize, place: u64| Some(*levels.get(level)?.get(usize::try_from(place).ok()?)?);
	let leaves = places.iter().map(|place| Some((*place, at(0, *place)?)));
	let mut proof = Vec::new();
	climb(
		leaves.collect::<Option<_>>()?,
		levels.first()?.len() as u64,
		|level, place| {
			let sibling = at(level, place)?;
			proof.push(sibling);
			Some(sibling)
		},
	)?;
	Some(proof)
}

/// Returns the apex of a tree of `count` leaves of which some are known, at places that ascend; none if the proof has
/// too few hashes or too many.
pub(super) fn apex(known: Vec<(u64, Hash)>, count: u64, proof: &[Hash]) -> Option<Hash> {
	if count == 0 {
		return (known.is_empty() && proof.is_empty()).then(Hash::default);
	}
	let mut rest = proof.iter();
	let apex = climb(known, count, |_, _| rest.next().copied())?;
	rest.next().is_none().then_some(apex)
}

/// Computes the apex from known nodes, level by level, and asks for each sibling that is not known.
fn climb(
	mut known: Vec<(u64, Hash)>,
	mut count: u64,
	mut sibling: impl FnMut(usize, u64) -> Option<Hash>,
) -> Option<Hash> {
	let mut level = 0;
	while count > 1 {
		let mut above = Vec::with_capacity(known.len());
		let mut nodes = known.into_iter().peekable();
		while let Some((place, hash)) = nodes.next() {
			let partner = place ^ 1;
			let parent = if place % 2 == 1 {
				node(&sibling(level, partner)?, &hash)
			} else if partner == count {
				hash
			} else {
				let right = match nodes.next_if(|(next, _)| *next == partner) {
					Some((_, right)) => right,
					None => sibling(level, partner)?,
				};
				node(&hash, &right)
			};
			above.push((place / 2, parent));
		}
		(known, count, level) = (above, count.div_ceil(2), level + 1);
	}
	known.pop().map(|(_, apex)| apex)
}

fn node(left: &Hash, right: &Hash) -> Hash {
	*Hasher::new_derive_key(NODE)
		.update(left)
		.update(right)
		.finalize()
		.as_bytes()
}
