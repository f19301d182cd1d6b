//! Landlock: which files the process may open.

use crate::{Error, Policy, Protection, Result};
use landlock::{
	path_beneath_rules, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr,
	RulesetCreatedAttr, RulesetStatus, Scope, ABI,
};

/// The rights that are taken away, as far as the kernel knows them: those of the newest version this was tested on. The
/// first version is all it takes to protect files; what later ones add, the filter of system calls denies as well.
const TESTED: ABI = ABI::V7;

/// Lets the calling thread, and those it starts, open what `policy` names and nothing else.
pub(crate) fn restrict(policy: &Policy) -> Result<Protection> {
	let read = AccessFs::ReadFile | AccessFs::ReadDir;
	let device: BitFlags<AccessFs> = read | AccessFs::WriteFile | AccessFs::IoctlDev;
	let restricted = Ruleset::default()
		.handle_access(AccessFs::from_all(TESTED))?
		.handle_access(AccessNet::from_all(TESTED))?
		.scope(Scope::from_all(TESTED))?
		.create()?
		.add_rules(path_beneath_rules(&policy.list, AccessFs::ReadDir))?
		.add_rules(path_beneath_rules(&policy.read, read))?
		.add_rules(path_beneath_rules(&policy.devices, device))?
		.restrict_self()?;
	match (restricted.ruleset, restricted.landlock) {
		(RulesetStatus::FullyEnforced, _) => Ok(Protection::Enforced),
		(RulesetStatus::PartiallyEnforced, _) => Ok(Protection::Partial),
		(RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => Err(Error::LandlockDisabled),
		(RulesetStatus::NotEnforced, _) => Err(Error::NoLandlock),
	}
}
