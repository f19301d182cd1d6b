//! What stands beside each other in a table: engines, each with the format of its weights. A column each.

use crate::shapes::Shape;
use anyhow::{ensure, Context, Result};
use assay_model_folder::formats::Format;
use assay_numerics::{format::Group, Isa};

/// A program that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
	/// Our engine.
	Ours,
	/// llama.cpp, as `llama-cpp-python` builds it.
	LlamaCpp,
	/// Its fork ik_llama.cpp, as `ik-llama-cpp-python` builds it.
	IkLlamaCpp,
	/// OpenVINO's runtime.
	OpenVino,
	/// Stock candle.
	Candle,
	/// PyTorch on a GPU, eager.
	Torch,
	/// PyTorch on a GPU, compiled.
	TorchCompile,
}

impl Program {
	/// All of them.
	pub const ALL: [Self; 7] = [
		Self::Ours,
		Self::LlamaCpp,
		Self::IkLlamaCpp,
		Self::OpenVino,
		Self::Candle,
		Self::Torch,
		Self::TorchCompile,
	];

	/// Returns the program of this name.
	pub fn named(name: &str) -> Result<Self> {
		let names = || Self::ALL.map(Self::name).join(", ");
		let found = Self::ALL.into_iter().find(|program| program.name() == name);
		found.with_context(|| format!("no engine is called `{name}`; there are {}", names()))
	}

	/// Returns its name in tables and on the command line.
	pub fn name(self) -> &'static str {
		match self {
			Self::Ours => "ours",
			Self::LlamaCpp => "llama.cpp",
			Self::IkLlamaCpp => "ik_llama.cpp",
			Self::OpenVino => "OpenVINO",
			Self::Candle => "candle",
			Self::Torch => "torch",
			Self::TorchCompile => "torch.compile",
		}
	}

	/// Returns the script in `bench/peers` and its arguments; none if this program answers itself.
	pub fn script(self) -> Option<(&'static str, &'static [&'static str])> {
		match self {
			Self::Ours | Self::Candle => None,
			Self::LlamaCpp => Some(("llamacpp.py", &[])),
			Self::IkLlamaCpp => Some(("llamacpp.py", &["--ik"])),
			Self::OpenVino => Some(("openvino_llama.py", &[])),
			Self::Torch => Some(("torch_bf16.py", &[])),
			Self::TorchCompile => Some(("torch_bf16.py", &["--compile"])),
		}
	}
}

/// Bits of a weight, scales and zero points with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bits {
	/// Of the layers' matrices.
	pub layers: f64,
	/// Of the embedding and the output layer.
	pub tables: f64,
}

impl Bits {
	/// Of int8 in blocks of 32 with an f16 scale: Q8_0 and our w8-32, whose embedding and output layer all our formats have.
	const W8: Self = Self {
		layers: 8.5,
		tables: 8.5,
	};

	fn with_layers(layers: f64) -> Self {
		Self { layers, ..Self::W8 }
	}

	fn of(format: Format) -> Self {
		let group = format.with_table(Default::default()).group() as f64;
		Self::with_layers(match format {
			Format::W8(_) => 8.0 + 16.0 / group,
			Format::W4 => 4.0 + 16.0 / group,
			Format::W4z(_) => 4.0 + 20.0 / group,
		})
	}

	/// Returns the bytes of a model's weights.
	pub fn bytes(self, shape: &Shape) -> f64 {
		(shape.layers_weights() as f64 * self.layers + shape.tables_weights() as f64 * self.tables) / 8.0
	}
}

/// An engine with weights in one format: a column of the tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
	/// Its name in tables and samples.
	pub name: String,
	/// Which program.
	pub program: Program,
	/// What a step reads of its weights.
	pub bits: Bits,
	/// Of ours on the CPU: the format of the layers' matrices.
	pub format: Option<Format>,
	/// Of ours: the instruction set that it is held to. The best that the machine has if none.
	pub isa: Option<Isa>,
	/// Whether many jobs at once, and jobs at a temperature, are measured on it too: they take minutes.
	pub thorough: bool,
	/// Whether it has other weights than the rest and is only there to be divided by: it is asked for decoding alone.
	pub reference: bool,
}

impl Entry {
	fn new(program: Program, bits: Bits) -> Self {
		Self {
			name: program.name().into(),
			program,
			bits,
			format: None,
			isa: None,
			thorough: false,
			reference: false,
		}
	}

	fn ours(format: Format) -> Self {
		Self {
			name: format.to_string(),
			format: Some(format),
			..Self::new(Program::Ours, Bits::of(format))
		}
	}

	/// The same without matrix units.
	fn with_vectors(self) -> Self {
		Self {
			name: format!("{}, no AMX", self.name),
			isa: Some(Isa::Avx512),
			thorough: false,
			..self
		}
	}

	/// Returns whether this is our engine.
	pub fn is_ours(&self) -> bool {
		self.program == Program::Ours
	}

	/// Returns whether it is our engine as it runs on this machine, with the weights that the others have.
	pub fn is_our_best(&self) -> bool {
		self.is_ours() && self.isa.is_none() && !self.reference
	}
}

/// How many bits a weight of a model on disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
	/// Eight.
	Eight,
	/// Four in the layers, eight in the embedding and the output layer.
	Four,
}

impl Width {
	/// Both.
	pub const ALL: [Self; 2] = [Self::Eight, Self::Four];

	/// Returns its name in the names of models.
	pub fn name(self) -> &'static str {
		match self {
			Self::Eight => "8bit",
			Self::Four => "4bit",
		}
	}

	/// Returns our formats of this width. The peers' files are made from the first.
	pub fn formats(self) -> [Format; 2] {
		match self {
			Self::Eight => [Format::W8(Group::G32), Format::W8(Group::G128)],
			Self::Four => [Format::W4, Format::W4z(Group::G128)],
		}
	}
}

/// Returns what is measured on a model of random weights on the CPU; all of it has the same weights, but for what is a reference.
pub fn of_width(width: Width, amx: bool) -> Vec<Entry> {
	let best = width.formats().map(|format| Entry {
		// One of each width: the two that are imported most.
		thorough: matches!(format, Format::W8(Group::G32) | Format::W4z(_)),
		..Entry::ours(format)
	});
	let mut all = best.to_vec();
	if amx {
		all.extend(best.map(Entry::with_vectors));
	}
	let peers: &[(Program, Bits)] = match width {
		Width::Eight => &[
			(Program::LlamaCpp, Bits::W8),
			(Program::IkLlamaCpp, Bits::W8),
			// A scale a row.
			(
				Program::OpenVino,
				Bits {
					layers: 8.0,
					tables: 8.0,
				},
			),
			(Program::Candle, Bits::W8),
		],
		Width::Four => {
			all.push(Entry {
				reference: true,
				..Entry::ours(Format::default())
			});
			let four = Bits {
				layers: 4.5,
				tables: 8.5,
			};
			// Groups of 128.
			let openvino = Bits {
				layers: 4.125,
				tables: 8.0,
			};
			&[
				(Program::LlamaCpp, four),
				(Program::IkLlamaCpp, four),
				(Program::OpenVino, openvino),
			]
		}
	};
	all.extend(peers.iter().map(|(program, bits)| Entry::new(*program, *bits)));
	all
}

/// Returns what is measured on the demo model, whose matrices are w8 in groups of 32.
pub fn of_demo() -> Vec<Entry> {
	let peers = [
		Program::LlamaCpp,
		Program::IkLlamaCpp,
		Program::OpenVino,
		Program::Candle,
	];
	let ours = Entry {
		thorough: true,
		..Entry::ours(Format::default())
	};
	[ours]
		.into_iter()
		.chain(peers.map(|program| Entry::new(program, Bits::W8)))
		.collect()
}

/// Returns what is measured on a GPU.
pub fn of_gpu() -> Vec<Entry> {
	let ours = Entry {
		thorough: true,
		..Entry::new(Program::Ours, Bits::W8)
	};
	let half = Bits {
		layers: 16.0,
		tables: 16.0,
	};
	let peers = [Program::Torch, Program::TorchCompile].map(|program| Entry::new(program, half));
	[ours].into_iter().chain(peers).collect()
}

/// Reads `NAME=PATH` of a peer's Python.
pub fn peer_of(text: &str) -> Result<(Program, std::path::PathBuf)> {
	let (name, path) = text
		.split_once('=')
		.with_context(|| format!("`{text}` is not NAME=PYTHON"))?;
	let program = Program::named(name)?;
	ensure!(program.script().is_some(), "`{name}` needs no Python");
	Ok((program, path.into()))
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::collections::HashSet;

	#[test]
	fn columns_have_names_of_their_own_and_begin_with_ours() {
		let all = [
			of_width(Width::Eight, false),
			of_width(Width::Eight, true),
			of_width(Width::Four, true),
			of_demo(),
			of_gpu(),
		];
		for entries in all {
			let names: HashSet<_> = entries.iter().map(|entry| &entry.name).collect();
			assert_eq!(names.len(), entries.len(), "{names:?}");
			assert!(entries[0].is_our_best() && entries.iter().filter(|e| e.is_our_best() && e.thorough).count() == 1);
		}
		let amx = of_width(Width::Eight, true);
		assert_eq!(amx.iter().filter(|entry| entry.isa == Some(Isa::Avx512)).count(), 2);
		assert!(of_width(Width::Four, false)
			.iter()
			.any(|entry| entry.reference && entry.name == "w8-32"));
	}

	#[test]
	fn a_weight_s_bits_are_its_format_s() {
		let layers = |format| Bits::of(format).layers;
		assert_eq!(layers(Format::W8(Group::G128)), 8.125);
		assert_eq!(layers(Format::W4), 4.5);
		assert_eq!(layers(Format::W4z(Group::G128)), 4.15625);
		let shape = Shape::named("8b").expect("a shape");
		assert_eq!(Bits::W8.bytes(&shape), shape.weights() as f64 * 1.0625);
	}

	#[test]
	fn a_peer_s_python_is_named_with_it() {
		let (program, path) = peer_of("ik_llama.cpp=/a/b=c").expect("a peer");
		assert_eq!((program, path), (Program::IkLlamaCpp, "/a/b=c".into()));
		for wrong in ["llama.cpp", "llama=/a", "ours=/a"] {
			assert!(peer_of(wrong).is_err(), "{wrong}");
		}
	}
}
