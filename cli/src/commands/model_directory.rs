//! `assay model import|check|run`, and `show` of a directory: models without a chain.

use super::Context;
use crate::{
	args::{ImportArgs, RunArgs},
	error::CliError,
	output::{Outcome, Transfer},
	render,
};
use assay_engine::{generate, known_answer, Model};
use assay_import::{import_with, record_known_answer, Error, ImportOptions, Progress};
use assay_model_folder::manifest::{Defaults, ManifestFile};
use assay_primitives::{job::Output, Finding, FinishReason, ModelId, TraceRoot};
use serde_json::{json, Value};
use std::{
	ops::ControlFlow,
	path::Path,
	sync::{
		atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
		Arc, Mutex, PoisonError,
	},
	time::{Duration, Instant},
};
use tokio::{
	signal::unix::{signal, Signal, SignalKind},
	sync::oneshot,
};

/// Time that an import has to end after Ctrl-C before it is abandoned, which is safe at any point.
const INTERRUPT_GRACE: Duration = Duration::from_secs(3);

/// State that an import's thread and the command that watches it share.
#[derive(Default)]
struct ImportState {
	done: AtomicU64,
	total: AtomicU64,
	measuring: AtomicBool,
	answering: AtomicBool,
	stop: AtomicBool,
	warnings: Mutex<Vec<String>>,
}

impl ImportState {
	fn on_progress(&self, progress: Progress) -> ControlFlow<()> {
		match progress {
			Progress::Warning(text) => self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text),
			Progress::Converting { done, total } => {
				self.total.store(total, Relaxed);
				self.done.store(done, Relaxed);
			}
			Progress::Measuring => self.measuring.store(true, Relaxed),
			Progress::Answering => self.answering.store(true, Relaxed),
		}
		if self.stop.load(Relaxed) {
			ControlFlow::Break(())
		} else {
			ControlFlow::Continue(())
		}
	}

	/// Returns the warnings that were not shown yet.
	fn take_warnings(&self) -> Vec<String> {
		std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
	}
}

/// Imports a source into a model directory.
pub(crate) async fn import(cx: &Context, args: ImportArgs) -> Result<Outcome, CliError> {
	let options = ImportOptions {
		name: args.name.clone(),
		source: args.source_url,
		revision: args.revision,
		license: args.license,
		parent: args.parent,
		defaults: Defaults {
			temperature: args.temperature,
			max_tokens: args.max_tokens,
			..Defaults::default()
		},
		weights: args.weights,
		context_length: args.context_length,
		chat_template: args.chat_template,
		without_answer: args.without_answer,
	};
	// Before the import starts, so that no Ctrl-C is lost.
	let interrupts = signal(SignalKind::interrupt()).map_err(|e| CliError::Model(format!("Ctrl-C: {e}")))?;
	let state = Arc::new(ImportState::default());
	let (send, receive) = oneshot::channel();
	let (shared, out) = (state.clone(), args.out.clone());
	// A thread of its own, so that the program can end without it.
	std::thread::spawn(move || {
		let done = import_with(&args.source, &args.out, &options, &mut |progress| {
			shared.on_progress(progress)
		});
		send.send(done).ok();
	});
	let id = watch(cx, &state, receive, interrupts).await?;
	let shown = out.display();
	let next = if args.without_answer {
		format!("`assay model check --record {shown}`, on a machine with memory for all of it")
	} else {
		format!("`assay model run {shown} \"Hello\"`, then `assay model register {shown} …`")
	};
	let text = format!("{} is imported as {id}\nIt is in {shown}. Next: {next}.", args.name);
	let json = json!({ "model": id, "name": args.name, "directory": out });
	Ok(Outcome::new(text, json))
}

/// Reports an import's progress, and ends it at Ctrl-C.
async fn watch(
	cx: &Context,
	state: &ImportState,
	mut done: oneshot::Receiver<Result<ModelId, Error>>,
	mut interrupts: Signal,
) -> Result<ModelId, CliError> {
	let mut transfer = Transfer::default();
	let mut tick = tokio::time::interval(Duration::from_millis(100));
	let (mut measuring, mut answering) = (false, false);
	let mut stopped: Option<Instant> = None;
	loop {
		tokio::select! {
			result = &mut done => {
				state.take_warnings().iter().for_each(|text| cx.report.warn(text));
				return match result {
					Ok(Ok(id)) => Ok(id),
					Ok(Err(e @ Error::Interrupted { .. })) => Err(CliError::Interrupted(e.to_string())),
					Ok(Err(e)) => Err(CliError::Model(e.to_string())),
					Err(_) => Err(CliError::Model("the import ended without a result; run it again: it goes on where it was".into())),
				}
			}
			Some(()) = interrupts.recv(), if stopped.is_none() => {
				state.stop.store(true, Relaxed);
				stopped = Some(Instant::now());
			}
			_ = tick.tick() => {
				if stopped.is_some_and(|at| at.elapsed() > INTERRUPT_GRACE) {
					return Err(CliError::Interrupted("stopped; the same command goes on where this one was".into()));
				}
				state.take_warnings().iter().for_each(|text| cx.report.warn(text));
				let total = state.total.load(Relaxed);
				if state.answering.load(Relaxed) {
					if !std::mem::replace(&mut answering, true) {
						cx.report.step("converted", "converted; now it runs once for its known answer", json!({ "bytes": total }));
					}
				} else if state.measuring.load(Relaxed) && !std::mem::replace(&mut measuring, true) {
					cx.report.step(
						"first_pass",
						"converted to int8; now that runs over a text, to measure which weights matter most",
						json!({ "bytes": total }),
					);
				} else if total > 0 {
					cx.report.bytes(&mut transfer, state.done.load(Relaxed), total);
				}
			}
		}
	}
}

/// Checks a model directory: every byte, and the known answer.
pub(crate) fn check(cx: &Context, directory: &Path, record: bool) -> Result<Outcome, CliError> {
	let refused = |e| CliError::model_directory(directory, e);
	cx.report.waiting("reading and checking");
	if record {
		record_known_answer(directory).map_err(|e| CliError::model_directory(directory, e))?;
		cx.report.step("recorded", "the known answer is recorded", Value::Null);
	}
	let model = Model::load(directory).map_err(refused)?;
	let (bytes, took) = (model.manifest().weight_bytes(), model.load_time());
	let speed = bytes as f64 / took.as_secs_f64().max(1e-6) / 1e6;
	cx.report.step(
		"checked",
		&format!(
			"every byte is as in the manifest: {} of weights in {:.2} s, {speed:.0} MB/s",
			render::bytes(bytes),
			took.as_secs_f64()
		),
		json!({ "bytes": bytes, "mb_per_second": speed.round() }),
	);
	cx.report.waiting("computing the known answer");
	known_answer::test(&model).map_err(refused)?;
	let how = match model.encoder() {
		Ok(_) => "The vector of the known text is reproduced.",
		Err(_) => "The known answer is reproduced, by decoding and by prefill: this machine may serve this model.",
	};
	let text = format!("{} {}\n{how}", model.id(), model.manifest().name);
	Ok(Outcome::new(
		text,
		json!({
			"model": model.id(),
			"name": model.manifest().name,
			"bytes": bytes,
			"seconds": took.as_secs_f64(),
			"mb_per_second": speed.round(),
			"known_answer": true,
		}),
	))
}

/// Shows the contents of a model directory; reads only its manifest.
pub(crate) fn show(directory: &Path) -> Result<Outcome, CliError> {
	let file = ManifestFile::read(directory).map_err(|e| CliError::model_directory(directory, e))?;
	let json = json!({
		"model": file.model_id,
		"name": file.manifest.name,
		"parameters": file.manifest.parameters(),
		"weight_bytes": file.manifest.weight_bytes(),
		"known_answer": file.known_answer.is_some(),
		"manifest": file.manifest,
	});
	Ok(Outcome::new(render::manifest(&file), json))
}

/// Runs a model directory on a prompt.
pub(crate) fn run(cx: &Context, args: &RunArgs) -> Result<Outcome, CliError> {
	let params = args.sampling.params()?;
	let seed = args.seed.map_or([0; 32], |seed| seed.0);
	let failed = |e| CliError::model_directory(&args.directory, e);
	cx.report.waiting("reading and checking");
	let model = Model::load(&args.directory).map_err(failed)?;
	if model.encoder().is_ok() {
		return embed(cx, &model, &args.prompt).map_err(failed);
	}
	args.sampling.warn_of_special(&cx.report, |stop| model.is_special(stop));
	cx.report.waiting("reading the prompt");
	let started = Instant::now();
	let (mut shown, mut first) = (0, None);
	let executed = generate::execute_with(&model, &args.prompt, &params, seed, &mut |text| {
		first.get_or_insert_with(|| started.elapsed());
		cx.report.stream(text.get(shown..).unwrap_or_default());
		shown = shown.max(text.len());
	})
	.map_err(failed)?;
	let took = started.elapsed();
	if shown > 0 {
		cx.report.stream("\n");
	}
	let speeds = Speeds::new(&executed.output, first.unwrap_or(took), took);
	report_answer(cx, &executed.output, &speeds);
	let verify_share = if args.no_verify {
		None
	} else {
		let started = Instant::now();
		let found = generate::verify_once(&model, &args.prompt, &params, seed, &executed.output).map_err(failed)?;
		Some(report_finding(cx, found, executed.trace_root, started.elapsed(), took)?)
	};
	let Output {
		input_tokens,
		tokens,
		finish,
		text,
	} = &executed.output;
	let json = json!({
		"model": model.id(),
		"name": model.manifest().name,
		"text": String::from_utf8_lossy(text),
		"finish": finish,
		"prompt_tokens": input_tokens,
		"answer_tokens": tokens.len(),
		"prompt_tokens_per_second": speeds.prompt,
		"answer_tokens_per_second": speeds.answer,
		"trace_root": executed.trace_root,
		"verify_share": verify_share,
	});
	Ok(Outcome::new("", json))
}

/// Reports what a verification found, and returns its share of the time that the execution took.
fn report_finding(
	cx: &Context,
	found: Finding,
	trace_root: TraceRoot,
	verified_in: Duration,
	executed_in: Duration,
) -> Result<f64, CliError> {
	if found != (Finding::Confirm { trace_root }) {
		return Err(CliError::NotVerified(format!(
			"Prefill does not confirm the result of decoding: {found:?}. Please report this as a bug"
		)));
	}
	let share = verified_in.as_secs_f64() / executed_in.as_secs_f64().max(1e-9);
	let text = format!("verified by one prefill, in {:.0} % of the time", share * 100.0);
	cx.report.step("verified", &text, json!({ "share": share }));
	Ok(share)
}

/// Embeds a text.
fn embed(cx: &Context, model: &Model, text: &str) -> Result<Outcome, assay_engine::Error> {
	let started = Instant::now();
	let vector = model.embed(text)?;
	let took = started.elapsed().as_secs_f64();
	let summary = format!("a vector of {} numbers in {:.1} ms", vector.len(), took * 1e3);
	cx.report.step("embedded", &summary, json!({ "seconds": took }));
	let json = json!({
		"model": model.id(),
		"name": model.manifest().name,
		"embedding": vector,
		"seconds": took,
	});
	Ok(Outcome::new(render::vector(&vector), json))
}

/// Tokens per second.
struct Speeds {
	prompt: f64,
	/// None for an answer of one token, which the prompt's pass gives.
	answer: Option<f64>,
}

impl Speeds {
	fn new(output: &Output, first: Duration, all: Duration) -> Self {
		let rate = |tokens: f64, time: Duration| tokens / time.as_secs_f64().max(1e-9);
		let later = output.tokens.len().saturating_sub(1);
		Self {
			prompt: rate(f64::from(output.input_tokens), first),
			answer: (later > 0).then(|| rate(later as f64, all.saturating_sub(first))),
		}
	}
}

fn report_answer(cx: &Context, output: &Output, speeds: &Speeds) {
	if let FinishReason::Failed(failure) = output.finish {
		cx.report.warn(render::no_answer(failure));
	}
	let (tokens, answers) = (output.input_tokens, output.tokens.len());
	let rate = speeds
		.answer
		.map_or(String::new(), |rate| format!(" at {rate:.1} tokens/s"));
	cx.report.step(
		"answered",
		&format!(
			"prompt: {tokens} tokens at {:.1} tokens/s; answer: {answers} tokens{rate}; {}",
			speeds.prompt,
			render::finish(output.finish)
		),
		json!({ "prompt_tokens": tokens, "answer_tokens": answers }),
	);
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_first_token_counts_as_the_prompts() {
		let output = Output {
			input_tokens: 30,
			tokens: vec![1; 11].try_into().unwrap(),
			text: Vec::new().try_into().unwrap(),
			finish: FinishReason::Length,
		};
		let speeds = Speeds::new(&output, Duration::from_secs(3), Duration::from_secs(8));
		assert!((speeds.prompt - 10.0).abs() < 1e-9);
		assert!((speeds.answer.unwrap() - 2.0).abs() < 1e-9);
	}

	#[test]
	fn an_import_stops_at_its_next_progress_report() {
		let state = ImportState::default();
		let step = Progress::Converting { done: 1, total: 2 };
		assert!(state.on_progress(step.clone()).is_continue());
		state.stop.store(true, Relaxed);
		assert!(state.on_progress(step).is_break());
		assert_eq!((state.done.load(Relaxed), state.total.load(Relaxed)), (1, 2));
	}
}
