//! Receipt files and anchors from strangers.

use crate::parts;
use assay_receipt::{verify_file, Anchor, Outcome, Policy, ReceiptFile, Report};
use std::sync::LazyLock;

/// Files that are final for their anchors.
const FINAL: [&[u8]; 4] = [
	include_bytes!("../../seeds/receipt/closed"),
	include_bytes!("../../seeds/receipt/descendants"),
	include_bytes!("../../seeds/receipt/open"),
	include_bytes!("../../seeds/receipt/pruned"),
];

fn text(bytes: &[u8]) -> Option<&str> {
	std::str::from_utf8(bytes).ok()
}

/// A receipt file, and an anchor behind a zero byte.
///
/// What is read is written to be read again. A report has a reason exactly if it is not final, and then exactly if a step
/// does not hold. No file is final that does not say what one of the seeds says, apart from what is not proved.
pub fn receipt(data: &[u8]) {
	static KNOWN: LazyLock<Vec<ReceiptFile>> = LazyLock::new(|| {
		let file = |seed: &&[u8]| ReceiptFile::from_json(text(parts(seed).0).unwrap()).unwrap();
		FINAL.iter().map(file).collect()
	});
	let (file, anchor) = parts(data);
	let anchor = text(anchor).and_then(|text| Anchor::from_json(text).or_else(|_| Anchor::from_chain_spec(text)).ok());
	if let Some(anchor) = &anchor {
		assert_eq!(Anchor::from_json(&anchor.to_json().unwrap()).as_ref(), Ok(anchor));
	}
	let Some(file) = text(file) else { return };
	match ReceiptFile::from_json(file) {
		Ok(file) => {
			assert_eq!(ReceiptFile::from_json(&file.to_json().unwrap()).as_ref(), Ok(&file));
			let report = verify_file(&file, anchor.as_ref(), &Policy::at(0));
			check(&report);
			if report.outcome == Outcome::Final {
				let proved = |file: &ReceiptFile| file.proved(&report.not_proved);
				let known = KNOWN.iter().any(|known| proved(known) == proved(&file));
				assert!(known, "a receipt that nobody has made is final");
			}
		}
		Err(error) => check(&Report::unreadable(&error)),
	}
}

fn check(report: &Report) {
	let holds = report.steps.iter().all(|step| step.holds);
	assert_eq!(report.reason.is_none(), report.outcome == Outcome::Final);
	assert_eq!(holds, report.outcome == Outcome::Final);
	assert_eq!(
		report.reason.map_or(Outcome::Final, |reason| reason.outcome()),
		report.outcome
	);
	assert!(report.block.is_none() || report.outcome != Outcome::Unverifiable);
}
