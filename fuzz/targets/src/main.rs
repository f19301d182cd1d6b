//! Runs one target on files, as a fuzzer found them:  `assay-fuzz-targets TARGET FILE…`

use std::process::ExitCode;

fn main() -> ExitCode {
	let mut args = std::env::args().skip(1);
	let target = args.next().and_then(|name| {
		let mut targets = assay_fuzz_targets::TARGETS.into_iter();
		targets.find(|(known, _)| *known == name)
	});
	let Some((name, target)) = target else {
		let names = assay_fuzz_targets::TARGETS.map(|(name, _)| name).join(", ");
		eprintln!("usage: assay-fuzz-targets TARGET FILE…, where TARGET is one of {names}");
		return ExitCode::FAILURE;
	};
	for path in args {
		match std::fs::read(&path) {
			Ok(data) => target(&data),
			Err(error) => {
				eprintln!("{path}: {error}");
				return ExitCode::FAILURE;
			}
		}
		println!("{path}: {name} holds");
	}
	ExitCode::SUCCESS
}
