//! Why the operations are our own: the same questions to candle's own matrix products, which give other bits.
//!
//! Which of its kernels candle takes depends on the CPU. Asserted is what was seen where: with AVX2, f32 between one
//! row and many; with AVX-512 VNNI, Q8_0 between it and AVX2, and Q6_K between one row and two. The rest is printed
//! (`cargo test --release -p assay-engine --test engine stock -- --nocapture`).

use crate::definition::{bits, noise};
use assay_numerics::Isa;
use candle_core::{
	quantized::{GgmlDType, QMatMul, QTensor},
	Device, Module, Tensor,
};
use std::{process::Command, sync::Arc};

/// Long rows, so that candle's f32 product cuts them up.
const K: usize = 4096;
const N: usize = 256;

fn tensor(seed: u64, rows: usize) -> Tensor {
	Tensor::from_vec(noise(seed, rows * K), (rows, K), &Device::Cpu).unwrap()
}

fn quantized(dtype: GgmlDType) -> QMatMul {
	QMatMul::from_arc(Arc::new(QTensor::quantize(&tensor(1, N), dtype).unwrap())).unwrap()
}

fn flat(y: &Tensor) -> Vec<u32> {
	bits(&y.flatten_all().unwrap().to_vec1::<f32>().unwrap())
}

/// Outputs of row 0 that differ between `rows` rows together and that row alone.
fn rows_matter(rows: usize, product: impl Fn(&Tensor) -> Tensor) -> usize {
	let x = tensor(2, rows);
	let together = flat(&product(&x).narrow(0, 0, 1).unwrap().contiguous().unwrap());
	let alone = flat(&product(&x.narrow(0, 0, 1).unwrap().contiguous().unwrap()));
	together.iter().zip(&alone).filter(|(a, b)| a != b).count()
}

#[test]
fn candle_in_f32_gives_a_row_other_bits_when_other_rows_are_there() {
	let w = tensor(1, N).t().unwrap();
	let differing = rows_matter(33, |x| x.matmul(&w).unwrap());
	println!("candle f32, 1 row or 33: {differing} of {N} outputs differ");
	if cfg!(target_arch = "x86_64") && Isa::Avx2.works() {
		assert!(differing > 0);
	}
}

/// Q6_K is what files named Q4_K keep their most sensitive matrices in.
#[test]
fn candle_in_q6_k_gives_a_row_other_bits_when_another_row_is_there() {
	let w = quantized(GgmlDType::Q6K);
	for rows in [2, 33] {
		let differing = rows_matter(rows, |x| w.forward(x).unwrap());
		println!("candle Q6_K, 1 row or {rows}: {differing} of {N} outputs differ");
		// Seen with AVX-512; which kernels candle takes elsewhere is its choice.
		if Isa::Avx512.works() {
			assert!(differing > 0);
		}
	}
	// These may come out equal.
	for dtype in [GgmlDType::Q8_0, GgmlDType::Q4K] {
		let w = quantized(dtype);
		let differing = rows_matter(33, |x| w.forward(x).unwrap());
		println!("candle {dtype:?}, 1 row or 33: {differing} of {N} outputs differ");
	}
}

/// What the child processes below print: the outputs of one product, as one hash.
#[test]
#[ignore = "run by the test below, with and without AVX-512"]
fn child() {
	let y = quantized(GgmlDType::Q8_0).forward(&tensor(2, 4)).unwrap();
	let outputs: Vec<String> = flat(&y).iter().map(|bits| format!("{bits:08x}")).collect();
	println!("outputs {}", outputs.join(" "));
}

#[test]
fn candle_in_q8_0_gives_other_bits_without_avx512() {
	let run = |forced: bool| -> Vec<String> {
		let mut command = Command::new(std::env::current_exe().unwrap());
		command.args(["--exact", "stock::child", "--ignored", "--nocapture"]);
		if forced {
			command.env("MISTRALRS_FORCE_AVX2", "1");
		} else {
			command.env_remove("MISTRALRS_FORCE_AVX2");
		}
		let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
		let line = output.lines().find_map(|line| line.split("outputs ").nth(1)).unwrap();
		line.split(' ').map(str::to_owned).collect()
	};
	let (best, forced) = (run(false), run(true));
	assert_eq!((best.len(), forced.len()), (4 * N, 4 * N));
	let differing = best.iter().zip(&forced).filter(|(a, b)| a != b).count();
	println!(
		"candle Q8_0, AVX-512 VNNI or AVX2: {differing} of {} outputs differ",
		best.len()
	);
	if Isa::Avx512.works() {
		assert!(differing > 0);
	}
}
