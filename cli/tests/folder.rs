//! `assay model import|show|check|run` as a person runs them: without a chain.

// Helpers of tests too may say what they mean: a panic here is a failure with a name.
#![allow(clippy::unwrap_used)]

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
	// Nobody answers there: these commands ask no node.
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
fn a_folder_is_shown_checked_and_run() {
	let folder = demo("assay-demo");
	let shown = done(&assay().arg("show").arg(&folder).output().unwrap());
	for part in [
		"assay-demo",
		&id(),
		"c1-w8",
		"llama",
		"hidden_size 128",
		"Apache-2.0",
		"model.safetensors",
		"recorded",
	] {
		assert!(shown.contains(part), "{part} is missing in\n{shown}");
	}
	let json: Value =
		serde_json::from_str(&done(&assay().arg("--json").arg("show").arg(&folder).output().unwrap())).unwrap();
	assert_eq!(json["model"], id());
	assert_eq!(json["manifest"]["numbers"]["decoder"]["num_hidden_layers"], 4);

	let checked = assay().arg("check").arg(&folder).output().unwrap();
	assert!(done(&checked).starts_with(&format!("{} assay-demo\n", id())));
	assert!(text(&checked.stderr).contains("MB/s"), "{}", text(&checked.stderr));

	let ran = assay()
		.arg("run")
		.arg(&folder)
		.arg("What is a receipt?")
		.output()
		.unwrap();
	assert!(done(&ran).contains("receipt"), "{}", done(&ran));
	let said = text(&ran.stderr);
	for part in ["prompt: ", "tokens/s; answer: ", "verified by one prefill"] {
		assert!(said.contains(part), "{part} is missing in\n{said}");
	}
	let json = assay()
		.args(["--json", "run"])
		.arg(&folder)
		.arg("What is a receipt?")
		.output()
		.unwrap();
	let json: Value = serde_json::from_str(&done(&json)).unwrap();
	assert_eq!(json["text"].as_str().unwrap().trim(), done(&ran).trim());
	assert!(json["prompt_tokens_per_second"].as_f64().unwrap() > 0.0 && json["verify_share"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_import_ends_with_the_bundled_model_and_tells_how_far_it_is() {
	let dir = tempfile::tempdir().unwrap();
	let out = dir.path().join("assay-demo");
	let import = |out: &Path| {
		assay()
			.arg("--json")
			.arg("import")
			.arg(demo("original"))
			.arg(out)
			.args(["--name", "assay-demo", "--licence", "Apache-2.0"])
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
		.contains("not empty; name a new folder"));
}

#[test]
fn what_is_no_model_folder_is_named_with_the_next_step() {
	let dir = tempfile::tempdir().unwrap();
	for command in ["check", "show"] {
		let output = assay().arg(command).arg(dir.path()).output().unwrap();
		assert_eq!(output.status.code(), Some(1));
		let said = text(&output.stderr);
		assert!(
			said.contains("manifest.json") && said.contains("a model's folder?"),
			"{said}"
		);
	}
	let output = assay()
		.args(["run", "/nowhere", "x", "--temperature", "17"])
		.output()
		.unwrap();
	assert_eq!(output.status.code(), Some(2));
}

/// A source that takes a while: half a gigabyte of zeros, which the file has as holes.
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
fn an_import_survives_ctrl_c_and_a_full_disk_and_goes_on() {
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

	// No file may grow beyond a megabyte: what a full disk says comes from the same place.
	let mut limited = Command::new("bash");
	let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
	limited
		.args(["-c", script])
		.arg(env!("CARGO_BIN_EXE_assay"))
		.args(import(&out).get_args());
	let full = limited.output().unwrap();
	assert_eq!(full.status.code(), Some(1));
	let said = text(&full.stderr);
	assert!(
		said.contains("no room for it") && said.contains("it goes on where it was"),
		"{said}"
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
	let said = text(&stopped.stderr);
	assert_eq!(stopped.status.code(), Some(130), "{said}");
	assert!(
		said.contains("the same command goes on") && !out.exists() && partial.exists(),
		"{said}"
	);

	// Killed, then to the end.
	let mut child = import(&out).spawn().unwrap();
	sleep(Duration::from_millis(100));
	child.kill().unwrap();
	child.wait().unwrap();
	let end = import(&out).output().unwrap();
	let said = done(&end);
	assert!(
		said.contains("slow is imported as 0x") && said.contains("check --record"),
		"{said}"
	);
	assert!(out.join("manifest.json").exists() && !partial.exists());
	let unserved = assay().arg("check").arg(&out).output().unwrap();
	assert!(
		text(&unserved.stderr).contains("has none"),
		"{}",
		text(&unserved.stderr)
	);
}
