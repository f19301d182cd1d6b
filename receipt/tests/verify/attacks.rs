//! What an attacker would try: every byte of a file changed, and files changed by chance.

use super::{accepted::usual, cases, Case, NOW};
use crate::story::settled;
use assay_receipt::{verify, verify_file, Outcome, Policy, ReceiptFile};

#[test]
fn no_changed_byte_leaves_a_file_final_and_another() {
	let chain = usual();
	let (file, anchor, policy) = (chain.bundle(), chain.anchor(), Policy::at(NOW));
	let text = file.to_json().unwrap();
	// Without optimization a signature takes a hundred times as long.
	let step = if cfg!(debug_assertions) { 61 } else { 1 };
	assert_eq!(verify(&text, Some(&anchor), &policy).outcome, Outcome::Final);
	let (mut same, mut refused) = (0u32, 0u32);
	for at in (0..text.len()).step_by(step) {
		for bit in [0x01, 0x20, 0x04] {
			let mut bytes = text.clone().into_bytes();
			bytes[at] ^= bit;
			let Ok(changed) = String::from_utf8(bytes) else {
				continue;
			};
			if verify(&changed, Some(&anchor), &policy).outcome == Outcome::Final {
				assert_eq!(
					ReceiptFile::from_json(&changed).unwrap(),
					file,
					"byte {at}, bit {bit:#x}"
				);
				same += 1;
			} else {
				refused += 1;
			}
		}
	}
	assert!(refused > 10 * same, "{refused} refused, {same} read as the same");
}

/// xorshift64*: the same numbers everywhere.
struct Chance(u64);

impl Chance {
	fn below(&mut self, limit: usize) -> usize {
		self.0 ^= self.0 >> 12;
		self.0 ^= self.0 << 25;
		self.0 ^= self.0 >> 27;
		(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
	}
}

/// Changes the evidence of a file a little: bits, lengths, or a part of another file's.
fn mutate(chance: &mut Chance, file: &mut ReceiptFile, other: &ReceiptFile) {
	let (Some(evidence), Some(others)) = (&mut file.finality, &other.finality) else {
		return;
	};
	let which = chance.below(7);
	let handover = chance.below(evidence.handovers.len());
	let node = chance.below(evidence.state.len());
	let part = match which {
		0 => Some(&mut evidence.header),
		1 => Some(&mut evidence.justification),
		2 => evidence.handovers.get_mut(handover).map(|one| &mut one.header),
		3 => evidence.handovers.get_mut(handover).map(|one| &mut one.justification),
		4 => evidence.state.get_mut(node),
		5 => {
			evidence.set_id ^= 1 << chance.below(4);
			None
		}
		_ => {
			match chance.below(4) {
				0 => evidence.state = others.state.clone(),
				1 => evidence.handovers = others.handovers.clone(),
				2 => drop(evidence.handovers.pop()),
				_ => drop(evidence.state.pop()),
			}
			None
		}
	};
	let Some(part) = part else { return };
	let at = chance.below(part.len());
	match chance.below(5) {
		0 => part.truncate(at),
		1 => part.insert(at, chance.below(256) as u8),
		2 => part.extend_from_slice(&others.header[..at.min(others.header.len())]),
		_ => {
			if let Some(byte) = part.get_mut(at) {
				*byte ^= 1 << chance.below(8)
			}
		}
	}
}

/// Changes a digit or a letter of the text; none if it cannot be read any more.
fn mutate_text(chance: &mut Chance, text: &str) -> Option<ReceiptFile> {
	const OTHER: &[u8] = b"0123456789abcdef";
	let mut bytes = text.as_bytes().to_vec();
	let at = chance.below(bytes.len());
	*bytes.get_mut(at)? = OTHER[chance.below(OTHER.len())];
	ReceiptFile::from_json(std::str::from_utf8(&bytes).ok()?).ok()
}

/// Returns a number from the environment.
fn asked(name: &str) -> Option<u64> {
	std::env::var(name).ok()?.parse().ok()
}

/// `RECEIPT_MUTATIONS` says how many; 100 000 take a few seconds in a release build. `RECEIPT_SEED` chooses others.
#[test]
fn no_mutation_of_the_vectors_is_final_and_another() {
	let mutations = asked("RECEIPT_MUTATIONS").unwrap_or(if cfg!(debug_assertions) { 2_000 } else { 100_000 });
	let seed = asked("RECEIPT_SEED").unwrap_or(0x9E37_79B9_7F4A_7C15);
	let cases: Vec<(&Case, ReceiptFile, Outcome)> = cases()
		.iter()
		.filter_map(|case| {
			let file = ReceiptFile::from_json(&case.file).ok().filter(|_| case.repeat == 1)?;
			let outcome = verify_file(&file, case.anchor.as_ref(), &case.policy).outcome;
			Some((case, file, outcome))
		})
		.collect();
	let mut chance = Chance(seed.max(1));
	let (mut still_final, mut unreadable) = (0, 0);
	for _ in 0..mutations {
		let (case, original, outcome) = &cases[chance.below(cases.len())];
		let (_, other, _) = &cases[chance.below(cases.len())];
		let mut file = original.clone();
		match chance.below(3) {
			0 => match mutate_text(&mut chance, &case.file) {
				Some(changed) => file = changed,
				None => {
					unreadable += 1;
					continue;
				}
			},
			_ => (0..=chance.below(2)).for_each(|_| mutate(&mut chance, &mut file, other)),
		}
		let report = verify_file(&file, case.anchor.as_ref(), &case.policy);
		if report.outcome == Outcome::Final {
			// Evidence may have something less that was not needed. What it proves is the same. Of a vector that was refused
			// for one false value, chance may have found the true one.
			let proved = |file: &ReceiptFile| file.proved(&report.not_proved);
			if *outcome == Outcome::Final {
				assert_eq!(proved(&file), proved(original), "{}", case.name);
			}
			still_final += 1;
		}
	}
	println!("{mutations} files from seed {seed}: {unreadable} unreadable, {still_final} still FINAL and the same");
	assert!(still_final < mutations / 2, "{still_final}");
}

#[test]
fn a_bundle_of_four_validators_is_small() {
	let chain = crate::chain::Chain::new(settled(), &[&[1; 4], &[1; 4], &[1; 4], &[1; 4]]);
	let mut file = chain.bundle();
	let whole = serde_json::to_string(&file).unwrap().len();
	file.finality = None;
	let bare = serde_json::to_string(&file).unwrap().len();
	println!("{whole} bytes with three handovers, {bare} of them without evidence");
	assert!(whole < 16 * 1024, "{whole} bytes");
}
