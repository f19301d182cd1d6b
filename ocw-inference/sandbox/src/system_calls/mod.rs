//! seccomp: which system calls the process may make.
//!
//! Everything is allowed that is not denied, because one filter has to hold for each C library, each kernel and the driver
//! of a GPU, whose system calls change with every release. It still fails closed: what a newer kernel adds is denied until it
//! has been looked at here, as [`NEWEST`] says.

mod denied;

use crate::{Policy, Protection, Result};
use denied::{Arguments, ABSENT, DENIED, DENIED_ON_CPU};
use seccompiler::{
	apply_filter_all_threads, sock_filter, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
	SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// The newest system call that the lists below take into account: `file_setattr` of Linux 6.17. Numbers this high mean the
/// same on all architectures. Those of x86-64's 32-bit form, x32, are higher still.
const NEWEST: u32 = 469;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters the system calls of all threads, for good.
pub(crate) fn filter(policy: &Policy) -> Result<Protection> {
	for program in programs(policy.gpu)? {
		apply_filter_all_threads(&program)?;
	}
	Ok(Protection::Enforced)
}

/// Compiles the filters: of what is absent, and of what is denied. No call is in both.
fn programs(gpu: bool) -> Result<[BpfProgram; 2]> {
	let arch = TargetArch::try_from(std::env::consts::ARCH)?;
	let compile = |rules, errno: i32| -> Result<BpfProgram> {
		// Positive by definition.
		let action = SeccompAction::Errno(errno.unsigned_abs());
		Ok(SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into()?)
	};
	let mut absent = newer_are_absent();
	let numbers = ABSENT.iter().map(|number| (*number, Vec::new()));
	absent.extend(compile(numbers.collect(), libc::ENOSYS)?);
	Ok([absent, compile(denied_rules(gpu)?, libc::EPERM)?])
}

/// The program's beginning, which seccompiler has no words for: system calls above [`NEWEST`] do not exist.
fn newer_are_absent() -> BpfProgram {
	let statement = |code: u32, jt, jf, k| sock_filter {
		// The instructions' codes are below 256.
		code: code as u16,
		jt,
		jf,
		k,
	};
	// Jumps are relative, so what follows need not know of these three. The number is the first field of what is filtered.
	vec![
		statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
		statement(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 0, 1, NEWEST),
		statement(
			libc::BPF_RET | libc::BPF_K,
			0,
			0,
			libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
		),
	]
}

/// Returns the calls that fail with `EPERM`.
fn denied_rules(gpu: bool) -> Result<Rules> {
	let mut rules = Rules::new();
	// An empty list of rules denies a call whatever its arguments are.
	for number in DENIED {
		rules.insert(*number, Vec::new());
	}
	if !gpu {
		for number in DENIED_ON_CPU {
			rules.insert(*number, Vec::new());
		}
	}
	for (number, arguments) in denied::by_arguments(gpu) {
		rules.entry(number).or_default().push(rule(&arguments)?);
	}
	Ok(rules)
}

/// Returns the rule that matches when all conditions on arguments do.
fn rule(arguments: &Arguments) -> Result<SeccompRule> {
	let conditions: std::result::Result<Vec<_>, _> = arguments
		.iter()
		.map(|(index, operator, value)| {
			SeccompCondition::new(*index, SeccompCmpArgLen::Dword, operator.clone(), u64::from(*value))
		})
		.collect();
	Ok(SeccompRule::new(conditions?)?)
}

/// Matches arguments whose bits `mask` are equal to the value.
fn bits(mask: u32) -> SeccompCmpOp {
	SeccompCmpOp::MaskedEq(u64::from(mask))
}

#[cfg(test)]
mod tests;
