//! What changes the storage of the last release into this one's.
//!
//! A pallet that changes the encoding or the place of something stored raises its storage version and has the change in
//! its own `migrations.rs`, as a `frame_support::migrations::VersionedMigration`: that runs if the version on chain is
//! the old one, and sets the new one, so that running it again changes nothing. Its name goes into [`Migrations`], and
//! [`VERSION`](crate::VERSION)'s `spec_version` is raised, without which nothing runs.
//!
//! Migrations run in one block, before anything else in it: whatever they do must be bounded and fit. `make upgrade-test`
//! rehearses them on a chain of the last release, whose commit is in `runtime/last-release`, with jobs open.

use crate::Runtime;

/// The migrations from the last release, in the order in which they run: models get their listings before the jobs that
/// name them.
pub type Migrations = (
	pallet_models::migrations::V1ToV2<Runtime>,
	pallet_providers::migrations::V1ToV2<Runtime>,
	pallet_providers::migrations::V2ToV3<Runtime>,
	pallet_jobs::migrations::V1ToV2<Runtime, pallet_models::migrations::OldestListing<Runtime>>,
	pallet_jobs::migrations::V2ToV3<Runtime>,
	pallet_verification::migrations::V1ToV2<Runtime>,
);
