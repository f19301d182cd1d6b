//! The protocol's constants, and the rules that decide when something is due.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Blocks from a publication, or from a lapse, to the draw of seats. Whoever wants to know the draw before it publishes
/// has to make all of these blocks.
pub const DRAW_DELAY: u32 = 2;
/// Blocks of a period: each model's electorate is sealed once in it, and in force from one period later on.
pub const PERIOD: u32 = 50;
/// Most tranches of seats that one claim gets.
pub const MAX_TRANCHES: u8 = 4;
/// Most seats of all tranches of one claim.
pub const MAX_SEATS: u32 = 32;
/// Seats that replace one that lapsed.
pub const REPLACEMENTS: u32 = 2;
/// Blocks after the verdict in which anyone may object.
pub const WINDOW: u32 = 200;
/// Blocks from the verdict to the lottery of the audit.
pub const AUDIT_AFTER: u32 = 20;
/// Blocks after the verdict until which somebody must have opened the claim.
pub const OPEN_UNTIL: u32 = 180;
/// Blocks from an audit or a dispute to the settlement, at least.
pub const SETTLE_AFTER: u32 = 20;
/// Auditors drawn for one audit: the first, and one for each that does not vote in time.
pub const MAX_AUDITORS: u8 = 3;
/// Blocks of any deadline before the work is counted.
pub const BASE_BLOCKS: u32 = 6;
/// Most blocks of any deadline of one provider.
pub const MAX_DEADLINE_BLOCKS: u32 = 600;
/// Blocks in which a jury commits, before the work is counted.
pub const JURY_BASE_BLOCKS: u32 = 10;
/// Blocks in which a jury reveals.
pub const JURY_REVEAL_BLOCKS: u32 = 6;
/// How much longer the second round of a dispute is than the first.
pub const SECOND_ROUND_FACTOR: u32 = 3;
/// Members of an executor's draw, of which the first with a free place executes.
pub const EXECUTOR_CANDIDATES: u32 = 8;
/// Blocks without a message after which a provider is not sealed into an electorate.
pub const HEARTBEAT_AGE: u32 = 100;
/// Lapses in one session after which a provider is not sealed until it says that it is ready.
pub const LAPSES_TO_UNREADY: u8 = 4;
/// Most disputes of one model at a time; others wait, unsettled.
pub const MAX_DISPUTES: u32 = 8;

/// Computing, in units of one prefilled token.
pub type WorkUnits = u64;

/// What a generated token costs, in prefilled ones.
const UNITS_PER_GENERATED_TOKEN: u64 = 10;

/// Returns the work of generating an answer.
pub fn generation_work(tokens_in: u32, tokens_out: u32) -> WorkUnits {
	u64::from(tokens_in).saturating_add(u64::from(tokens_out).saturating_mul(UNITS_PER_GENERATED_TOKEN))
}

/// Returns the work of checking an answer.
pub fn check_work(tokens_in: u32, tokens_out: u32) -> WorkUnits {
	u64::from(tokens_in).saturating_add(tokens_out.into())
}

/// Returns the blocks that a provider has for work, behind what it has been given already, at the least speed in units
/// a block: at most [`MAX_DEADLINE_BLOCKS`].
pub fn work_blocks(backlog: WorkUnits, work: WorkUnits, speed: u32) -> u32 {
	let blocks = backlog.saturating_add(work).div_ceil(u64::from(speed.max(1)));
	let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
	blocks.saturating_add(BASE_BLOCKS).min(MAX_DEADLINE_BLOCKS)
}

/// The work that the chain has given a provider and that it may not have done yet. It is done at the least speed at the
/// latest, so it is reckoned, never reported.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Backlog {
	/// Work that was left then.
	pub units: WorkUnits,
	/// The block of the last change.
	pub at: u32,
}

impl Backlog {
	/// Returns the work that is left in a block.
	pub fn left(&self, now: u32, speed: u32) -> WorkUnits {
		let done = u64::from(now.saturating_sub(self.at)).saturating_mul(speed.into());
		self.units.saturating_sub(done)
	}

	/// Adds work and returns the blocks until it must be done.
	pub fn add(&mut self, now: u32, work: WorkUnits, speed: u32) -> u32 {
		let left = self.left(now, speed);
		*self = Self {
			units: left.saturating_add(work),
			at: now,
		};
		work_blocks(left, work, speed)
	}

	/// Takes off work that was added and will not be done. What a provider at the least speed may have idled until the chain
	/// learns of it, at most [`BASE_BLOCKS`], stays.
	pub fn take_off(&mut self, now: u32, work: WorkUnits, speed: u32) {
		let idle = u64::from(BASE_BLOCKS).saturating_mul(speed.into());
		*self = Self {
			units: self.left(now, speed).saturating_sub(work.saturating_sub(idle)),
			at: now,
		};
	}
}

/// Returns how many seats replace `lapsed` ones in the next tranche; none if that would be one tranche or one seat too
/// many.
pub fn replacements(tranche: u8, seats: u32, lapsed: u32) -> Option<u32> {
	let next = lapsed.saturating_mul(REPLACEMENTS);
	(tranche < MAX_TRANCHES && seats.saturating_add(next) <= MAX_SEATS).then_some(next)
}

/// Returns the blocks in which the jury of a round commits.
pub fn jury_commit_blocks(round: u8, work: WorkUnits, speed: u32) -> u32 {
	let work = work_blocks(0, work, speed).saturating_sub(BASE_BLOCKS);
	let blocks = JURY_BASE_BLOCKS.saturating_add(work.saturating_mul(2));
	blocks.saturating_mul(if round > 1 { SECOND_ROUND_FACTOR } else { 1 })
}

/// Returns the blocks in which the jury of a round reveals.
pub fn jury_reveal_blocks(round: u8) -> u32 {
	if round > 1 {
		JURY_REVEAL_BLOCKS.saturating_mul(SECOND_ROUND_FACTOR)
	} else {
		JURY_REVEAL_BLOCKS
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	#[test]
	fn the_published_deadlines() {
		assert_eq!(work_blocks(0, generation_work(20, 64), 300), 6 + 3);
		assert_eq!(work_blocks(0, check_work(20, 64), 300), 6 + 1);
		assert_eq!(jury_commit_blocks(1, check_work(20, 64), 300), 10 + 2);
		assert_eq!(jury_commit_blocks(2, check_work(20, 64), 300), 36);
		assert_eq!((jury_reveal_blocks(1), jury_reveal_blocks(2)), (6, 18));
	}

	proptest! {
		#[test]
		fn a_backlog_never_grows_by_waiting(units in 0u64..1 << 40, at in 0u32..1000, a in 0u32..1000, b in 0u32..1000, speed in 1u32..1000) {
			let backlog = Backlog { units, at };
			let (early, late) = (at + a.min(b), at + a.max(b));
			prop_assert!(backlog.left(late, speed) <= backlog.left(early, speed));
		}

		#[test]
		fn work_given_at_once_is_due_one_after_the_other(works in prop::collection::vec(1u64..10_000, 1..10), speed in 1u32..1000) {
			let mut backlog = Backlog::default();
			let due: Vec<u32> = works.iter().map(|work| backlog.add(0, *work, speed)).collect();
			prop_assert!(due.windows(2).all(|w| w[0] <= w[1]));
			let total: u64 = works.iter().sum();
			prop_assert_eq!(*due.last().unwrap(), work_blocks(0, total, speed));
		}

		#[test]
		fn every_claim_runs_out_of_tranches(k in 1u32..=8, absent in prop::collection::vec(1u32..=8, 8)) {
			let (mut tranche, mut seats, mut live) = (1u8, k, k);
			for absent in absent {
				let lapsed = absent.min(live);
				match replacements(tranche, seats, lapsed) {
					Some(new) => {
						seats += new;
						live = live - lapsed + new;
						tranche += 1;
					},
					None => break,
				}
				prop_assert!(seats <= MAX_SEATS && tranche <= MAX_TRANCHES);
			}
		}

		#[test]
		fn each_lapsed_seat_brings_two_or_none_is_drawn(tranche in 1u8..=6, seats in 0u32..=40, lapsed in 0u32..=40) {
			match replacements(tranche, seats, lapsed) {
				Some(new) => prop_assert!(new == 2 * lapsed && seats + new <= MAX_SEATS && tranche < MAX_TRANCHES),
				None => prop_assert!(tranche >= MAX_TRANCHES || seats + 2 * lapsed > MAX_SEATS),
			}
		}

		#[test]
		fn more_work_is_never_due_earlier(a in any::<u32>(), b in any::<u32>(), backlog in any::<u32>(), speed in any::<u32>()) {
			let (less, more) = (u64::from(a.min(b)), u64::from(a.max(b)));
			let backlog = u64::from(backlog);
			prop_assert!(work_blocks(backlog, less, speed) <= work_blocks(backlog, more, speed));
			prop_assert!(work_blocks(0, less, speed) <= work_blocks(backlog, less, speed));
			prop_assert!(work_blocks(backlog, less, speed) >= BASE_BLOCKS);
			for round in [1, 2] {
				prop_assert!(jury_commit_blocks(round, less, speed) <= jury_commit_blocks(round, more, speed));
			}
			prop_assert!(jury_commit_blocks(1, less, speed) <= jury_commit_blocks(2, less, speed));
		}

		#[test]
		fn a_provider_at_the_least_speed_keeps_every_deadline(
			works in prop::collection::vec((0u32..20, 1u64..10_000), 1..20), speed in 1u32..1000,
		) {
			let (mut backlog, mut now, mut free) = (Backlog::default(), 0u32, 0u64);
			for (pause, work) in works {
				now += pause;
				let deadline = u64::from(now) + u64::from(backlog.add(now, work, speed));
				// It works on one after the other, in units, without a pause while there is something to do.
				free = free.max(u64::from(now) * u64::from(speed)) + work;
				// A deadline is no longer than the longest, whatever the backlog.
				let within = backlog.left(now, speed) <= u64::from(MAX_DEADLINE_BLOCKS - BASE_BLOCKS) * u64::from(speed);
				prop_assert!(!within || free.div_ceil(speed.into()) <= deadline);
			}
		}

		#[test]
		fn a_provider_that_is_done_early_keeps_every_deadline_behind_it(
			works in prop::collection::vec((0u32..20, 1u64..10_000, 0u64..10_000, 0..=BASE_BLOCKS), 1..30), speed in 1u32..1000,
		) {
			let (mut backlog, mut now, mut free) = (Backlog::default(), 0u32, 0u64);
			// What the chain has not learned yet: from which block on it knows, and how much was not to be done.
			let mut news: Vec<(u32, WorkUnits)> = Vec::new();
			for (pause, reckoned, unused, delay) in works {
				for block in now..=now + pause {
					for (_, unused) in news.extract_if(.., |(at, _)| *at <= block) {
						backlog.take_off(block, unused, speed);
					}
				}
				now += pause;
				let unused = unused.min(reckoned);
				let within = backlog.left(now, speed) + reckoned <= u64::from(MAX_DEADLINE_BLOCKS - BASE_BLOCKS) * u64::from(speed);
				let deadline = u64::from(now) + u64::from(backlog.add(now, reckoned, speed));
				free = free.max(u64::from(now) * u64::from(speed)) + (reckoned - unused);
				let done = free.div_ceil(speed.into());
				prop_assert!(!within || done <= deadline);
				news.push((done as u32 + delay, unused));
			}
		}
	}
}
