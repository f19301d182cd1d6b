//! The tables of `docs/security.md`: what was measured, beside what is claimed.

mod table;

use crate::{
	random::{Effort, Mean},
	strategies::{
		alone, audits, best, blind, flood, foreknowledge, griefing, grinding, liveness, many, objections, price,
		silence, sybils, veto, whisper, Cartel, PATIENCE,
	},
};
use anyhow::{bail, Context};
use assay_primitives::{
	assurance::{self, assure, Assumptions, Corrupt, Evidence},
	receipt::ElectorateSummary,
	rules::DRAW_DELAY,
};
use table::{asy, measured, percent, ratio, Table};

const BEGIN: &str = "<!-- figures: written by make simulate -->";
const END: &str = "<!-- end of figures -->";

/// Shares of stake and of blocks that the tables show.
const SHARES: [f64; 4] = [0.05, 0.1, 0.2, 0.3];

/// Returns all tables as Markdown. `note` is called with the name of each before it is measured.
pub fn tables(effort: Effort, note: &dyn Fn(&str)) -> String {
	type Section = (&'static str, fn(Effort) -> Table);
	let sections: [Section; 9] = [
		("False accepts", false_accepts),
		("Silenced seats", silenced_seats),
		("Foreknowledge", foreknown),
		("Audits", audit_floor),
		("The price of a lie", prices),
		("Many lies for one bond", many_lies),
		("Convictions", convictions),
		("Liveness", liveness_table),
		("Other attacks", others),
	];
	let mut text = format!(
		"Seed {}; {} jobs for each figure, a tenth of them where a job is a search or many claims.\n",
		effort.seed, effort.jobs
	);
	for (title, section) in sections {
		note(title);
		text += &format!("\n### {title}\n\n{}", section(effort));
	}
	text
}

/// Replaces what stands between the markers of a document.
pub fn replace(document: &str, figures: &str) -> anyhow::Result<String> {
	let (Some(begin), Some(end)) = (document.find(BEGIN), document.find(END)) else {
		bail!("the document has no lines `{BEGIN}` and `{END}`: put them where the tables belong");
	};
	let before = document.get(..begin + BEGIN.len()).context("the first marker is cut")?;
	let after = document.get(end..).context("the markers are in the wrong order")?;
	if end < begin {
		bail!("the document's markers are in the wrong order");
	}
	Ok(format!("{before}\n\n{}\n\n{after}", figures.trim_end()))
}

fn verdict(ok: bool) -> String {
	if ok { "yes" } else { "**no**" }.into()
}

fn lies(effort: Effort, share: f64, k: u32, patience: usize) -> Mean {
	best(|policy| blind::passes(effort, Cartel::new(share, policy, patience), k))
}

fn false_accepts(effort: Effort) -> Table {
	let mut table = Table::new(&[
		"α = x",
		"k",
		"αᵏ",
		"blind",
		"forks",
		"forks ÷ αᵏ",
		"forks, bound",
		"chosen time",
		"÷ αᵏ",
		"bound",
		"within",
	]);
	for share in SHARES {
		for k in [1u8, 2, 3] {
			let power = share.powi(k.into());
			let blind = blind::passes(effort, Cartel::blind(share), k.into());
			let forks = lies(effort, share, k.into(), 1);
			let timed = lies(effort, share, k.into(), PATIENCE);
			let claimed = assurance::passes(share, share, k, 1, 1);
			let claimed_timed = assurance::passes(share, share, k, 1, PATIENCE as u32);
			table.row(vec![
				percent(share),
				k.to_string(),
				percent(power),
				measured(&blind),
				measured(&forks),
				ratio(forks.value() / power),
				percent(claimed),
				measured(&timed),
				ratio(timed.value() / power),
				percent(claimed_timed),
				verdict(blind.is_within(power) && forks.is_within(claimed) && timed.is_within(claimed_timed)),
			]);
		}
	}
	table
}

fn silenced_seats(effort: Effort) -> Table {
	let mut table = Table::new(&[
		"α = x",
		"tranches",
		"without forks",
		"with forks, chosen time",
		"bound",
		"within",
	]);
	for share in SHARES {
		for tranches in 1..=4 {
			let blind = silence::passes(effort, Cartel::blind(share), 2, tranches);
			let timed = best(|policy| silence::passes(effort, Cartel::new(share, policy, PATIENCE), 2, tranches));
			let bound = assurance::passes(share, share, 2, tranches, PATIENCE as u32);
			let plain = assurance::passes(share, 0.0, 2, tranches, 1);
			table.row(vec![
				percent(share),
				tranches.to_string(),
				measured(&blind),
				measured(&timed),
				percent(bound),
				verdict(blind.is_within(plain) && timed.is_within(bound)),
			]);
		}
	}
	table
}

fn foreknown(effort: Effort) -> Table {
	let mut table = Table::new(&[
		"α = x",
		"k",
		"measured",
		"bound f",
		"within",
		"if drawn after 3 blocks",
		"after 4",
	]);
	let effort = effort.divided(10);
	for share in SHARES {
		for k in [1u8, 2, 3] {
			let search = |delay| foreknowledge::captured(effort, share, k.into(), PATIENCE, delay);
			let known = search(DRAW_DELAY);
			let bound = assurance::foreknowledge(share, share, k, PATIENCE as u32);
			table.row(vec![
				percent(share),
				k.to_string(),
				measured(&known),
				percent(bound),
				verdict(known.is_within(bound)),
				measured(&search(3)),
				measured(&search(4)),
			]);
		}
	}
	table
}

fn worth(alpha: f64, k: u8, open_claims: u32) -> assurance::Assurance {
	let stake = 100_000_000 * crate::electorate::ASY;
	let bond = crate::electorate::EXECUTOR_BOND;
	let electorate = ElectorateSummary {
		members: 63,
		stake,
		largest: stake / 20,
		executor: bond,
		chain: stake,
	};
	let evidence = Evidence {
		verifiers: k,
		tranches: 1,
		checked: true,
		settled: true,
		audited: false,
		electorate,
		slashable: bond,
		open_claims,
	};
	let assumptions = Assumptions {
		corrupt: Corrupt::OfModel(alpha),
		..Assumptions::default()
	};
	assure(&evidence, &assumptions)
}

fn audit_floor(effort: Effort) -> Table {
	let mut table = Table::new(&[
		"α = x",
		"lottery hits an honest seat",
		"at least, a",
		"within",
		"certain audit passes",
		"at most",
		"within",
	]);
	for share in SHARES {
		let caught = [crate::chain::Policy::Publish, crate::chain::Policy::Withhold]
			.map(|policy| audits::caught(effort, Cartel::new(share, policy, PATIENCE)));
		let caught = if caught[0].value() < caught[1].value() {
			caught[0]
		} else {
			caught[1]
		};
		let floor = worth(share, 2, 0).audit;
		let certain = best(|policy| audits::passes_certain(effort, Cartel::new(share, policy, 1)));
		let bound = assurance::passes(share, share, 1, 1, 1);
		table.row(vec![
			percent(share),
			measured(&caught),
			percent(floor),
			verdict(caught.value() + 3.0 * caught.error() >= floor),
			measured(&certain),
			percent(bound),
			verdict(certain.is_within(bound)),
		]);
	}
	table
}

fn prices(effort: Effort) -> Table {
	let mut table = Table::new(&[
		"α = x",
		"k",
		"lies that settle",
		"cost of a lie",
		"pays above",
		"claimed, D",
		"knows its seats: pays above",
		"claimed, D₀",
		"within",
	]);
	for share in SHARES {
		for k in [1u8, 2, 3] {
			let lie = |seats: u32| {
				let of = |policy| price::measure(effort, Cartel::new(share, policy, PATIENCE), seats);
				let (one, other) = (of(crate::chain::Policy::Publish), of(crate::chain::Policy::Withhold));
				if one.threshold() < other.threshold() {
					one
				} else {
					other
				}
			};
			let (blind, knows) = (lie(k.into()), lie(0));
			let claimed = worth(share, k, 0);
			table.row(vec![
				percent(share),
				k.to_string(),
				measured(&blind.settled),
				asy(blind.loss.value()),
				asy(blind.threshold()),
				asy(claimed.deterred / crate::electorate::ASY as f64),
				asy(knows.threshold()),
				asy(claimed.deterred_patient / crate::electorate::ASY as f64),
				verdict(blind.is_at_least(claimed.deterred) && knows.is_at_least(claimed.deterred_patient)),
			]);
		}
	}
	table
}

fn many_lies(effort: Effort) -> Table {
	let mut table = Table::new(&[
		"α = x",
		"lies",
		"settle",
		"cost of all",
		"each pays above",
		"claimed, D",
		"one settles beside a conviction",
	]);
	for share in [0.1, 0.2] {
		for lies in [1, 4, 16, 32] {
			let cartel = Cartel::new(share, crate::chain::Policy::Withhold, PATIENCE);
			let many = many::measure(effort.divided(10), cartel, 2, lies);
			table.row(vec![
				percent(share),
				lies.to_string(),
				format!("{:.4}", many.settled.value()),
				asy(many.loss.value()),
				asy(many.loss.value() / many.settled.value()),
				asy(worth(share, 2, lies - 1).deterred / crate::electorate::ASY as f64),
				measured(&many.survived),
			]);
		}
	}
	table
}

fn convictions(effort: Effort) -> Table {
	let mut table = Table::new(&["α", "5 % absent", "10 % absent", "20 % absent"]);
	for alpha in [0.1, 0.2, 0.25, 0.28, 0.3, 0.32, 0.34] {
		let mut row = vec![percent(alpha)];
		row.extend([0.05, 0.1, 0.2].map(|absent| measured(&price::convictions(effort.divided(10), alpha, absent))));
		table.row(row);
	}
	table
}

fn liveness_table(effort: Effort) -> Table {
	let mut table = Table::new(&[
		"absent",
		"k",
		"2 tranches or more",
		"3 or more",
		"4",
		"unverified",
		"seats",
	]);
	for absent in [0.05, 0.1, 0.2] {
		for k in [1, 2, 3, 8] {
			let live = liveness::measure(effort, k, absent);
			let [second, third, fourth] = live.tranches;
			table.row(vec![
				percent(absent),
				k.to_string(),
				measured(&second),
				measured(&third),
				measured(&fourth),
				measured(&live.unverified),
				format!("{:.2}", live.seats.value()),
			]);
		}
	}
	table
}

fn others(effort: Effort) -> Table {
	let mut table = Table::new(&["attack", "by", "what it achieves", "what it costs"]);
	let mut row = |attack: &str, by: &str, achieves: String, costs: String| {
		table.row(vec![attack.into(), by.into(), achieves, costs]);
	};
	let short = effort.divided(10);
	let flood = flood::measure(short, 0.1, 2, 500);
	row(
		"flood of 500 checks",
		"10 %",
		format!(
			"executes {} of the next jobs; its lies pass as before: {}",
			measured(&flood.executes),
			measured(&flood.passes)
		),
		format!(
			"every job of the flood, in full; honest seats that lapse: {}",
			measured(&flood.lapsed)
		),
	);
	let grind = grinding::measure(effort.divided(100), 0.1, 2, 500);
	row(
		"500 names, 500 bonds",
		"10 %",
		format!(
			"lies pass as before: {}, {}",
			measured(&grind.names),
			measured(&grind.bonds)
		),
		format!("nothing; with a known beacon: {}", measured(&grind.control)),
	);
	for alpha in [0.1, 0.2, 0.3] {
		let veto = veto::measure(effort, alpha, 2);
		row(
			"silent seats",
			&percent(alpha),
			format!(
				"unverified: {}; saves {:.3} seat fees; the executor gets {}",
				measured(&veto.unverified),
				veto.saved.value(),
				percent(veto.executor.value())
			),
			format!("{:.2} seat fees a claim", veto.fined.value()),
		);
	}
	row(
		"an honest provider off the network",
		"anybody",
		format!(
			"it lapses 1 000 times in a session, and loses {} of its bond",
			percent(silence::fines(1_000))
		),
		"the attack on its network".into(),
	);
	for lazy in [0.1, 0.2] {
		let (share, passed) = whisper::passes(effort, 0.1, lazy, 2);
		row(
			"whispered roots",
			&format!("10 %, {} of the honest lazy", percent(lazy)),
			format!("lies pass: {}, as with α = {}", measured(&passed), percent(share)),
			"nothing".into(),
		);
	}
	for accounts in [1, 31] {
		let (passed, convicted) = sybils::measure(effort.divided(10), 0.2, 2, accounts);
		row(
			"sybils",
			&format!("20 % in {accounts} accounts"),
			format!("lies pass: {}", measured(&passed)),
			format!("convicted: {}", measured(&convicted)),
		);
	}
	let claimed = alone::claimed(2, 0.05);
	row(
		"a model of its own",
		"its 63 providers",
		format!("lies pass: {}", measured(&alone::passes(short, 2))),
		format!(
			"receipts claim α = {}, ε = {}",
			percent(claimed.alpha),
			percent(claimed.epsilon)
		),
	);
	for (alpha, absent) in [(0.0, 0.2), (0.0, 0.6), (0.3, 0.2)] {
		let objections = objections::measure(short, alpha, absent);
		row(
			"objections to true claims",
			&format!("{} of jurors, {} absent", percent(alpha), percent(absent)),
			format!(
				"overturned: {}; undecided, the verdict stands: {}",
				measured(&objections.overturned),
				measured(&objections.undecided)
			),
			format!("at least {} of its bond", percent(objections.cost.value())),
		);
	}
	for (alpha, absent) in [(0.1, 0.1), (0.2, 0.1), (0.3, 0.1), (0.3, 0.2)] {
		let griefing = griefing::measure(short, alpha, 2, absent);
		row(
			"false rejections",
			&format!("{}, {} absent", percent(alpha), percent(absent)),
			format!(
				"has a seat: {}; overturned: {}; void: {}",
				measured(&griefing.sits),
				measured(&griefing.overturned),
				measured(&griefing.void)
			),
			format!("{:.4} bonds a claim", griefing.cost.value()),
		);
	}
	table
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn figures_stand_between_their_markers() {
		let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
		let once = replace(&document, "new\n").unwrap();
		assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
		assert_eq!(replace(&once, "new").unwrap(), once);
		assert!(replace("no markers", "new").is_err());
		assert!(replace(&format!("{END}\n{BEGIN}"), "new").is_err());
	}
}
