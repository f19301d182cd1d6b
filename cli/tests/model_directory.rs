//! `assay model import|show|check|run` as a person runs them: without a chain.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_model_folder::{
	config::ModelConfig,
	header::{Dtype, Header},
	layout::source_layout,
};
use serde_json::{json, Value};
use std::{
	fs::{self, File},
	path::{Path, PathBuf},
	process::{Command, Output, Stdio},
	thread::sleep,
	time::Duration,
};

fn demo(name: &str) -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo-model").join(name)
}

fn assay() -> Command {
	let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
	// No node answers at this address: these commands need none.
	command.env("ASSAY_URL", "ws://127.0.0.1:1").arg("model");
	command
}

fn text(bytes: &[u8]) -> String {
	String::from_utf8(bytes.to_vec()).unwrap()
}

fn done(output: &Output) -> String {
	assert!(output.status.success(), "{}", text(&output.stderr));
	text(&output.stdout)
}

fn id() -> String {
	fs::read_to_string(demo("assay-demo/model_id"))
		.unwrap()
		.trim()
		.to_owned()
}

#[test]
fn a_model_directory_is_shown_checked_and_run() {
	let directory = demo("assay-demo");
	let shown = done(&assay().arg("show").arg(&directory).output().unwrap());
	for part in [
		"assay-demo",
		&id(),
		"c2",
		"llama",
		"hidden_size 128",
		"Apache-2.0",
		"model.safetensors",
		"recorded",
	] {
		assert!(shown.contains(part), "{part} is missing in\n{shown}");
	}
	let json: Value = serde_json::from_str(&done(
		&assay().arg("--json").arg("show").arg(&directory).output().unwrap(),
	))
	.unwrap();
	assert_eq!(json["model"], id());
	assert_eq!(json["manifest"]["numbers"]["decoder"]["num_hidden_layers"], 4);

	let checked = assay().arg("check").arg(&directory).output().unwrap();
	assert!(done(&checked).starts_with(&format!("{} assay-demo\n", id())));
	assert!(text(&checked.stderr).contains("MB/s"), "{}", text(&checked.stderr));

	let ran = assay()
		.arg("run")
		.arg(&directory)
		.arg("What is a receipt?")
		.output()
		.unwrap();
	assert!(done(&ran).contains("receipt"), "{}", done(&ran));
	let stderr = text(&ran.stderr);
	for part in ["prompt: ", "tokens/s; answer: ", "verified by one prefill"] {
		assert!(stderr.contains(part), "{part} is missing in\n{stderr}");
	}
	let json = assay()
		.args(["--json", "run"])
		.arg(&directory)
		.arg("What is a receipt?")
		.output()
		.unwrap();
	let json: Value = serde_json::from_str(&done(&json)).unwrap();
	assert_eq!(json["text"].as_str().unwrap().trim(), done(&ran).trim());
	assert!(json["prompt_tokens_per_second"].as_f64().unwrap() > 0.0 && json["verify_share"].as_f64().unwrap() > 0.0);
}

#[test]
fn no_part_of_a_stop_string_is_printed_wherever_it_lies() {
	let run = |stops: &[&str]| {
		let mut command = assay();
		command
			.arg("run")
			.arg(demo("assay-demo"))
			.args(["What is a receipt?", "--no-verify"]);
		command.args(stops.iter().flat_map(|stop| ["--stop", stop]));
		command.output().unwrap()
	};
	let whole = done(&run(&[]));
	for stop in ["pt ", "eceipt", " ", whole.get(..3).unwrap(), "pt \u{1}"] {
		let before = whole.trim_end().split(stop).next().unwrap();
		assert_eq!(
			done(&run(&["never said", stop])).trim_end_matches('\n'),
			before,
			"{stop:?}"
		);
	}
	let special = run(&["<|end|>"]);
	assert_eq!(done(&special), whole);
	assert!(
		text(&special.stderr).contains("warning: --stop <|end|>"),
		"{}",
		text(&special.stderr)
	);
}

#[test]
fn an_import_gives_the_bundled_model_and_refuses_to_overwrite_it() {
	let dir = tempfile::tempdir().unwrap();
	let out = dir.path().join("assay-demo");
	let import = |out: &Path| {
		assay()
			.arg("--json")
			.arg("import")
			.arg(demo("original"))
			.arg(out)
			.args(["--name", "assay-demo", "--license", "Apache-2.0"])
			.args(["--source-url", "assay-train, from demo-model/corpus"])
			.output()
			.unwrap()
	};
	let first = import(&out);
	let json: Value = serde_json::from_str(&done(&first)).unwrap();
	assert_eq!(json["model"], id());
	let again = import(&out);
	assert_eq!(again.status.code(), Some(1));
	let json: Value = serde_json::from_str(&text(&again.stdout)).unwrap();
	assert_eq!(json["error"]["kind"], "model");
	assert!(json["error"]["message"]
		.as_str()
		.unwrap()
		.contains("not empty; name a new directory"));
}

#[test]
fn an_import_has_matrices_in_the_format_that_is_asked_for() {
	let dir = tempfile::tempdir().unwrap();
	let import = |format: &str| {
		let mut command = assay();
		command
			.arg("--json")
			.arg("import")
			.arg(demo("original"))
			.arg(dir.path().join(format));
		command.args(["--name", "assay-demo", "--weights", format, "--without-answer"]);
		command.output().unwrap()
	};
	for (format, dtype, beside) in [
		("w4z-64", "U8", "_zero"),
		("w4", "U8", "_table"),
		("w8-128", "I8", "_scale"),
	] {
		done(&import(format));
		let manifest = fs::read(dir.path().join(format).join("manifest.json")).unwrap();
		let manifest: Value = serde_json::from_slice(&manifest).unwrap();
		let tensors = manifest["manifest"]["tensors"].as_array().unwrap();
		let dtype_of = |name: &str| &tensors.iter().find(|tensor| tensor["name"] == name).unwrap()["dtype"];
		let gate = "model.layers.0.mlp.gate_proj.weight";
		assert_eq!(dtype_of(gate), dtype);
		dtype_of(&format!("{gate}{beside}"));
		assert_eq!(dtype_of("model.embed_tokens.weight"), "I8");
	}
	let unknown = import("q4_0");
	assert_eq!(unknown.status.code(), Some(2));
	assert!(text(&unknown.stdout).contains("w4z-128"), "{}", text(&unknown.stdout));
}

#[test]
fn what_is_not_a_model_directory_is_named_with_the_next_step() {
	let dir = tempfile::tempdir().unwrap();
	for command in ["check", "show"] {
		let output = assay().arg(command).arg(dir.path()).output().unwrap();
		assert_eq!(output.status.code(), Some(1));
		let stderr = text(&output.stderr);
		assert!(
			stderr.contains("manifest.json") && stderr.contains("a model directory?"),
			"{stderr}"
		);
	}
	let output = assay()
		.args(["run", "/nowhere", "x", "--temperature", "17"])
		.output()
		.unwrap();
	assert_eq!(output.status.code(), Some(2));
}

/// Makes a source that takes a while to import: half a gigabyte of zeros in a sparse file.
fn slow_source(dir: &Path) -> PathBuf {
	const VOCABULARY: u64 = 1 << 20;
	let source = dir.join("source");
	fs::create_dir(&source).unwrap();
	for name in ["tokenizer.json", "chat_template.jinja"] {
		fs::copy(demo("original").join(name), source.join(name)).unwrap();
	}
	let mut slow: Value = serde_json::from_slice(&fs::read(demo("original/config.json")).unwrap()).unwrap();
	slow["vocab_size"] = json!(VOCABULARY);
	fs::write(source.join("config.json"), slow.to_string()).unwrap();
	let layout = source_layout(&ModelConfig::parse(slow.to_string().as_bytes()).unwrap().hyperparameters);
	let shapes: Vec<_> = layout.iter().map(|t| (t.name.as_str(), t.shape())).collect();
	let header = Header::canonical(shapes.iter().map(|(name, shape)| (*name, Dtype::F32, shape.as_slice())));
	let elements: u64 = shapes.iter().map(|(_, shape)| shape.iter().product::<u64>()).sum();
	let path = source.join("model.safetensors");
	fs::write(&path, &header).unwrap();
	let file = File::options().write(true).open(path).unwrap();
	file.set_len(header.len() as u64 + 4 * elements).unwrap();
	source
}

#[test]
fn an_import_resumes_after_ctrl_c_a_full_disk_and_a_kill() {
	let dir = tempfile::tempdir().unwrap();
	let source = slow_source(dir.path());
	let [out, partial] = ["out", "out.partial"].map(|name| dir.path().join(name));
	let import = |out: &Path| {
		let mut command = assay();
		command
			.arg("import")
			.arg(&source)
			.arg(out)
			.args(["--name", "slow", "--without-answer"]);
		command
	};

	// No file may grow beyond a megabyte, which gives the same error as a full disk.
	let mut limited = Command::new("bash");
	let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
	limited
		.args(["-c", script])
		.arg(env!("CARGO_BIN_EXE_assay"))
		.args(import(&out).get_args());
	let full = limited.output().unwrap();
	assert_eq!(full.status.code(), Some(1));
	let stderr = text(&full.stderr);
	assert!(
		stderr.contains("no room for it") && stderr.contains("it goes on where it was"),
		"{stderr}"
	);

	// Ctrl-C in the middle.
	let child = import(&out).stderr(Stdio::piped()).spawn().unwrap();
	while !partial.join("import.journal").exists() {
		sleep(Duration::from_millis(5));
	}
	sleep(Duration::from_millis(50));
	let pid = child.id().to_string();
	assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
	let stopped = child.wait_with_output().unwrap();
	let stderr = text(&stopped.stderr);
	assert_eq!(stopped.status.code(), Some(130), "{stderr}");
	assert!(
		stderr.contains("the same command goes on") && !out.exists() && partial.exists(),
		"{stderr}"
	);

	// Killed, then to the end.
	let mut child = import(&out).spawn().unwrap();
	sleep(Duration::from_millis(100));
	child.kill().unwrap();
	child.wait().unwrap();
	let end = import(&out).output().unwrap();
	let stdout = done(&end);
	assert!(
		stdout.contains("slow is imported as 0x") && stdout.contains("check --record"),
		"{stdout}"
	);
	assert!(out.join("manifest.json").exists() && !partial.exists());
	let unserved = assay().arg("check").arg(&out).output().unwrap();
	assert!(
		text(&unserved.stderr).contains("has none"),
		"{}",
		text(&unserved.stderr)
	);
}
