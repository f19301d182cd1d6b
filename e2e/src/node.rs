//! Node processes: started with the real program, on free loopback ports, each in a directory of its own.

use anyhow::{bail, Context, Result};
use rustix::process::{kill_process, Pid, Signal};
use std::{
	fs::{self, File, Permissions},
	io::{Read, Write},
	net::{TcpListener, TcpStream},
	os::unix::fs::PermissionsExt,
	path::{Path, PathBuf},
	process::{Child, Command, ExitStatus, Stdio},
	time::Duration,
};
use tempfile::TempDir;

/// Returns a loopback port that was free a moment ago.
fn free_port() -> u16 {
	let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
	listener.local_addr().expect("a bound socket has an address").port()
}

/// Returns the path of one of this workspace's programs: in `ASSAY_BIN`, or beside the running test.
pub fn program(name: &str) -> Result<PathBuf> {
	let directory = match std::env::var_os("ASSAY_BIN") {
		Some(directory) => PathBuf::from(directory),
		None => {
			let test = std::env::current_exe()?;
			test.ancestors()
				.nth(2)
				.context("a test is in target/PROFILE/deps")?
				.to_path_buf()
		}
	};
	let path = directory.join(name);
	if !path.is_file() {
		bail!("{} does not exist: run `make build`", path.display());
	}
	Ok(path)
}

/// Options in which the nodes of tests differ.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
	/// Whether it runs `--dev`, or else the local testnet.
	pub dev: bool,
	/// `--alice`, `--bob` …; none for `--dev`.
	pub name: Option<String>,
	/// Chain specification instead of the local testnet's.
	pub chain: Option<PathBuf>,
	/// Engine program instead of the one beside the node.
	pub engine: Option<PathBuf>,
	/// Directory of models instead of the node's own.
	pub models: Option<PathBuf>,
	/// Address of a node to connect to.
	pub bootnode: Option<String>,
	/// Last byte of the node key.
	pub key: u8,
	/// More arguments.
	pub args: Vec<String>,
	/// Environment variables of its `engine`. A node passes none of its own on.
	pub engine_env: Vec<(String, String)>,
}

/// The ports that a node listens on.
#[derive(Clone, Copy)]
struct Ports {
	rpc: u16,
	p2p: u16,
	metrics: u16,
}

/// A running node. Dropping it kills the process and deletes the directory.
pub struct Node {
	options: NodeOptions,
	child: Child,
	directory: TempDir,
	ports: Ports,
}

impl Node {
	/// Starts a node; [`Chain::connect`](crate::Chain::connect) waits until it answers.
	pub fn start(options: NodeOptions) -> Result<Self> {
		let directory = tempfile::Builder::new().prefix("assay-node-").tempdir()?;
		let ports = Ports {
			rpc: free_port(),
			p2p: free_port(),
			metrics: free_port(),
		};
		let child = spawn(&options, directory.path(), ports)?;
		Ok(Self {
			options,
			child,
			directory,
			ports,
		})
	}

	/// Returns the address of its RPC.
	pub fn url(&self) -> String {
		format!("ws://127.0.0.1:{}", self.ports.rpc)
	}

	/// Returns its address for other nodes, which is known because node key 1 always gives this peer id.
	pub fn address(&self) -> String {
		let peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
		format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}", self.ports.p2p)
	}

	/// Returns its process id.
	pub fn pid(&self) -> u32 {
		self.child.id()
	}

	/// Returns the process id of its engine.
	pub fn engine_pid(&self) -> Result<u32> {
		let pid = self.pid();
		let children = std::fs::read_dir(format!("/proc/{pid}/task"))?
			.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
			.collect::<String>();
		children
			.split_whitespace()
			.filter_map(|child| child.parse().ok())
			.find(|child: &u32| {
				std::fs::read_to_string(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.contains("assay-"))
			})
			.context("the node has no engine process")
	}

	/// Returns the sum of the values of a metric, over the lines with this label if one is given.
	pub fn metric(&self, name: &str, label: Option<(&str, &str)>) -> Result<u64> {
		let mut stream = TcpStream::connect(("127.0.0.1", self.ports.metrics))?;
		stream.set_read_timeout(Some(Duration::from_secs(10)))?;
		stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
		let mut text = String::new();
		stream.read_to_string(&mut text)?;
		let label = label.map(|(key, value)| format!("{key}=\"{value}\""));
		let values: Vec<u64> = text
			.lines()
			.filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
			.filter(|line| label.as_ref().is_none_or(|label| line.contains(label)))
			.filter_map(|line| line.rsplit(' ').next()?.parse().ok())
			.collect();
		if values.is_empty() {
			bail!("there is no metric {name} {label:?}");
		}
		Ok(values.iter().sum())
	}

	/// Sends a signal to the node.
	pub fn signal(&self, signal: Signal) {
		send(self.pid(), signal);
	}

	/// Sends a signal to its engine.
	pub fn signal_engine(&self, signal: Signal) -> Result<()> {
		send(self.engine_pid()?, signal);
		Ok(())
	}

	/// Sends SIGTERM to the node, and waits until it has exited.
	pub fn terminate(&mut self) -> Result<ExitStatus> {
		self.signal(Signal::TERM);
		Ok(self.child.wait()?)
	}

	/// Kills the node as a power cut would, and starts it again in the same directory.
	pub fn kill_and_restart(&mut self) -> Result<()> {
		self.signal(Signal::KILL);
		self.child.wait()?;
		self.child = spawn(&self.options, self.directory.path(), self.ports)?;
		Ok(())
	}

	/// Does the same with other options.
	pub fn restart_with(&mut self, change: impl FnOnce(&mut NodeOptions)) -> Result<()> {
		change(&mut self.options);
		self.kill_and_restart()
	}

	/// Returns everything it has logged.
	pub fn log(&self) -> String {
		std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
	}
}

impl Drop for Node {
	fn drop(&mut self) {
		// Once it has exited, its process id may be reused.
		if matches!(self.child.try_wait(), Ok(None)) {
			self.signal(Signal::CONT);
			self.signal(Signal::KILL);
			let _ = self.child.wait();
		}
		if std::thread::panicking() {
			let log = self.log();
			let tail = log
				.lines()
				.rev()
				.take(60)
				.collect::<Vec<_>>()
				.into_iter()
				.rev()
				.collect::<Vec<_>>()
				.join("\n");
			eprintln!(
				"── last lines of {:?} ──\n{tail}\n",
				self.options.name.as_deref().unwrap_or("dev")
			);
		}
	}
}

/// Sends a signal to a process that this harness started, if it still runs.
fn send(pid: u32, signal: Signal) {
	if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
		let _ = kill_process(pid, signal);
	}
}

fn spawn(options: &NodeOptions, directory: &Path, ports: Ports) -> Result<Child> {
	let log = File::options().create(true).append(true).open(directory.join("log"))?;
	let mut command = Command::new(program("assay-node")?);
	command.arg("--base-path").arg(directory.join("data"));
	command.args([
		"--rpc-port",
		&ports.rpc.to_string(),
		"--prometheus-port",
		&ports.metrics.to_string(),
		"--listen-addr",
		&format!("/ip4/127.0.0.1/tcp/{}", ports.p2p),
	]);
	command.args(["--no-telemetry", "--no-mdns", "-lassay=debug"]);
	// The program that was built with these tests, even if this machine has a GPU.
	command.args(["--engine-device", "cpu"]);
	command.args(["--node-key", &format!("{:064x}", options.key.max(1))]);
	if options.dev {
		command.arg("--dev");
	} else {
		let chain = options.chain.as_deref().unwrap_or("local".as_ref());
		command.arg("--validator").arg("--chain").arg(chain);
	}
	if let Some(name) = &options.name {
		command.arg(format!("--{name}"));
	}
	if let Some(engine) = &options.engine {
		let engine = if options.engine_env.is_empty() {
			engine.clone()
		} else {
			engine_script(engine, &options.engine_env, directory)?
		};
		command.arg("--engine").arg(engine);
	}
	if let Some(models) = &options.models {
		command.arg("--models").arg(models);
	}
	if let Some(bootnode) = &options.bootnode {
		command.args(["--bootnodes", bootnode]);
	}
	command.args(&options.args);
	command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
	command.spawn().context("the node does not start")
}

/// Writes a script that becomes `engine` with more environment variables, and returns its path.
fn engine_script(engine: &Path, variables: &[(String, String)], directory: &Path) -> Result<PathBuf> {
	let exports = variables
		.iter()
		.map(|(name, value)| format!("export {name}='{value}'\n"));
	let text = format!(
		"#!/bin/sh\n{}exec '{}' \"$@\"\n",
		exports.collect::<String>(),
		engine.display()
	);
	// Written under another name and moved: a file that is open for writing cannot be executed.
	let (path, beside) = (directory.join("assay-engine.sh"), directory.join("assay-engine.sh.new"));
	fs::write(&beside, text)?;
	fs::set_permissions(&beside, Permissions::from_mode(0o755))?;
	fs::rename(beside, &path)?;
	Ok(path)
}

/// Four validators, each with its own inference key and engine.
pub struct TestNetwork {
	/// The nodes of Alice, Bob, Charlie and Dave.
	pub nodes: Vec<Node>,
}

impl TestNetwork {
	/// Starts the four nodes; `change` can alter the options of each.
	pub fn start(mut change: impl FnMut(&mut NodeOptions)) -> Result<Self> {
		let mut nodes: Vec<Node> = Vec::new();
		for (key, name) in (1..).zip(["alice", "bob", "charlie", "dave"]) {
			let bootnode = nodes.first().map(Node::address);
			let mut options = NodeOptions {
				name: Some(name.into()),
				bootnode,
				key,
				..Default::default()
			};
			change(&mut options);
			nodes.push(Node::start(options)?);
		}
		Ok(Self { nodes })
	}
}
