//! Activations between two matrices of a block: the gate of the Llama family and BERT's GELU.

#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::{error::bail_shape, exp::exp, isa::Kernel, rows::by_rows, Isa, Result};

/// `y = (g / (1 + exp(−g))) · u` (§2.8). Operand f32 `[rows, 2 · I]`, each row g ‖ u; result `[rows, I]`.
pub struct SiluMul {
	/// Which instructions compute.
	pub isa: Isa,
}

impl SiluMul {
	/// Computes the operation on slices: x `[rows, width]`, out `[rows, width / 2]`.
	pub fn apply(&self, x: &[f32], width: usize, out: &mut [f32]) -> Result<()> {
		if width == 0 || !width.is_multiple_of(2) || !x.len().is_multiple_of(width) || out.len() != x.len() / 2 {
			bail_shape!("silu_mul: {} values in rows of {width}, {} results", x.len(), out.len());
		}
		by_rows(x, width, out, width / 2, |x, out| {
			self.isa.run(SiluMulRows { x, out, width })
		})
	}
}

struct SiluMulRows<'a> {
	x: &'a [f32],
	out: &'a mut [f32],
	width: usize,
}

impl Kernel for SiluMulRows<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let half = self.width / 2;
		for (x, out) in self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(half)) {
			let (g, u) = x.split_at(half);
			for ((out, g), u) in out.iter_mut().zip(g).zip(u) {
				*out = (g / (1.0 + exp(-g))) * u;
			}
		}
	}
}

/// `y = (0.5 · x) · (1 + erf(x · √½))` (§2.11). Element by element.
pub struct Gelu {
	/// Which instructions compute.
	pub isa: Isa,
}

impl Gelu {
	/// Computes the operation on slices: x and out of the same length.
	pub fn apply(&self, x: &[f32], out: &mut [f32]) -> Result<()> {
		if x.len() != out.len() {
			bail_shape!("gelu: {} values, {} results", x.len(), out.len());
		}
		by_rows(x, 1, out, 1, |x, out| self.isa.run(GeluElements { x, out }))
	}
}

struct GeluElements<'a> {
	x: &'a [f32],
	out: &'a mut [f32],
}

impl Kernel for GeluElements<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		for (out, x) in self.out.iter_mut().zip(self.x) {
			*out = (0.5 * x) * (1.0 + erf(x * core::f32::consts::FRAC_1_SQRT_2));
		}
	}
}

// Minimax polynomials of N. Juffa's single-precision error function: −ln(1 − erf t) − t as a polynomial times t where t
// is large …
const OUTER: [f32; 7] = [
	f32::from_bits(0xB791_0000),
	f32::from_bits(0x39C8_E7D9),
	f32::from_bits(0xBB7E_8A1C),
	f32::from_bits(0x3CC6_B1A1),
	f32::from_bits(0xBDDA_AE5C),
	f32::from_bits(0xBF22_8550),
	f32::from_bits(0xBE03_CE86),
];
// … and (erf(a) − a) / a as one in a² where it is small.
const INNER: [f32; 6] = [
	f32::from_bits(0xBA1C_7000),
	f32::from_bits(0x3BA3_8D2C),
	f32::from_bits(0xBCDB_48D9),
	f32::from_bits(0x3DE7_0E22),
	f32::from_bits(0xBEC0_9380),
	f32::from_bits(0x3E03_75D4),
];
/// 475 / 512.
const BORDER: f32 = f32::from_bits(0x3F6D_8000);
/// From here on, erf rounds to one.
const ONE_FROM: f32 = 4.0;

/// Returns the error function, within two units in the last place.
#[inline(always)]
pub fn erf(a: f32) -> f32 {
	let size = a.abs();
	let t = if size > ONE_FROM { ONE_FROM } else { size };
	let s = t * t;
	let high = OUTER[0].mul_add(t, OUTER[1]);
	let low = OUTER[2].mul_add(t, OUTER[3]);
	let mut p = high.mul_add(s, low);
	for c in &OUTER[4..] {
		p = p.mul_add(t, *c);
	}
	let outer = (1.0 - exp(p.mul_add(t, -t))).copysign(a);
	let mut p = INNER[0];
	for c in &INNER[1..] {
		p = p.mul_add(s, *c);
	}
	let inner = p.mul_add(a, a);
	if t > BORDER {
		outer
	} else {
		inner
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn erf_is_within_two_units_in_the_last_place_of_the_truth() {
		let mut worst = 0f64;
		for i in 0..600_000 {
			let a = i as f32 * 1e-5;
			let truth = libm::erf(f64::from(a));
			let ulp = f64::from(f32::from_bits((truth as f32).to_bits() + 1)) - f64::from(truth as f32);
			worst = worst.max((f64::from(erf(a)) - truth).abs() / ulp);
			assert_eq!(erf(-a).to_bits(), (-erf(a)).to_bits());
		}
		assert!(worst < 2.0, "{worst} units");
		assert_eq!((erf(1e30), erf(f32::NEG_INFINITY)), (1.0, -1.0));
		assert!(erf(f32::NAN).is_nan());
	}
}
