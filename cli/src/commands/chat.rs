//! `assay chat`: a conversation in the terminal, each answer of which is a job with a receipt.

use super::{
	ask::{conversation, drafts, follow, order, shown},
	build_file, checked_file, ensure_writable, Context,
};
use crate::{
	args::ChatArgs,
	error::CliError,
	interrupt,
	keys::Signer,
	output::{printable, Outcome},
	paths::directory,
	render,
	stream::Contradiction,
};
use assay_primitives::JobId;
use assay_receipt::assurance;
use rustyline::{error::ReadlineError, history::FileHistory, Editor};
use serde_json::{json, Value};
use std::{
	io::{BufRead, IsTerminal, Read},
	path::{Path, PathBuf},
};
use tokio::sync::oneshot;

/// Longest line that is read from what is no terminal, in bytes.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
const HELP: &str = "\
/system TEXT   instruct the model with TEXT from now on; without TEXT show the instruction, `/system -` removes it
/reset         forget the conversation, keep the instruction
/save FILE     write the conversation as JSON, which `assay ask --chat FILE` reads
/receipt       show the receipt of the last answer; `/receipt FILE` writes it for `assay verify`
/quit          leave";

/// Talks with a model until the input ends.
pub(crate) async fn run(cx: &Context, args: ChatArgs) -> Result<Outcome, CliError> {
	args.order.sampling.params()?;
	let chain = cx.chain().await?;
	let signer = args.order.key.signer(chain.development, &cx.report)?;
	let mut lines = Lines::open(args.data.as_deref())?;
	let mut session = Session {
		cx,
		args: &args,
		signer,
		system: args.system.clone().filter(|text| !text.is_empty()),
		messages: Vec::new(),
		turns: Vec::new(),
		last: None,
	};
	cx.report.step("ready", "Ask something, or /help.", json!({}));
	loop {
		let line = tokio::select! {
			line = lines.next(cx) => line?,
			interrupted = interrupt::wait() => return Err(interrupted),
		};
		let Some(line) = line else { break };
		match session.line(line.trim()).await {
			Ok(true) => {}
			Ok(false) => break,
			// Somebody who types goes on; a script must not.
			Err(e) if lines.is_terminal() => cx.report.warn(&e.to_string()),
			Err(e) => return Err(e),
		}
	}
	let text = match session.turns.len() {
		0 => "Nothing was asked.".into(),
		n => format!("{n} answers; `assay receipt JOB` shows the receipt of each."),
	};
	Ok(Outcome::new(
		text,
		json!({ "system": session.system, "turns": session.turns }),
	))
}

/// A conversation.
struct Session<'a> {
	cx: &'a Context,
	args: &'a ChatArgs,
	signer: Signer,
	system: Option<String>,
	/// Questions and answers.
	messages: Vec<Value>,
	/// Each answer with its job, for programs.
	turns: Vec<Value>,
	/// The job of the last answer, and what is proved against its executor.
	last: Option<(JobId, Option<Contradiction>)>,
}

impl Session<'_> {
	/// Carries out a line; returns whether the conversation goes on.
	async fn line(&mut self, line: &str) -> Result<bool, CliError> {
		let Some(command) = line.strip_prefix('/') else {
			if !line.is_empty() {
				self.ask(line).await?;
			}
			return Ok(true);
		};
		let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
		let rest = rest.trim();
		match (name, rest) {
			("quit" | "exit", "") => return Ok(false),
			("help", "") => self.say(HELP),
			("system", "") => self.say(self.system.as_deref().unwrap_or("There is no instruction.")),
			("system", text) => {
				self.system = (text != "-").then(|| text.to_owned());
				self.say(if self.system.is_some() {
					"Instructed."
				} else {
					"The instruction is removed."
				});
			}
			("reset", "") => {
				self.messages.clear();
				self.say("The conversation is forgotten.");
			}
			("save", path) if !path.is_empty() => self.save(Path::new(path))?,
			("receipt", path) => self.receipt((!path.is_empty()).then(|| Path::new(path))).await?,
			_ => {
				return Err(CliError::Usage(format!(
					"there is no command `{line}`: /help lists them"
				)))
			}
		}
		Ok(true)
	}

	/// Prints something for people.
	fn say(&self, text: &str) {
		self.cx.report.early(&printable(text));
	}

	/// Returns the instruction and the conversation, with a question at its end if there is one.
	fn whole(&self, question: Option<&str>) -> Vec<Value> {
		let message = |role: &str, content: &str| json!({ "role": role, "content": content });
		let system = self.system.iter().map(|text| message("system", text));
		let question = question.map(|text| message("user", text));
		system.chain(self.messages.iter().cloned()).chain(question).collect()
	}

	/// Asks a question. The conversation grows only if there is an answer.
	async fn ask(&mut self, question: &str) -> Result<(), CliError> {
		let input = conversation(&self.whole(Some(question)))?;
		let requested = order(self.cx, &self.args.order, &self.signer, input).await?;
		let job = requested.job;
		let answered = tokio::select! {
			answered = self.answer(job, requested.t_max) => answered,
			_ = interrupt::wait() => {
				self.cx.report.warn(&format!(
					"job {job} goes on without you, and is paid once it is answered: `assay job {job}` shows where it stands, \
					 `assay receipt {job}` the answer. This conversation goes on without it"
				));
				return Ok(());
			}
		};
		let (answer, contradiction) = answered.map_err(|error| error.of_job(job))?;
		self.messages.push(json!({ "role": "user", "content": question }));
		self.messages.push(json!({ "role": "assistant", "content": answer }));
		self.last = Some((job, contradiction));
		Ok(())
	}

	/// Follows a job to its verdict and shows the answer with the receipt in one line.
	async fn answer(&mut self, job: JobId, t_max: u32) -> Result<(String, Option<Contradiction>), CliError> {
		let cx = self.cx;
		let drafts = drafts(cx, &self.args.order, job).await?;
		let followed = follow(cx, job, t_max, drafts).await?;
		let file = build_file(cx.chain().await?, &followed.at, job, false, None).await?;
		let verdict = render::verdict(file.receipt.verdict);
		if !render::stands(file.receipt.verdict) {
			return Err(CliError::NoAnswer {
				meaning: format!("The verdict is `{verdict}`."),
				job,
			});
		}
		let answer = render::answer(&file);
		self.say_answer(&answer, &followed.draft);
		let claim = file.receipt.claim.as_ref();
		let (agreeing, asked) = claim.map_or((0, 0), |claim| (claim.approvals().count(), claim.verifiers));
		let short = render::short(&job.0);
		let text = format!("{verdict}, {agreeing} of {asked} verifiers agree; job {short}, /receipt shows all of it");
		let facts =
			json!({ "job": job, "verdict": verdict, "agreeing": agreeing, "verifiers": asked, "answer": answer });
		cx.report.step("answered", &text, facts.clone());
		self.turns.push(facts);
		Ok((file.answer().unwrap_or_default().to_owned(), followed.contradiction))
	}

	fn say_answer(&self, answer: &str, draft: &str) {
		self.cx.report.early(&shown(answer, draft));
	}

	fn save(&self, path: &Path) -> Result<(), CliError> {
		let json = serde_json::to_string_pretty(&json!({ "messages": self.whole(None) }));
		let json = json.map_err(|e| CliError::file(path, e))?;
		std::fs::write(path, json).map_err(|e| CliError::file(path, e))?;
		self.say(&format!("Saved to {}.", path.display()));
		Ok(())
	}

	/// Shows the receipt of the last answer, as far as the chain has it, and writes it to a file if one is named.
	async fn receipt(&self, path: Option<&Path>) -> Result<(), CliError> {
		let Some((job, contradiction)) = &self.last else {
			return Err(CliError::Usage(
				"there is no answer yet, and so no receipt: ask something".into(),
			));
		};
		path.map_or(Ok(()), ensure_writable)?;
		let chain = self.cx.chain().await?;
		let finalized = chain.finalized().await?;
		let (at, is_final) = match chain.receipt(&finalized, *job).await? {
			Some(_) => (finalized, true),
			None => (chain.best().await?, false),
		};
		let evidence = contradiction.as_ref();
		let (file, checked) = checked_file(self.cx, &at, *job, is_final, evidence, path).await?;
		let worth = assurance::of_receipt(&file.receipt, &checked, &self.args.order.assume.assumptions());
		self.say(&render::receipt(&file, &checked, &worth, None));
		Ok(())
	}
}

/// Where lines come from: somebody who types, or a file or a pipe.
enum Lines {
	Terminal {
		editor: Option<Box<Editor<(), FileHistory>>>,
		history: PathBuf,
	},
	Piped,
}

impl Lines {
	/// Returns the source of lines. The history of what somebody types is in the data directory.
	fn open(data: Option<&Path>) -> Result<Self, CliError> {
		if !std::io::stdin().is_terminal() {
			return Ok(Self::Piped);
		}
		let history = directory(data, "chat")?.join("history");
		let failed =
			|e: ReadlineError| CliError::Usage(format!("the terminal cannot be used ({e}): pipe the questions"));
		let mut editor = Editor::new().map_err(failed)?;
		// The first time there is no history.
		let _ = editor.load_history(&history);
		let editor = Some(Box::new(editor));
		Ok(Self::Terminal { editor, history })
	}

	fn is_terminal(&self) -> bool {
		matches!(self, Self::Terminal { .. })
	}

	/// Waits for the next line; none at the end of the input.
	async fn next(&mut self, cx: &Context) -> Result<Option<String>, CliError> {
		match self {
			Self::Piped => blocking(read_line).await?,
			Self::Terminal { editor, history } => {
				let Some(mut taken) = editor.take() else {
					return Ok(None);
				};
				let path = history.clone();
				cx.report.hidden();
				let (returned, line) = blocking(move || {
					let line = edit(&mut taken, &path);
					(taken, line)
				})
				.await?;
				*editor = Some(returned);
				line
			}
		}
	}
}

/// Runs what waits for somebody, on a thread of its own: the program can end without it.
async fn blocking<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> Result<R, CliError> {
	let (done, waiting) = oneshot::channel();
	std::thread::spawn(move || {
		let _ = done.send(f());
	});
	waiting
		.await
		.map_err(|_| CliError::File("standard input: its reader failed".into()))
}

fn read_line() -> Result<Option<String>, CliError> {
	let failed = |e: std::io::Error| CliError::File(format!("standard input: {e}"));
	let mut line = String::new();
	let read = std::io::stdin()
		.lock()
		.take(MAX_LINE_BYTES)
		.read_line(&mut line)
		.map_err(failed)?;
	if line.len() as u64 >= MAX_LINE_BYTES {
		return Err(CliError::Usage(format!(
			"a line has more than {MAX_LINE_BYTES} bytes: shorten it"
		)));
	}
	Ok((read > 0).then_some(line))
}

fn edit(editor: &mut Editor<(), FileHistory>, history: &Path) -> Result<Option<String>, CliError> {
	match editor.readline("> ") {
		Ok(line) => {
			let _ = editor.add_history_entry(&line);
			// A history that is not written is no reason to lose a line.
			let _ = editor.save_history(history);
			Ok(Some(line))
		}
		Err(ReadlineError::Interrupted) => Ok(Some("/help".into())),
		Err(ReadlineError::Eof) => Ok(None),
		Err(e) => Err(CliError::File(format!("the terminal: {e}"))),
	}
}
