//! Writes what the simulation measures.
use assay_primitives::assurance;
use assay_simulate::{chain::Policy, random::Effort, strategies::*};
fn main() {
	let jobs = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(100_000);
	let effort = Effort { jobs, seed: 1 };
	for x in [0.05, 0.1, 0.2, 0.3] {
		let c = |p| Cartel { alpha: 0.1, blocks: x, policy: p };
		let n = |m: random::Mean| format!("{:.3}±{:.3}", m.value() / 0.01, m.error() / 0.01);
		use assay_simulate::random;
		println!("x {x} E[N]: pub {} wh {} timed pub {} wh {}", n(blind::passes(effort, c(Policy::Publish), 2)), n(blind::passes(effort, c(Policy::Withhold), 2)), n(timing::passes(effort, c(Policy::Publish), 2, 40)), n(timing::passes(effort, c(Policy::Withhold), 2, 40)));
		for k in [1u32, 2, 3] { println!("  k {k} timed wh ratio {:.3}", timing::passes(effort, Cartel::new(x, Policy::Withhold), k, 40).value() / x.powi(k as i32)); }
		for p in [Policy::Publish, Policy::Withhold] {
		let a = audits::caught(effort, Cartel::new(x, p));
		println!("  audit timed / q(1-alpha) {:.4} ±{:.4}", a.value()/(0.05*(1.0-x)), a.error()/(0.05*(1.0-x)));
		}
		for d in [2,3,4] { let f = foreknowledge::captured(effort.divided(4), Cartel::new(x, Policy::Publish), 2, 40, d); println!("  f delay {d} k 2 {:.6} ±{:.6}", f.value(), f.error()); }
		for t in [1u8,2,3,4] { let s = silence::passes(effort.divided(2), Cartel::new(x, Policy::Withhold), 2, t);
		let q = assurance::passes(x, 0.0, 2, t);
		println!("  silence t {t} {:.5} / Q^k {:.3}", s.value(), s.value()/q); }
	}
}
