//! Official clients and an agent framework, as they are in their registries, but for their base URL.
//!
//! They are installed once into a cache directory. Where there is no Python, no Node.js or no registry, a test says so and
//! checks nothing; with `ASSAY_REQUIRE_CLIENTS=1` that is a failure.

use crate::support::{answer, drawn, published, text, verdict, Scripted};
use assay_gateway::{network::NetworkError, Config};
use assay_primitives::{FinishReason, Verdict};
use std::{
	env, fs,
	io::{self, Write},
	path::{Path, PathBuf},
	process::Stdio,
	sync::OnceLock,
};
use tokio::{net::TcpListener, process::Command, sync::Mutex};

/// One installation at a time.
static INSTALLING: OnceLock<Mutex<()>> = OnceLock::new();

fn scripts() -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn cache() -> PathBuf {
	let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
	env::var_os("XDG_CACHE_HOME")
		.map_or_else(home, PathBuf::from)
		.join("assay-gateway-clients")
}

async fn run(command: &mut Command) -> Result<String, String> {
	let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
	let output = output.map_err(|e| format!("{command:?}: {e}"))?;
	let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
	if output.status.success() {
		Ok(text(&output.stdout))
	} else {
		Err(format!("{command:?}: {}{}", text(&output.stdout), text(&output.stderr)))
	}
}

/// Runs the steps of an installation unless the same list of packages is installed already.
async fn install(list: &str, directory: &str, steps: Vec<Command>) -> Result<PathBuf, String> {
	let _one = INSTALLING.get_or_init(Mutex::default).lock().await;
	let directory = cache().join(directory);
	let wanted = fs::read_to_string(scripts().join(list)).map_err(|e| e.to_string())?;
	let done = directory.join("installed");
	if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
		return Ok(directory);
	}
	fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
	fs::copy(scripts().join(list), directory.join(list)).map_err(|e| e.to_string())?;
	for mut step in steps {
		run(step.current_dir(&directory)).await?;
	}
	fs::write(done, wanted).map_err(|e| e.to_string())?;
	Ok(directory)
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
	let mut command = Command::new(program);
	command.args(arguments);
	command
}

async fn python() -> Result<PathBuf, String> {
	let pip = [
		"install",
		"--quiet",
		"--disable-pip-version-check",
		"--requirement",
		"requirements.txt",
	];
	let steps = vec![
		command("python3", &["-m", "venv", "venv"]),
		command("venv/bin/pip", &pip),
	];
	Ok(install("requirements.txt", "python", steps)
		.await?
		.join("venv/bin/python"))
}

async fn node() -> Result<PathBuf, String> {
	let steps = vec![command("npm", &["install", "--no-audit", "--no-fund", "--silent"])];
	install("package.json", "node", steps).await
}

/// Serves the scripted network, and returns its base URL.
async fn serve() -> String {
	let wrong = "The moon is cheese.";
	let overturned = vec![
		drawn(1),
		text(wrong),
		published(wrong, FinishReason::Eos),
		verdict(Verdict::Overturned),
	];
	let network = Scripted::new()
		.on("overturned", overturned)
		.on("count", answer("<think>\nLet me count.\n</think>\n\nTwo or three."))
		.refuse("too expensive", NetworkError::Unfunded("the account cannot pay".into()));
	let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
	let url = format!("http://{}", listener.local_addr().unwrap());
	tokio::spawn(
		network
			.gateway(Config::default())
			.serve(listener, std::future::pending()),
	);
	url
}

/// Runs a script, or says why it cannot be run.
async fn check(installed: Result<Command, String>, passes: &str) {
	let mut command = match installed {
		Ok(command) => command,
		Err(why) => {
			let required = env::var("ASSAY_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
			assert!(!required, "{why}");
			// Past the harness, which keeps what a test prints to itself if it passes.
			let _ = writeln!(io::stderr(), "NOT CHECKED: the clients cannot be installed here: {why}");
			return;
		}
	};
	command.env("ASSAY_BASE_URL", serve().await).env("ASSAY_SCRIPTED", "1");
	let said = run(&mut command).await.unwrap_or_else(|e| panic!("{e}"));
	assert!(said.contains(passes), "{said}");
	let _ = write!(io::stderr(), "{said}");
}

async fn python_script(name: &str) -> Result<Command, String> {
	let script = scripts().join(name);
	Ok(command(python().await?, &[&script.to_string_lossy()]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_of_openai_works_unchanged() {
	check(python_script("openai_client.py").await, ": ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_of_anthropic_works_unchanged() {
	check(python_script("anthropic_client.py").await, ": ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_of_openai_agents_work_unchanged() {
	check(python_script("agents_client.py").await, ": ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_client_of_openai_works_unchanged() {
	let script = async {
		let directory = node().await?;
		// Packages are looked for beside the script.
		let script = directory.join("openai_client.mjs");
		fs::copy(scripts().join("openai_client.mjs"), &script).map_err(|e| e.to_string())?;
		Ok(command("node", &[&script.to_string_lossy()]))
	};
	check(script.await, ": ok").await;
}
