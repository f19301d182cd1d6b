//! The engine's sandbox: what its operator demands of it, and what the engine reports of it.

use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Whether an engine confines itself before it reads a model or a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxMode {
	/// As far as the kernel can; what is missing is reported.
	#[default]
	Auto,
	/// It must be confined, or it does not run.
	Require,
	/// It has all rights of its user.
	Off,
}

impl FromStr for SandboxMode {
	type Err = String;

	fn from_str(text: &str) -> Result<Self, String> {
		match text {
			"auto" => Ok(Self::Auto),
			"require" => Ok(Self::Require),
			"off" => Ok(Self::Off),
			_ => Err("auto, require or off".into()),
		}
	}
}

impl fmt::Display for SandboxMode {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::Auto => "auto",
			Self::Require => "require",
			Self::Off => "off",
		})
	}
}

/// How far one part of a sandbox is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
	/// As intended.
	#[codec(index = 0)]
	Enforced,
	/// The kernel lacks the newer rights of this part; another part denies the same.
	#[codec(index = 1)]
	Partial,
	/// Not at all, because the kernel cannot, or a container forbids it.
	#[codec(index = 2)]
	Missing,
	/// Not at all, because it was switched off.
	#[codec(index = 3)]
	Off,
}

impl Protection {
	/// Returns whether it is in force, at least in part.
	pub fn is_in_force(self) -> bool {
		matches!(self, Self::Enforced | Self::Partial)
	}
}

/// The sandbox that an engine runs in. In JSON, as `assay_engineStatus` returns it, its fields are in camel case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
	/// The kernel's Landlock: which files it may read.
	pub landlock: Protection,
	/// The filter of its system calls: no network, no program, no other process.
	pub seccomp: Protection,
	/// Whether it and what it would start can gain no privileges.
	pub no_new_privs: bool,
}

impl SandboxStatus {
	/// The status of an engine without a sandbox.
	pub const OFF: Self = Self {
		landlock: Protection::Off,
		seccomp: Protection::Off,
		no_new_privs: false,
	};

	/// Returns whether every part is in force, so that the engine can neither read the node's keys nor reach a network.
	pub fn is_confined(&self) -> bool {
		self.parts().iter().all(|(_, in_force)| *in_force)
	}

	/// Returns each part by its name, and whether it is in force.
	pub fn parts(&self) -> [(&'static str, bool); 3] {
		[
			("landlock", self.landlock.is_in_force()),
			("seccomp", self.seccomp.is_in_force()),
			("no_new_privs", self.no_new_privs),
		]
	}

	/// Returns the names of the parts that are not in force, for a message.
	pub fn missing(&self) -> String {
		let missing = self.parts().into_iter().filter(|(_, in_force)| !in_force);
		missing.map(|(part, _)| part).collect::<Vec<_>>().join(", ")
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const CONFINED: SandboxStatus = SandboxStatus {
		landlock: Protection::Partial,
		seccomp: Protection::Enforced,
		no_new_privs: true,
	};

	#[test]
	fn an_engine_is_confined_only_when_no_part_is_missing() {
		assert!(CONFINED.is_confined() && CONFINED.missing().is_empty());
		for (status, missing) in [
			(SandboxStatus::OFF, "landlock, seccomp, no_new_privs"),
			(
				SandboxStatus {
					landlock: Protection::Missing,
					..CONFINED
				},
				"landlock",
			),
			(
				SandboxStatus {
					seccomp: Protection::Missing,
					..CONFINED
				},
				"seccomp",
			),
			(
				SandboxStatus {
					no_new_privs: false,
					..CONFINED
				},
				"no_new_privs",
			),
		] {
			assert!(!status.is_confined());
			assert_eq!(status.missing(), missing);
		}
	}

	#[test]
	fn modes_are_read_as_they_are_written() {
		for mode in [SandboxMode::Auto, SandboxMode::Require, SandboxMode::Off] {
			assert_eq!(mode.to_string().parse(), Ok(mode));
		}
		for wrong in ["", "on", "OFF", "required"] {
			assert!(wrong.parse::<SandboxMode>().is_err(), "{wrong}");
		}
	}
}
