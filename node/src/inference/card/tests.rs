//! What is chosen, and what counts against a card.

use super::*;
use tokio::time::Instant;

#[test]
fn devices_are_read_as_they_are_written() {
	for (text, device) in [
		("auto", Device::Auto),
		("cpu", Device::Cpu),
		("cuda:0", Device::Cuda(0)),
		("cuda:3", Device::Cuda(3)),
	] {
		assert_eq!(text.parse(), Ok(device));
		assert_eq!(device.to_string(), text);
	}
	assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
	for wrong in ["", "gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA", "cuda:0:1"] {
		assert!(wrong.parse::<Device>().is_err(), "{wrong}");
	}
}

#[test]
fn who_names_a_program_means_that_one_unless_a_card_is_named_too() {
	let chosen = |device, another| OnCard::chosen(device, another, "/p".into()).map(|on| (on.device, on.named));
	assert_eq!(chosen(Device::Auto, false), Some((0, false)));
	assert_eq!(chosen(Device::Auto, true), None);
	assert_eq!(chosen(Device::Cpu, false), None);
	assert_eq!(chosen(Device::Cuda(2), true), Some((2, true)));
}

fn trial() -> Trial {
	let on = OnCard::chosen(Device::Auto, false, "/p".into()).unwrap();
	Trial { on, failures: 0 }
}

fn died(cause: Cause, ready: Option<Instant>) -> Death {
	let why = "of the test".into();
	Death::Died {
		end: End { cause, why },
		ready,
	}
}

#[tokio::test]
async fn three_failures_in_a_row_are_enough() {
	const LONG: Duration = Duration::from_secs(60);
	let now = Some(Instant::now());
	let mut trial = trial();
	assert!(!trial.is_over(&died(Cause::Device, None), LONG));
	assert!(!trial.is_over(&died(Cause::Device, now), LONG));
	// One that served and then died of something else says that the card does well.
	assert!(!trial.is_over(&died(Cause::Crash, now), LONG));
	assert!(!trial.is_over(&Death::NotStarted("of the test".into()), LONG));
	assert!(!trial.is_over(&died(Cause::Hang, None), LONG));
	assert!(trial.is_over(&died(Cause::Device, now), LONG));
}

#[tokio::test]
async fn a_card_that_fails_now_and_then_stays() {
	let mut trial = trial();
	for _ in 0..9 {
		let ready = Some(Instant::now());
		assert!(!trial.is_over(&died(Cause::Device, ready), Duration::ZERO));
	}
}

#[test]
fn the_last_thing_a_program_said_is_its_reason() {
	assert_eq!(
		last_line(b"first\nlibcuda.so.1: \x1bno such file\n\n"),
		"libcuda.so.1: no such file"
	);
	assert_eq!(last_line(b"\xff\n").chars().count(), 1);
	assert_eq!(last_line(&[b'x'; 9_999]).len(), MAX_WORDS);
	assert_eq!(last_line(b""), "");
}
