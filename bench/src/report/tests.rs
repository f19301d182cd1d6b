use super::*;
use crate::entries::{of_width, Width};

#[test]
fn ratios_say_how_many_times_better_ours_is_than_the_best_peer() {
	let entries = of_width(Width::Eight, false);
	let mut row = Row {
		label: String::new(),
		cells: [3.0, 4.0, 2.0, 6.0].map(|value| Cell::new(value, String::new())).into(),
		better: Some(Better::More),
		drawn: false,
		key: String::new(),
	};
	row.cells.resize(entries.len(), Cell::default());
	assert_eq!(
		(row.best_peer(&entries), row.ratio(0, 3), row.ratio(0, 4)),
		(Some(3), Some(0.5), None)
	);
	row.better = Some(Better::Less);
	assert_eq!((row.best_peer(&entries), row.ratio(1, 2)), (Some(2), Some(0.5)));
	row.better = None;
	assert_eq!((row.best_peer(&entries), row.ratio(0, 3)), (None, None));
}
