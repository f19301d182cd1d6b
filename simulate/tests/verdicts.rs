//! `docs/verdicts.md` says what the code does.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_primitives::{economics::Rates, limits, rules, state::STEPS};

/// Returns the rows of the table with this first header cell, without backticks.
fn table(header: &str) -> Vec<Vec<String>> {
	let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verdicts.md");
	let document = std::fs::read_to_string(path).unwrap();
	let lines = document
		.lines()
		.skip_while(|line| !line.starts_with(&format!("| {header} |")));
	let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
	rows.map(|row| {
		let cells = row.trim_matches('|').split('|');
		cells.map(|cell| cell.trim().trim_matches('`').to_string()).collect()
	})
	.collect()
}

#[test]
fn the_table_of_states_is_the_code_s_row_by_row() {
	let documented: Vec<_> = table("state").into_iter().map(|row| row[..3].join(" ")).collect();
	let steps: Vec<_> = STEPS
		.iter()
		.map(|(from, by, to)| format!("{from:?} {by:?} {to:?}"))
		.collect();
	assert_eq!(documented, steps);
}

#[test]
fn the_table_of_constants_is_the_code_s_row_by_row() {
	let documented: Vec<_> = table("constant").into_iter().map(|row| row[..2].join(" ")).collect();
	macro_rules! named {
		($($path:ident :: $name:ident),*) => { vec![$(format!("{} {}", stringify!($name), $path::$name)),*] };
	}
	let mut constants = named!(
		rules::DRAW_DELAY,
		rules::PERIOD,
		rules::MAX_TRANCHES,
		rules::MAX_SEATS,
		rules::REPLACEMENTS,
		rules::WINDOW,
		rules::AUDIT_AFTER,
		rules::OPEN_UNTIL,
		rules::SETTLE_AFTER,
		rules::MAX_AUDITORS,
		rules::BASE_BLOCKS,
		rules::JURY_BASE_BLOCKS,
		rules::JURY_REVEAL_BLOCKS,
		rules::SECOND_ROUND_FACTOR,
		rules::EXECUTOR_CANDIDATES,
		rules::HEARTBEAT_AGE,
		rules::LAPSES_TO_UNREADY,
		rules::MAX_DISPUTES,
		limits::MAX_VERIFIERS,
		limits::MAX_ATTEMPTS,
		limits::MAX_MEMBERS
	);
	// Every field is named, so that a new one must be documented.
	let Rates {
		minimum_fee,
		check_price,
		royalty_max,
		treasury,
		levy,
		audit,
		slash_claim,
		slash_rejection,
		slash_approval,
		slash_juror,
		session_cap,
		bounty,
		objection,
	} = Rates::DEFAULT;
	let percent = |rate: sp_arithmetic::Permill| format!("{} %", f64::from(rate.deconstruct()) / 10_000.0);
	constants.extend([
		format!("minimum_fee {minimum_fee}"),
		format!("check_price {check_price}"),
		format!("royalty_max {}", percent(royalty_max)),
		format!("treasury {}", percent(treasury)),
		format!("levy {}", percent(levy)),
		format!("audit {}", percent(audit)),
		format!("slash_claim {}", percent(slash_claim)),
		format!("slash_rejection {}", percent(slash_rejection)),
		format!("slash_approval {}", percent(slash_approval)),
		format!("slash_juror {}", percent(slash_juror)),
		format!("session_cap {}", percent(session_cap)),
		format!("bounty {}", percent(bounty)),
		format!("objection {objection}"),
	]);
	assert_eq!(documented, constants);
}
