//! Writes a run's charts, and its figures into the document about them.

use crate::{chart::Chart, plan::Device, report::Sheet, run::Run};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{fs, path::Path, thread};

const END: &str = "<!-- end of figures -->";

/// Writes charts to `out/img`, and the report into the device's document in `out`.
pub fn write(out: &Path, run: &Run, sheets: &[Sheet], report: &str) -> Result<()> {
	let image = |name: &str, chart: &Chart| {
		let images = out.join("img");
		fs::create_dir_all(&images)?;
		anyhow::Ok(fs::write(images.join(name), chart.svg()?)?)
	};
	let header = |key: &str| run.samples.header.get(key).and_then(Value::as_str).unwrap_or_default();
	match run.plan.device {
		Device::Cpu => {
			let subtitle = format!(
				"{}; medians of one run, {} threads each",
				header("machine"),
				run.threads
			);
			let title = "Tokens a second: the exact engine and its peers";
			image("speed.svg", &Chart::speeds(title, &subtitle, sheets))?;
			let title = "What a check costs: verification ÷ generation";
			image("verify.svg", &Chart::verify(title, &subtitle, sheets))?;
			figures(&out.join("benchmarks.md"), "make bench", report)?;
		}
		Device::Gpu => {
			let subtitle = format!("{}; medians of one run", header("GPU"));
			let title = "Tokens a second on a GPU: the exact engine in int8, and PyTorch in bf16";
			image("gpu.svg", &Chart::speeds(title, &subtitle, sheets))?;
			let report = format!("![{title}](img/gpu.svg)\n\n{report}");
			figures(&out.join("benchmarks-gpu.md"), "make bench-gpu", &report)?;
		}
	}
	eprintln!("    tables and charts: {}", out.display());
	Ok(())
}

/// Puts the report between the two marks of a document, or makes one of it.
fn figures(path: &Path, by: &str, report: &str) -> Result<()> {
	let begin = format!("<!-- figures: written by {by} -->");
	let figures = format!("{begin}\n\n{report}\n{END}");
	let document = match fs::read_to_string(path) {
		Err(_) => format!("{figures}\n"),
		Ok(old) => {
			let marks = || Some((old.split_once(&begin)?.0, old.split_once(END)?.1));
			let (before, after) = marks().with_context(|| format!("{} has lost its marks", path.display()))?;
			format!("{before}{figures}{after}")
		}
	};
	Ok(fs::write(path, document)?)
}

/// The CPU and its memory, in words.
pub fn machine() -> String {
	let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
	let field = |key: &str| {
		let value = |line: &str| Some(line.strip_prefix(key)?.split_once(':')?.1.trim().to_owned());
		cpu.lines().find_map(value)
	};
	let flags = field("flags").unwrap_or_default();
	let has = |flag: &str| flags.split(' ').any(|f| f == flag);
	let vectors = if has("avx512_vnni") {
		"AVX-512 with VNNI"
	} else if has("avx512f") {
		"AVX-512"
	} else if has("avx2") {
		"AVX2"
	} else {
		"no vectors beyond the baseline"
	};
	let matrices = if has("amx_int8") { " and AMX" } else { ", no AMX" };
	let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
	let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
	let cores = thread::available_parallelism().map_or(1, |n| n.get());
	format!(
		"{}, {cores} cores, {vectors}{matrices}, {:.0} GB",
		field("model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
		kib.unwrap_or(0) as f64 / 1e6
	)
}
