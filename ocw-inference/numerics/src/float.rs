//! A float of a configuration that is hashed.

/// An f32 that is hashed by its bits and written to JSON as the shortest number that reads back to them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "codec", derive(codec::Encode, codec::Decode))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
pub struct F32(pub f32);

#[cfg(feature = "serde")]
impl serde::Serialize for F32 {
	/// Writes the f64 whose shortest form is the f32's own: 1e-5 and not 9.999999747378752e-6.
	fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		use alloc::string::ToString;
		let wide = f64::from(self.0);
		let short = self.0.to_string().parse().unwrap_or(wide);
		let same = (short as f32).to_bits() == self.0.to_bits();
		serializer.serialize_f64(if same { short } else { wide })
	}
}

#[cfg(all(test, feature = "serde"))]
mod tests {
	use super::*;

	#[test]
	fn a_float_is_written_as_people_write_it_and_read_back_to_its_bits() {
		assert_eq!(
			serde_json::to_string(&F32(1e-5)).unwrap(),
			serde_json::to_string(&1e-5f64).unwrap()
		);
		for bits in (0..0x7f80_0000u32).step_by(65_537).chain([1, 0x007f_ffff, 0x7f7f_ffff]) {
			let text = serde_json::to_string(&F32(f32::from_bits(bits))).unwrap();
			let back: F32 = serde_json::from_str(&text).unwrap();
			assert_eq!(back.0.to_bits(), bits, "{text}");
		}
	}
}
