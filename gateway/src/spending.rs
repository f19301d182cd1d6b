//! Limits of what requests may spend, by request and by day; today's spending outlives a restart.

use crate::{
	config::{SpendingLimits, StartError},
	error::ApiError,
	network::{IdempotencyKey, Quote},
};
use assay_primitives::Balance;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::{
	collections::BTreeMap,
	fs::{self, File},
	io::{self, Write},
	path::{Path, PathBuf},
	time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::Mutex;

/// Target of this module's log lines.
const LOG_TARGET: &str = "assay::gateway";
const DAY_SECONDS: u64 = 86_400;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What was spent, and what may be.
pub(crate) struct Spending {
	per_request: Option<Balance>,
	/// The day's limit and its file; none if there is no such limit.
	day: Option<DayLimit>,
}

struct DayLimit {
	limit: Balance,
	file: PathBuf,
	today: Mutex<Today>,
}

/// What was spent on a day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Today {
	/// Days since 1970, UTC.
	day: u64,
	/// Fees that are known.
	#[serde(with = "assay_primitives::decimal")]
	spent: Balance,
	/// Fee ceilings of jobs whose fees are not known, by their keys.
	open: BTreeMap<String, Amount>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Amount(#[serde(with = "assay_primitives::decimal")] Balance);

impl Today {
	/// Begins anew if the day is over. A clock that goes back does not give the money back.
	fn turn(&mut self, day: u64) {
		if day > self.day {
			*self = Self { day, ..Self::default() };
		}
	}

	/// Returns what is spent or may still be.
	fn total(&self) -> Balance {
		self.open
			.values()
			.fold(self.spent, |sum, amount| sum.saturating_add(amount.0))
	}
}

impl Spending {
	/// Reads what was spent today.
	pub(crate) fn load(limits: &SpendingLimits) -> Result<Self, StartError> {
		let day = match (limits.per_day, &limits.file) {
			(Some(limit), Some(file)) => {
				let unusable = |reason: String| StartError::SpendingFile {
					file: file.clone(),
					reason,
				};
				let mut today = read(file).map_err(unusable)?;
				today.turn(days());
				// Better now than before the first payment.
				write(file, &today).map_err(|e| unusable(e.to_string()))?;
				Some(DayLimit {
					limit,
					file: file.clone(),
					today: Mutex::new(today),
				})
			}
			_ => None,
		};
		Ok(Self {
			per_request: limits.per_request,
			day,
		})
	}

	/// Counts a fee ceiling before the job is requested, or refuses it.
	pub(crate) async fn reserve(&self, key: &IdempotencyKey, quote: &Quote) -> Result<(), ApiError> {
		let Quote {
			fee_ceiling: ceiling,
			deposit,
		} = *quote;
		if let Some(limit) = self.per_request.filter(|limit| ceiling > *limit) {
			return Err(quota(
				StatusCode::PAYMENT_REQUIRED,
				format!(
					"this request may cost {ceiling} base units, besides a deposit of {deposit} that comes back, and the limit of a \
					 request is {limit}; lower `max_tokens`, \
					 shorten the conversation, ask for fewer verifiers, or raise the limit"
				),
			));
		}
		let Some(day) = &self.day else { return Ok(()) };
		let mut today = day.today.lock().await;
		today.turn(days());
		// The same request may come twice at once; it is paid once.
		let before = today.open.get(key.as_str()).copied();
		let more = ceiling.saturating_sub(before.map_or(0, |amount| amount.0));
		let total = today.total().saturating_add(more);
		if total > day.limit {
			return Err(ApiError {
				retry_after: Some(seconds_left()),
				..quota(
					StatusCode::TOO_MANY_REQUESTS,
					format!(
						"with this request {total} base units may be spent today, and the limit of a day is {}; wait until \
						 midnight UTC, or raise the limit",
						day.limit
					),
				)
			});
		}
		if more == 0 {
			return Ok(());
		}
		today.open.insert(key.as_str().into(), Amount(ceiling));
		let saved = day.save(&today).await;
		saved.map_err(|e| {
			match before {
				Some(amount) => today.open.insert(key.as_str().into(), amount),
				None => today.open.remove(key.as_str()),
			};
			ApiError::unavailable(
				"spending_not_recorded",
				format!("today's spending cannot be recorded: {e}; nothing was spent"),
			)
		})
	}

	/// Counts a fee instead of its ceiling, once it is known; 0 if the job was not requested.
	pub(crate) async fn settle(&self, key: &IdempotencyKey, fee: Balance) {
		let Some(day) = &self.day else { return };
		let mut today = day.today.lock().await;
		if today.open.remove(key.as_str()).is_none() {
			return;
		}
		today.spent = today.spent.saturating_add(fee);
		if let Err(e) = day.save(&today).await {
			log::error!(target: LOG_TARGET, "Today's spending cannot be recorded: {e}; free some space, or requests will be refused");
		}
	}
}

impl DayLimit {
	async fn save(&self, today: &Today) -> io::Result<()> {
		let (file, today) = (self.file.clone(), today.clone());
		let written = tokio::task::spawn_blocking(move || write(&file, &today)).await;
		written.unwrap_or_else(|e| Err(io::Error::other(e)))
	}
}

fn quota(status: StatusCode, message: String) -> ApiError {
	ApiError::new(status, "insufficient_quota", message)
}

fn now() -> u64 {
	SystemTime::now()
		.duration_since(UNIX_EPOCH)
		.map_or(0, |since| since.as_secs())
}

/// Returns the days since 1970, UTC.
fn days() -> u64 {
	now() / DAY_SECONDS
}

/// Returns the seconds until midnight UTC.
fn seconds_left() -> u64 {
	DAY_SECONDS.saturating_sub(now() % DAY_SECONDS)
}

fn read(file: &Path) -> Result<Today, String> {
	match fs::metadata(file) {
		Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Today::default()),
		Err(e) => return Err(e.to_string()),
		Ok(facts) if facts.len() > MAX_FILE_BYTES => return Err("it is too large".into()),
		Ok(_) => {}
	}
	let bytes = fs::read(file).map_err(|e| e.to_string())?;
	serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}

/// Replaces the file, so that a crash leaves the old one or the new one.
fn write(file: &Path, today: &Today) -> io::Result<()> {
	let mut name = file.file_name().unwrap_or_default().to_os_string();
	name.push(".new");
	let new = file.with_file_name(name);
	let mut out = File::create(&new)?;
	out.write_all(&serde_json::to_vec(today)?)?;
	out.sync_all()?;
	fs::rename(&new, file)?;
	match file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
		Some(parent) => File::open(parent)?.sync_all(),
		None => Ok(()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn limits(dir: &Path) -> SpendingLimits {
		SpendingLimits {
			per_request: Some(60),
			per_day: Some(100),
			file: Some(dir.join("spending.json")),
		}
	}

	fn quote(fee_ceiling: Balance) -> Quote {
		Quote {
			fee_ceiling,
			deposit: 1,
		}
	}

	fn key(text: &str) -> IdempotencyKey {
		IdempotencyKey::parse(text).unwrap()
	}

	#[tokio::test]
	async fn what_was_spent_today_outlives_a_restart() {
		let dir = tempfile::tempdir().unwrap();
		let spending = Spending::load(&limits(dir.path())).unwrap();
		spending.reserve(&key("a"), &quote(50)).await.unwrap();
		spending.settle(&key("a"), 30).await;
		spending.reserve(&key("b"), &quote(50)).await.unwrap();
		let again = Spending::load(&limits(dir.path())).unwrap();
		let refused = again.reserve(&key("c"), &quote(21)).await.unwrap_err();
		assert_eq!((refused.status.as_u16(), refused.code), (429, "insufficient_quota"));
		assert!(refused.retry_after.unwrap() <= DAY_SECONDS);
		again.reserve(&key("c"), &quote(20)).await.unwrap();
		again.settle(&key("c"), 0).await;
		again.reserve(&key("d"), &quote(20)).await.unwrap();
	}

	#[tokio::test]
	async fn a_request_above_its_limit_is_refused_without_a_trace() {
		let dir = tempfile::tempdir().unwrap();
		let spending = Spending::load(&limits(dir.path())).unwrap();
		assert_eq!(spending.reserve(&key("a"), &quote(61)).await.unwrap_err().status, 402);
		spending.reserve(&key("b"), &quote(60)).await.unwrap();
		spending.reserve(&key("c"), &quote(40)).await.unwrap();
	}

	#[tokio::test]
	async fn nothing_is_spent_that_cannot_be_recorded() {
		let dir = tempfile::tempdir().unwrap();
		let spending = Spending::load(&limits(dir.path())).unwrap();
		fs::remove_dir_all(dir.path()).unwrap();
		assert_eq!(
			spending.reserve(&key("a"), &quote(50)).await.unwrap_err().code,
			"spending_not_recorded"
		);
		fs::create_dir(dir.path()).unwrap();
		spending.reserve(&key("b"), &quote(60)).await.unwrap();
	}

	#[test]
	fn a_damaged_file_is_an_error_and_no_new_day() {
		let dir = tempfile::tempdir().unwrap();
		fs::write(dir.path().join("spending.json"), b"{\"day\":1").unwrap();
		assert!(matches!(
			Spending::load(&limits(dir.path())),
			Err(StartError::SpendingFile { .. })
		));
	}

	#[test]
	fn a_new_day_begins_at_zero_and_an_old_one_does_not_return() {
		let mut today = Today {
			day: 7,
			spent: 5,
			open: BTreeMap::new(),
		};
		today.turn(6);
		assert_eq!((today.day, today.total()), (7, 5));
		today.turn(8);
		assert_eq!((today.day, today.total()), (8, 0));
	}
}
