//! Writes what the simulation measures.
use assay_primitives::assurance;
use assay_simulate::{chain::Policy, random::Effort, strategies::{audits, blind, foreknowledge, timing, Cartel}};
fn main() {
	let jobs = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(100_000);
	let effort = Effort { jobs, seed: 1 };
	for x in [0.05, 0.1, 0.2, 0.3] {
		for k in [1u32, 2, 3] {
			let t = std::time::Instant::now();
			let p = blind::passes(effort, Cartel::new(x, Policy::Publish), k);
			let w = blind::passes(effort, Cartel::new(x, Policy::Withhold), k);
			let e1 = t.elapsed();
			let tm = timing::passes(effort.divided(4), Cartel::new(x, Policy::Publish), k, 40);
			let e2 = t.elapsed();
			let f = foreknowledge::captured(effort.divided(4), Cartel::new(x, Policy::Publish), k, 40);
			let a = x.powi(k as i32);
			println!("x {x} k {k} publish {:.3} withhold {:.3} (±{:.3}) bound {:.3} timed {:.3}  f {:.6} ±{:.6} formula {:.6} ({:.2}) {:?} {:?} {:?}", p.value()/a, w.value()/a, p.error()/a, 1.0/(1.0-1.3*x), tm.value()/a, f.value(), f.error(), assurance::foreknowledge(x,x,k as u8,40), f.value()/assurance::foreknowledge(x,x,k as u8,40), e1,e2-e1,t.elapsed()-e2);
		}
		let a = audits::caught(effort, Cartel::new(x, Policy::Publish));
		let aw = audits::caught(effort, Cartel::new(x, Policy::Withhold));
		let c = audits::passes_certain(effort, Cartel::new(x, Policy::Publish));
		println!("  audit {:.5} {:.5} ±{:.5} formula {:.5}; certain {:.4} alpha {x} ratio {:.3}", a.value(), aw.value(), a.error(), 0.05*(1.0-x)*(1.0-x), c.value(), c.value()/x);
	}
}
