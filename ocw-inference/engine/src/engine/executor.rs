//! The executor: the schedulers of an engine's models, which take turns, while models come and go.

use super::{
	guarded,
	served::{context_bytes, kv_memory, Served, Standing},
	Engine, Setup,
};
use crate::{
	recheck::{self, Rechecks},
	scheduler::{Completion, SchedulerLimits, MAX_PAUSE},
	sequence::{Executed, Outcome},
	Error, Model, Result,
};
use assay_primitives::{stream::StreamToken, ModelId, WorkId};
use assay_protocol::{ServedModel, Work, WorkResult};
use std::{
	collections::{BTreeMap, HashMap},
	time::Duration,
};

/// What became of a model's directory.
#[derive(Debug)]
pub enum ModelNews {
	/// Its model takes work.
	Serving(String, ServedModel),
	/// It is not served, and why.
	Refused(String, Error),
	/// The last work of its model has ended.
	Stopped(String),
}

/// The schedulers of an engine's models, which take turns.
///
/// What they reject is computed once more with the portable instructions before it is a result.
pub struct Executor {
	models: BTreeMap<ModelId, Served>,
	setup: Setup,
	/// The model of the last step.
	last_served: Option<ModelId>,
	/// The verifications in the schedulers whose rejections must be computed once more.
	claims: HashMap<WorkId, Work>,
	rechecks: Rechecks,
	news: Vec<ModelNews>,
}

impl Executor {
	/// Makes the executor of an engine's models, each with its share of the memory.
	pub(super) fn new(engine: &Engine, share: usize) -> Result<Self> {
		let mut executor = Self {
			models: BTreeMap::new(),
			setup: engine.setup.clone(),
			last_served: None,
			claims: HashMap::new(),
			rechecks: Rechecks::new(),
			news: Vec::new(),
		};
		for (id, loaded) in &engine.models {
			let limits = executor.limits_of(share);
			executor
				.models
				.insert(*id, Served::new(loaded.model.clone(), limits, loaded.tested)?);
		}
		Ok(executor)
	}

	fn limits_of(&self, kv_bytes: usize) -> SchedulerLimits {
		SchedulerLimits {
			kv_bytes,
			..self.setup.limits
		}
	}

	/// Returns the models that take work.
	pub fn served(&self) -> Vec<ServedModel> {
		let serving = self.models.iter().filter(|(_, served)| served.is_serving());
		serving.map(|(id, served)| served.described(*id)).collect()
	}

	/// Returns what became of the models' directories since the last call.
	pub fn take_news(&mut self) -> Vec<ModelNews> {
		std::mem::take(&mut self.news)
	}

	/// Takes in what was read of a directory: a model is served once it has reproduced its known answer, in steps among those of
	/// others. What comes of it is [news](Self::take_news). An error is a GPU's: this process can do no more.
	pub fn add(&mut self, directory: &str, model: Result<Model>) -> Result<()> {
		match model.and_then(|model| self.try_add(directory, model)) {
			Ok(()) => Ok(()),
			Err(error @ Error::Device(_)) => Err(error),
			Err(error) => {
				self.news.push(ModelNews::Refused(directory.into(), error));
				self.spread()
			}
		}
	}

	fn try_add(&mut self, directory: &str, model: Model) -> Result<()> {
		let id = model.id();
		if let Some(served) = self.models.get_mut(&id) {
			return take_over(served, directory, &mut self.news);
		}
		let share = self.make_room(&model)?;
		let model = self.setup.equip(model)?;
		let mut served = Served::new(model, self.limits_of(share), Duration::ZERO)?;
		served.directory = directory.into();
		let begun = guarded("its known answer", || served.begin_trial());
		self.models.insert(id, served);
		self.after_trial_step(id, begun)
	}

	/// Divides the memory for keys and values among the models that are here and another one, and returns its share. An error if
	/// one whole context of any of them does not fit its share, or the weights do not fit a GPU.
	fn make_room(&mut self, model: &Model) -> Result<usize> {
		if model.decoder().is_err() {
			return Ok(0);
		}
		let decoders = self.decoders() + 1;
		let share = self.kv_bytes(Some(model))? / decoders;
		let others = self.models.values().map(Served::model);
		let largest = others.chain([model]).max_by_key(|model| context_bytes(model));
		if let Some(largest) = largest.filter(|largest| context_bytes(largest) > share) {
			return Err(too_little(model, largest, share, decoders));
		}
		self.divide(share)?;
		Ok(share)
	}

	/// Returns the bytes of keys and values of all models together, once a model's weights are on the GPU.
	fn kv_bytes(&self, model: Option<&Model>) -> Result<usize> {
		let Some(free_memory) = &self.setup.free_memory else {
			return Ok(self.setup.limits.kv_bytes);
		};
		let weights = model.map_or(0, |model| model.manifest().weight_bytes());
		let (free, weights) = (free_memory()?, usize::try_from(weights).unwrap_or(usize::MAX));
		let held: usize = self.models.values().filter_map(Served::kv_bytes).sum();
		match (free.saturating_add(held).checked_sub(weights), model) {
			(Some(left), _) => Ok(left / 4 * 3),
			(None, Some(model)) => Err(Error::GpuMemory {
				model: model.manifest().name.clone(),
				id: model.id(),
				needed: weights,
				left: free.saturating_add(held),
			}),
			(None, None) => Ok(0),
		}
	}

	fn divide(&mut self, share: usize) -> Result<()> {
		self.models
			.values_mut()
			.try_for_each(|served| served.set_kv_bytes(share))
	}

	fn decoders(&self) -> usize {
		self.models.values().filter_map(Served::kv_bytes).count()
	}

	/// Divides the memory for keys and values among the models that are here.
	fn spread(&mut self) -> Result<()> {
		let share = self.kv_bytes(None)? / self.decoders().max(1);
		self.divide(share)
	}

	/// Stops serving the model of a directory once its work has ended. An error is a GPU's.
	pub fn retire(&mut self, directory: &str) -> Result<()> {
		let mut models = self.models.iter_mut();
		let Some((id, served)) = models.find(|(_, served)| served.directory == directory) else {
			self.news.push(ModelNews::Stopped(directory.into()));
			return Ok(());
		};
		if served.is_serving() {
			served.standing = Standing::Leaving;
			return Ok(());
		}
		// A test is nobody's work.
		let id = *id;
		self.leave(id)
	}

	/// Takes a work item in. Returns its result if there is nothing to compute for it, or if it can't be computed here.
	pub fn submit(&mut self, id: WorkId, work: Work) -> Option<WorkResult> {
		// Tokenizer and template are untrusted: whatever they do, this work item alone ends.
		let submitted = guarded("reading the prompt", || self.try_submit(id, work));
		submitted.unwrap_or_else(|error| Some(abstained(&error)))
	}

	fn try_submit(&mut self, id: WorkId, work: Work) -> Result<Option<WorkResult>> {
		let served = self.models.get_mut(&work.model).filter(|served| served.is_serving());
		let served = served.ok_or_else(|| Error::Work(format!("model {} is not served here", work.model)))?;
		let is_rechecked = work.claim.is_some() && !served.model().is_portable();
		let claim = is_rechecked.then(|| work.clone());
		if let Some(outcome) = served.submit(id, work)? {
			return Ok(Some(outcome.into()));
		}
		self.claims.extend(claim.map(|claim| (id, claim)));
		Ok(None)
	}

	/// Drops a work item; returns whether it was here.
	pub fn cancel(&mut self, id: &WorkId) -> bool {
		self.claims.remove(id);
		self.models.values_mut().any(|served| served.cancel(id)) || self.rechecks.cancel(id)
	}

	/// Returns whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.rechecks.is_idle()
			&& self.schedulers_are_idle()
			&& self.news.is_empty()
			&& !self.models.values().any(Served::is_leaving)
	}

	fn schedulers_are_idle(&self) -> bool {
		self.models.values().all(Served::is_idle)
	}

	/// Computes one step of the next model that has work: calls `on_token` with each new token of an answer and the text that it
	/// adds, and returns the results that are there. Where only rejections are left, which another thread computes, waits a moment
	/// for one. An error is a GPU's: this process can do no more.
	pub fn step(&mut self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) -> Result<Vec<(WorkId, WorkResult)>> {
		let mut results = Vec::new();
		if let Some((model, completed)) = self.step_next(on_token) {
			for (id, result) in completed {
				match result {
					Err(error @ Error::Device(_)) => return Err(error),
					result if self.models.get(&model).is_some_and(Served::is_on_trial) => self.tried(model, result)?,
					result => results.extend(self.completed(id, result).map(|result| (id, result))),
				}
			}
		}
		self.remove_left()?;
		let wait = results.is_empty() && self.news.is_empty() && self.schedulers_are_idle();
		for (id, result) in self.rechecks.results(wait) {
			let result = match result {
				Ok(finding) => WorkResult::Verified { finding },
				Err(error) => {
					log::error!("work {id}: a rejection could not be computed once more and is held back: {error}");
					abstained(&error)
				}
			};
			results.push((id, result));
		}
		Ok(results)
	}

	/// Computes one step of the next model that has work, and returns which that is and what is complete. While answers are being
	/// generated, by any model, all together compute no longer than [`MAX_PAUSE`] between two tokens of one.
	fn step_next(&mut self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) -> Option<(ModelId, Vec<Completion>)> {
		let had_its_turn = |(id, _): &(&ModelId, &mut Served)| self.last_served.is_some_and(|last| **id <= last);
		let decoding = self.models.values().any(Served::is_decoding);
		let mut busy: Vec<_> = self.models.iter_mut().filter(|(_, served)| !served.is_idle()).collect();
		busy.sort_by_key(had_its_turn);
		let pause = decoding.then(|| MAX_PAUSE / u32::try_from(busy.len()).unwrap_or(u32::MAX).max(1));
		let (id, served) = busy.into_iter().next()?;
		self.last_served = Some(*id);
		// Nobody reads along with a test.
		let completed = if served.is_on_trial() {
			served.step(pause, &mut |_, _| ())
		} else {
			served.step(pause, on_token)
		};
		Some((*id, completed))
	}

	/// Takes in what a step of a model's test gave.
	fn tried(&mut self, id: ModelId, result: Result<Outcome>) -> Result<()> {
		match self.models.get_mut(&id) {
			Some(served) => {
				let went_on = guarded("its known answer", || served.go_on_trial(result));
				self.after_trial_step(id, went_on)
			}
			None => Ok(()),
		}
	}

	/// Reports a model whose test is over, and removes it if it has failed.
	fn after_trial_step(&mut self, id: ModelId, went_on: Result<()>) -> Result<()> {
		let Some(served) = self.models.get(&id) else {
			return Ok(());
		};
		match went_on {
			Ok(()) => {
				if served.is_serving() {
					let news = ModelNews::Serving(served.directory.clone(), served.described(id));
					self.news.push(news);
				}
				Ok(())
			}
			Err(error) => {
				let error = self.setup.judge(served.model(), error);
				if let Error::Device(_) = error {
					return Err(error);
				}
				let directory = served.directory.clone();
				self.news.push(ModelNews::Refused(directory, error));
				self.remove(id)
			}
		}
	}

	/// Removes the models whose last work has ended.
	fn remove_left(&mut self) -> Result<()> {
		let left = |(_, served): &(&ModelId, &Served)| served.is_leaving() && served.is_idle();
		let left: Vec<ModelId> = self.models.iter().filter(left).map(|(id, _)| *id).collect();
		left.into_iter().try_for_each(|id| self.leave(id))
	}

	/// Removes a model that was to leave.
	fn leave(&mut self, id: ModelId) -> Result<()> {
		let directory = self.models.get(&id).map(|served| served.directory.clone());
		self.news.extend(directory.map(ModelNews::Stopped));
		self.remove(id)
	}

	/// Removes a model. The others may have its memory.
	fn remove(&mut self, id: ModelId) -> Result<()> {
		drop(self.models.remove(&id));
		self.spread()
	}

	/// Returns the result of a work item that left its scheduler, unless it is a rejection to compute once more.
	fn completed(&mut self, id: WorkId, result: Result<Outcome>) -> Option<WorkResult> {
		let work = self.claims.remove(&id);
		let rechecked = match (&result, work) {
			(Ok(Outcome::Verified(found)), Some(work)) => match self.models.get(&work.model) {
				Some(served) if recheck::is_needed(served.model(), found) => {
					Some(self.rechecks.add(id, served.model().clone(), work, *found))
				}
				_ => None,
			},
			_ => None,
		};
		match rechecked {
			Some(Ok(())) => None,
			Some(Err(error)) => Some(abstained(&error)),
			None => Some(result.map_or_else(|error| abstained(&error), WorkResult::from)),
		}
	}
}

/// Returns the error of a model beside which one context of the largest would not fit the share of each.
fn too_little(model: &Model, largest: &Model, share: usize, decoders: usize) -> Error {
	if largest.id() == model.id() {
		return kv_memory(model.id(), model, share, decoders);
	}
	let needed = context_bytes(largest);
	Error::KvShare {
		model: model.manifest().name.clone(),
		id: model.id(),
		largest: largest.manifest().name.clone(),
		needed,
		share,
		enough: needed.saturating_mul(decoders),
	}
}

/// Has a model that is here already served from another directory, if its own is gone.
fn take_over(served: &mut Served, directory: &str, news: &mut Vec<ModelNews>) -> Result<()> {
	if !served.is_leaving() {
		return Err(Error::Work(format!(
			"the model in {} is the same; remove one of them",
			served.directory
		)));
	}
	let before = std::mem::replace(&mut served.directory, directory.into());
	served.standing = Standing::Serving;
	news.push(ModelNews::Stopped(before));
	news.push(ModelNews::Serving(
		directory.into(),
		served.described(served.model().id()),
	));
	Ok(())
}

impl From<Outcome> for WorkResult {
	fn from(outcome: Outcome) -> Self {
		match outcome {
			Outcome::Executed(Executed { output, trace_root }) => Self::Executed { output, trace_root },
			Outcome::Verified(finding) => Self::Verified { finding },
		}
	}
}

pub(super) fn abstained(error: &Error) -> WorkResult {
	WorkResult::Abstained {
		reason: error.to_string(),
	}
}
