//! The journal is torn, damaged, opened twice and filled by many at once, and never changes a vote.

use super::{layout::MAGIC, *};
use assay_primitives::{JobId, TraceRoot, Vote};
use std::sync::Arc;

fn record(n: u32, mark: u8) -> Record {
	let mut task = TaskId([0; 32]);
	task.0[..4].copy_from_slice(&n.to_le_bytes());
	let answer = Answer {
		output: None,
		vote: Vote::Confirm {
			trace_root: TraceRoot([mark; 32]),
		},
		salt: [mark; 32],
	};
	Record {
		task,
		job: JobId([n as u8; 32]),
		attempt: 0,
		answer,
	}
}

fn bytes_of(directory: &Path) -> Vec<u8> {
	fs::read(directory.join("journal")).unwrap()
}

#[test]
fn an_answer_written_but_not_yet_used_is_the_same_after_a_restart() {
	let directory = tempfile::tempdir().unwrap();
	let first = record(1, 1);
	// The process crashes here: nothing but the write has happened.
	drop((VoteJournal::open(directory.path()).unwrap()).write(std::slice::from_ref(&first)));
	let again = VoteJournal::open(directory.path()).unwrap();
	assert_eq!(again.get(&first.task).unwrap(), Some(first.answer.clone()));
	// The engine computes the task once more and a new salt is drawn: the old answer stays.
	assert_eq!(again.write(&[record(1, 2)]).unwrap(), 0);
	assert_eq!(again.get(&first.task).unwrap(), Some(first.answer));
}

#[test]
fn the_first_answer_wins_also_within_one_write() {
	let directory = tempfile::tempdir().unwrap();
	let journal = VoteJournal::open(directory.path()).unwrap();
	assert_eq!(journal.write(&[record(1, 1), record(1, 2), record(2, 3)]).unwrap(), 2);
	assert_eq!(journal.get(&record(1, 0).task).unwrap(), Some(record(1, 1).answer));
	assert_eq!(journal.len(), 2);
}

#[test]
fn a_torn_tail_of_any_length_is_cut_off_and_the_rest_is_kept() {
	let directory = tempfile::tempdir().unwrap();
	VoteJournal::open(directory.path())
		.unwrap()
		.write(&[record(1, 1)])
		.unwrap();
	let kept = bytes_of(directory.path()).len();
	VoteJournal::open(directory.path())
		.unwrap()
		.write(&[record(2, 2)])
		.unwrap();
	let whole = bytes_of(directory.path());
	for len in kept..whole.len() {
		fs::write(directory.path().join("journal"), &whole[..len]).unwrap();
		let journal = VoteJournal::open(directory.path()).unwrap();
		assert_eq!(journal.len(), 1, "{len} bytes left");
		assert_eq!(journal.get(&record(2, 2).task).unwrap(), None);
		drop(journal);
		assert_eq!(bytes_of(directory.path()).len(), kept);
	}
}

#[test]
fn a_tail_of_zeros_or_with_a_wrong_checksum_was_never_used_and_goes() {
	let directory = tempfile::tempdir().unwrap();
	VoteJournal::open(directory.path())
		.unwrap()
		.write(&[record(1, 1)])
		.unwrap();
	let good = bytes_of(directory.path());
	for tail in [
		vec![0; 500],
		frame(&record(2, 2)).iter().rev().copied().collect::<Vec<_>>()[..3].to_vec(),
		{
			let mut torn = frame(&record(2, 2));
			*torn.last_mut().unwrap() ^= 1;
			torn
		},
	] {
		fs::write(directory.path().join("journal"), [good.clone(), tail].concat()).unwrap();
		assert_eq!(VoteJournal::open(directory.path()).unwrap().len(), 1);
	}
}

#[test]
fn a_changed_byte_before_the_last_record_is_refused() {
	let directory = tempfile::tempdir().unwrap();
	VoteJournal::open(directory.path())
		.unwrap()
		.write(&[record(1, 1), record(2, 2), record(3, 3)])
		.unwrap();
	let good = bytes_of(directory.path());
	let second = MAGIC.len() + frame(&record(1, 1)).len();
	let third = second + frame(&record(2, 2)).len();
	for at in second..third {
		let mut bad = good.clone();
		bad[at] ^= 0x40;
		fs::write(directory.path().join("journal"), &bad).unwrap();
		match VoteJournal::open(directory.path()) {
			Err(JournalError::Damaged { at: found, .. }) => assert_eq!(found, second as u64, "byte {at}"),
			Err(other) => panic!("byte {at}: {other}"),
			Ok(_) => panic!("byte {at} changed and nobody noticed"),
		}
	}
}

#[test]
fn another_file_and_a_second_node_are_refused() {
	let directory = tempfile::tempdir().unwrap();
	fs::write(directory.path().join("journal"), b"my shopping list").unwrap();
	assert!(matches!(
		VoteJournal::open(directory.path()),
		Err(JournalError::Foreign { .. })
	));
	let other = tempfile::tempdir().unwrap();
	let first = VoteJournal::open(other.path()).unwrap();
	assert!(matches!(
		VoteJournal::open(other.path()),
		Err(JournalError::InUse { .. })
	));
	drop(first);
	assert!(VoteJournal::open(other.path()).is_ok());
}

#[test]
fn starting_drops_the_oldest_answers_over_the_limit() {
	let directory = tempfile::tempdir().unwrap();
	let all: Vec<_> = (0..10).map(|n| record(n, n as u8)).collect();
	VoteJournal::open(directory.path()).unwrap().write(&all).unwrap();
	let before = bytes_of(directory.path()).len();
	let journal = VoteJournal::open_keeping(directory.path(), 4).unwrap();
	assert_eq!(journal.len(), 4);
	for (n, record) in all.iter().enumerate() {
		let kept = (n >= 6).then(|| record.answer.clone());
		assert_eq!(journal.get(&record.task).unwrap(), kept, "record {n}");
	}
	assert_eq!(journal.write(&[record(11, 11)]).unwrap(), 1);
	drop(journal);
	assert!(bytes_of(directory.path()).len() < before);
	assert_eq!(VoteJournal::open(directory.path()).unwrap().len(), 5);
}

#[test]
fn many_writers_at_once_lose_nothing_and_agree() {
	let directory = tempfile::tempdir().unwrap();
	let journal = Arc::new(VoteJournal::open(directory.path()).unwrap());
	std::thread::scope(|scope| {
		for mark in 0..4u8 {
			let journal = journal.clone();
			scope.spawn(move || (0..25).for_each(|n| assert!(journal.write(&[record(n, mark)]).is_ok())));
		}
	});
	let used: Vec<_> = (0..25)
		.map(|n| journal.get(&record(n, 0).task).unwrap().unwrap())
		.collect();
	drop(journal);
	let again = VoteJournal::open(directory.path()).unwrap();
	assert_eq!(again.len(), 25);
	for (n, answer) in used.iter().enumerate() {
		assert_eq!(again.get(&record(n as u32, 0).task).unwrap().as_ref(), Some(answer));
	}
}
