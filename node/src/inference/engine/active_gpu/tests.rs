//! Which GPU is chosen, and what counts against it.

use super::*;
use tokio::time::Instant;

#[test]
fn devices_are_read_as_they_are_written() {
	for (text, device) in [
		("auto", EngineDevice::Auto),
		("cpu", EngineDevice::Cpu),
		("cuda:0", EngineDevice::Cuda(0)),
		("cuda:3", EngineDevice::Cuda(3)),
	] {
		assert_eq!(text.parse(), Ok(device));
		assert_eq!(device.to_string(), text);
	}
	assert_eq!("cuda".parse(), Ok(EngineDevice::Cuda(0)));
	for wrong in ["", "gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA", "cuda:0:1"] {
		assert!(wrong.parse::<EngineDevice>().is_err(), "{wrong}");
	}
}

#[test]
fn a_custom_program_is_used_unless_a_gpu_is_named_too() {
	let chosen =
		|device, custom| GpuEngine::chosen(device, custom, "/p".into()).map(|engine| (engine.device, engine.required));
	assert_eq!(chosen(EngineDevice::Auto, false), Some((0, false)));
	assert_eq!(chosen(EngineDevice::Auto, true), None);
	assert_eq!(chosen(EngineDevice::Cpu, false), None);
	assert_eq!(chosen(EngineDevice::Cuda(2), true), Some((2, true)));
}

fn active_gpu() -> ActiveGpu {
	let engine = GpuEngine::chosen(EngineDevice::Auto, false, "/p".into()).unwrap();
	ActiveGpu { engine, failures: 0 }
}

fn exited(cause: ExitCause, ready: Option<Instant>) -> Exit {
	let reason = ExitReason::new(cause, "of the test");
	Exit::Exited { reason, ready }
}

#[tokio::test]
async fn three_failures_in_a_row_are_enough() {
	const LONG: Duration = Duration::from_secs(60);
	let now = Some(Instant::now());
	let mut gpu = active_gpu();
	assert!(!gpu.is_given_up(&exited(ExitCause::Device, None), LONG));
	assert!(!gpu.is_given_up(&exited(ExitCause::Device, now), LONG));
	// One that served and then crashed for another reason shows that the GPU works.
	assert!(!gpu.is_given_up(&exited(ExitCause::Crash, now), LONG));
	assert!(!gpu.is_given_up(&Exit::NotStarted("of the test".into()), LONG));
	assert!(!gpu.is_given_up(&exited(ExitCause::Hang, None), LONG));
	assert!(gpu.is_given_up(&exited(ExitCause::Device, now), LONG));
}

#[tokio::test]
async fn a_gpu_that_fails_now_and_then_stays() {
	let mut gpu = active_gpu();
	for _ in 0..9 {
		let ready = Some(Instant::now());
		assert!(!gpu.is_given_up(&exited(ExitCause::Device, ready), Duration::ZERO));
	}
}

#[test]
fn the_last_line_of_a_program_is_its_reason() {
	assert_eq!(
		last_line(b"first\nlibcuda.so.1: \x1bno such file\n\n"),
		"libcuda.so.1: no such file"
	);
	assert_eq!(last_line(b"\xff\n").chars().count(), 1);
	assert_eq!(last_line(&[b'x'; 9_999]).len(), MAX_LINE);
	assert_eq!(last_line(b""), "");
}
