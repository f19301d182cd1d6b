//! The journal is torn, damaged, opened twice and filled by many at once, and never changes an answer.

use super::{layout::MAGIC, *};
use assay_primitives::{
	limits::{MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS},
	Finding, FinishReason, Output, TraceRoot,
};
use std::sync::Arc;

fn record(n: u32, mark: u8) -> Record {
	let mut work = WorkId([0; 32]);
	work.0[..4].copy_from_slice(&n.to_le_bytes());
	let answer = Answer {
		output: None,
		finding: Finding::Confirm {
			trace_root: TraceRoot([mark; 32]),
		},
		secret: [mark; 32],
	};
	Record { work, answer }
}

fn write_all(directory: &Path, records: &[Record]) {
	let journal = ResultJournal::open(directory).unwrap();
	records
		.iter()
		.for_each(|record| assert!(journal.write(record).unwrap()));
}

fn bytes_of(directory: &Path) -> Vec<u8> {
	fs::read(directory.join("journal")).unwrap()
}

#[test]
fn an_answer_written_but_not_yet_used_is_the_same_after_a_restart() {
	let directory = tempfile::tempdir().unwrap();
	let first = record(1, 1);
	// The process crashes here: nothing but the write has happened.
	write_all(directory.path(), std::slice::from_ref(&first));
	let again = ResultJournal::open(directory.path()).unwrap();
	assert_eq!(again.get(&first.work).unwrap(), Some(first.answer.clone()));
	// The engine computes the work once more and a new secret is drawn: the old answer stays.
	assert!(!again.write(&record(1, 2)).unwrap());
	assert_eq!(again.get(&first.work).unwrap(), Some(first.answer));
	assert_eq!(again.len(), 1);
}

#[test]
fn the_largest_answer_is_read_again_after_a_restart() {
	let directory = tempfile::tempdir().unwrap();
	let mut largest = record(1, 1);
	largest.answer.output = Some(Output {
		input_tokens: u32::MAX,
		tokens: vec![u32::MAX; MAX_OUTPUT_TOKENS as usize].try_into().unwrap(),
		text: vec![b'x'; MAX_OUTPUT_BYTES as usize].try_into().unwrap(),
		finish: FinishReason::Length,
	});
	write_all(directory.path(), &[record(0, 0), largest.clone(), record(2, 2)]);
	let again = ResultJournal::open(directory.path()).unwrap();
	assert_eq!(again.get(&largest.work).unwrap(), Some(largest.answer));
	assert_eq!(again.len(), 3);
}

#[test]
fn the_first_of_two_records_of_one_work_item_wins() {
	let directory = tempfile::tempdir().unwrap();
	let records = [record(1, 1), record(2, 2), record(1, 3), record(3, 4), record(1, 5)];
	let bytes: Vec<_> = std::iter::once(MAGIC.to_vec())
		.chain(records.iter().map(frame))
		.collect();
	for keep in [KEEP, 3] {
		fs::write(directory.path().join("journal"), bytes.concat()).unwrap();
		let journal = ResultJournal::open_keeping(directory.path(), keep).unwrap();
		assert_eq!(journal.len(), 3);
		assert_eq!(journal.get(&record(1, 0).work).unwrap(), Some(record(1, 1).answer));
		assert_eq!(journal.get(&record(3, 0).work).unwrap(), Some(record(3, 4).answer));
	}
}

#[test]
fn a_torn_tail_of_any_length_is_cut_off_and_the_rest_is_kept() {
	let directory = tempfile::tempdir().unwrap();
	write_all(directory.path(), &[record(1, 1)]);
	let kept = bytes_of(directory.path()).len();
	write_all(directory.path(), &[record(2, 2)]);
	let whole = bytes_of(directory.path());
	for len in kept..whole.len() {
		fs::write(directory.path().join("journal"), &whole[..len]).unwrap();
		let journal = ResultJournal::open(directory.path()).unwrap();
		assert_eq!(journal.len(), 1, "{len} bytes left");
		assert_eq!(journal.get(&record(2, 2).work).unwrap(), None);
		drop(journal);
		assert_eq!(bytes_of(directory.path()).len(), kept);
	}
}

#[test]
fn a_tail_of_zeros_or_with_a_wrong_checksum_was_never_used_and_goes() {
	let directory = tempfile::tempdir().unwrap();
	write_all(directory.path(), &[record(1, 1)]);
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
		assert_eq!(ResultJournal::open(directory.path()).unwrap().len(), 1);
	}
}

#[test]
fn a_changed_byte_before_the_last_record_is_refused() {
	let directory = tempfile::tempdir().unwrap();
	write_all(directory.path(), &[record(1, 1), record(2, 2), record(3, 3)]);
	let good = bytes_of(directory.path());
	let second = MAGIC.len() + frame(&record(1, 1)).len();
	let third = second + frame(&record(2, 2)).len();
	for at in second..third {
		let mut bad = good.clone();
		bad[at] ^= 0x40;
		fs::write(directory.path().join("journal"), &bad).unwrap();
		match ResultJournal::open(directory.path()) {
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
		ResultJournal::open(directory.path()),
		Err(JournalError::Foreign { .. })
	));
	let other = tempfile::tempdir().unwrap();
	let first = ResultJournal::open(other.path()).unwrap();
	assert!(matches!(
		ResultJournal::open(other.path()),
		Err(JournalError::InUse { .. })
	));
	drop(first);
	assert!(ResultJournal::open(other.path()).is_ok());
}

#[test]
fn a_journal_of_another_format_is_refused_untouched_with_the_next_step() {
	let directory = tempfile::tempdir().unwrap();
	for content in [&b"ASSAYJ1\nand its records"[..], b"ASSAYJ1", b"ASSAYJ3\n"] {
		fs::write(directory.path().join("journal"), content).unwrap();
		match ResultJournal::open(directory.path()) {
			Err(e @ JournalError::OtherFormat { .. }) => {
				assert!(e.to_string().contains("another version of this node"), "{e}");
				assert!(e.to_string().contains("move it away"), "{e}");
			}
			Err(other) => panic!("{other}"),
			Ok(_) => panic!("read as if it were this format"),
		}
		assert_eq!(bytes_of(directory.path()), content);
	}
}

#[test]
fn starting_drops_the_oldest_answers_over_the_limit() {
	let directory = tempfile::tempdir().unwrap();
	let all: Vec<_> = (0..10).map(|n| record(n, n as u8)).collect();
	write_all(directory.path(), &all);
	let before = bytes_of(directory.path()).len();
	let journal = ResultJournal::open_keeping(directory.path(), 4).unwrap();
	assert_eq!(journal.len(), 4);
	for (n, record) in all.iter().enumerate() {
		let kept = (n >= 6).then(|| record.answer.clone());
		assert_eq!(journal.get(&record.work).unwrap(), kept, "record {n}");
	}
	assert!(journal.write(&record(11, 11)).unwrap());
	drop(journal);
	assert!(bytes_of(directory.path()).len() < before);
	assert_eq!(ResultJournal::open(directory.path()).unwrap().len(), 5);
}

#[test]
fn many_writers_at_once_lose_nothing_and_agree() {
	let directory = tempfile::tempdir().unwrap();
	let journal = Arc::new(ResultJournal::open(directory.path()).unwrap());
	std::thread::scope(|scope| {
		for mark in 0..4u8 {
			let journal = journal.clone();
			scope.spawn(move || (0..25).for_each(|n| assert!(journal.write(&record(n, mark)).is_ok())));
		}
	});
	let used: Vec<_> = (0..25)
		.map(|n| journal.get(&record(n, 0).work).unwrap().unwrap())
		.collect();
	drop(journal);
	let again = ResultJournal::open(directory.path()).unwrap();
	assert_eq!(again.len(), 25);
	for (n, answer) in used.iter().enumerate() {
		assert_eq!(again.get(&record(n as u32, 0).work).unwrap().as_ref(), Some(answer));
	}
}
