//! What the design asks of the engine, and whether it is reached.

use super::{Figures, Row, Sheet};
use crate::{
	entries::{Entry, Program, Width},
	format::table,
};
use assay_numerics::Isa;

/// What is asked, what was measured, and whether that is enough.
pub struct Aim {
	what: String,
	measured: String,
	reached: bool,
}

impl Aim {
	fn least(what: String, ratio: f64, least: f64) -> Self {
		Self {
			what: format!("{what} ≥ {least:.1} ×"),
			measured: format!("{ratio:.2} ×"),
			reached: ratio >= least,
		}
	}

	fn most(what: String, share: f64, most: f64) -> Self {
		Self {
			what: format!("{what} ≤ {:.0} %", most * 100.0),
			measured: format!("{:.2} %", share * 100.0),
			reached: share <= most,
		}
	}
}

impl Figures<'_> {
	/// Those of one model.
	pub(super) fn aims(&self, sheet: &Sheet) -> Vec<Aim> {
		let mut aims = Vec::new();
		for (column, entry) in sheet
			.entries
			.iter()
			.enumerate()
			.filter(|(_, entry)| entry.is_our_best())
		{
			for row in &sheet.rows {
				aims.extend(beside_peers(sheet, row, column));
			}
			aims.extend(self.of_ours(sheet, column, entry));
		}
		aims
	}

	/// What one column of ours has to be by itself.
	fn of_ours(&self, sheet: &Sheet, column: usize, entry: &Entry) -> Vec<Aim> {
		let name = format!("{}: {}", sheet.shape, entry.name);
		let mut aims = Vec::new();
		let amx = sheet.entries.iter().any(|entry| entry.isa.is_some());
		let one = sheet.verify.iter().find(|(of, jobs, _)| *of == column && *jobs == 1);
		if let Some((_, _, share)) = one.filter(|_| amx) {
			aims.push(Aim::most(
				format!("{name}, verify ÷ generate, one job, with AMX"),
				*share,
				0.04,
			));
		}
		if let Some(share) = self.median(entry, "decode-128", "trace") {
			aims.push(Aim::most(format!("{name}, trace's share of decoding"), share, 0.02));
		}
		if let Some(rate) = self.median(entry, "hash", "bytes_per_second") {
			aims.push(Aim {
				what: format!("{name}, check at load ≥ 2 GB/s a thread"),
				measured: format!("{:.2} GB/s", rate / 1e9),
				reached: rate >= 2e9,
			});
		}
		let bytes = self.median(entry, "memory", "bytes");
		let eight = Width::Eight.formats().map(Some).contains(&entry.format);
		if let Some(bytes) = bytes {
			let (bytes, most) = (
				bytes / self.model.shape.weights() as f64,
				if eight { 1.15 } else { 0.62 },
			);
			aims.push(Aim {
				what: format!("{name}, memory of the process ≤ {most} bytes a weight"),
				measured: format!("{bytes:.2}"),
				reached: bytes <= most,
			});
		}
		aims
	}
}

/// How much faster than the peers one column of ours has to be.
fn beside_peers(sheet: &Sheet, row: &Row, column: usize) -> Vec<Aim> {
	let (prefill, decode) = (row.key.starts_with("prefill"), row.key.starts_with("decode"));
	let Some(ours) = sheet.entries.get(column).filter(|_| prefill || decode) else {
		return Vec::new();
	};
	let what = row.label.split(", tok/s").next().unwrap_or_default();
	let aim = |other: usize, words: &str, least| {
		let name = sheet.entries.get(other).map_or("", |entry| entry.name.as_str());
		let ratio = row.ratio(column, other)?;
		let what = format!("{}: {}, {what}, ours ÷ {words}{name}", sheet.shape, ours.name);
		Some(Aim::least(what, ratio, least))
	};
	let position = |wanted: &dyn Fn(&Entry) -> bool| sheet.entries.iter().position(wanted);
	let llama = position(&|entry| entry.program == Program::LlamaCpp);
	let amx = position(&|entry| entry.isa.is_some());
	let best = row.best_peer(&sheet.entries);
	let mut aims = Vec::new();
	aims.extend(best.and_then(|best| aim(best, "the best peer, ", 1.0)));
	if prefill {
		// An aim for VNNI: with matrix units llama.cpp has them too, and then only the best peer counts.
		let vnni = amx.is_none() && Isa::Avx512.works();
		aims.extend(llama.filter(|_| vnni).and_then(|llama| aim(llama, "", 2.5)));
	} else {
		let reference = position(&|entry| entry.reference);
		aims.extend(reference.and_then(|reference| aim(reference, "our ", 1.7)));
	}
	aims
}

/// All aims in a table; nothing if there are none.
pub fn markdown(sheets: &[Sheet]) -> String {
	let mut lines = vec![["aim", "measured", ""].map(String::from).to_vec()];
	for aim in sheets.iter().flat_map(|sheet| &sheet.aims) {
		let reached = if aim.reached { "reached" } else { "missed" };
		lines.push(vec![aim.what.clone(), aim.measured.clone(), reached.into()]);
	}
	if lines.len() == 1 {
		return String::new();
	}
	format!("\n### Aims\n\n{}", table(&lines))
}
