// The kernels by the names that they are launched by: each takes one struct by value. `src/gpu/kernels.rs` has the same
// structs.

#ifdef ASSAY_EMULATED
#include "emulated.h"
#else
#include "cuda.cuh"
#endif
#include "attention.cuh"
#include "linear.cuh"
#include "rowwise.cuh"

KERNEL(embed, 256, assay::EmbedArgs, assay::embed(a))
KERNEL(rms_norm, 256, assay::NormArgs, assay::rms_norm(a))
KERNEL(rope_and_write_kv, 256, assay::RopeArgs, assay::rope_and_write_kv(a))
KERNEL(gate, 256, assay::GateArgs, assay::gate(a))
KERNEL(residual, 256, assay::AddArgs, assay::residual(a))
KERNEL(quantize_logits, 256, assay::QuantizeLogitsArgs, assay::quantize_logits(a))

KERNEL(quantize, 256, assay::QuantizeArgs, assay::quantize(a))
#define FEW_ROWS(format, FORMAT) \
	KERNEL(linear_1_##format, 256, assay::LinearArgs, (assay::linear_few<1, 2, assay::FORMAT>(a))) \
	KERNEL(linear_2_##format, 256, assay::LinearArgs, (assay::linear_few<2, 2, assay::FORMAT>(a))) \
	KERNEL(linear_4_##format, 256, assay::LinearArgs, (assay::linear_few<4, 2, assay::FORMAT>(a))) \
	KERNEL(linear_8_##format, 256, assay::LinearArgs, (assay::linear_few<8, 1, assay::FORMAT>(a)))
FEW_ROWS(w8, W8)
FEW_ROWS(w4, W4)
FEW_ROWS(w4z, W4Z)

#define MANY_ROWS(format, FORMAT, LONG) \
	KERNEL(linear_32_##format, 128, assay::LinearArgs, (assay::linear_many<1, 1, 2, 2, assay::FORMAT, LONG>(a))) \
	KERNEL(linear_128_##format, 256, assay::LinearArgs, (assay::linear_many<4, 4, 2, 4, assay::FORMAT, LONG>(a)))
MANY_ROWS(w8, W8, false)
MANY_ROWS(w8_long, W8, true)
MANY_ROWS(w4, W4, false)
MANY_ROWS(w4z, W4Z, false)
MANY_ROWS(w4z_long, W4Z, true)

KERNEL(scores, 256, assay::AttentionArgs, assay::scores(a))
KERNEL(values, 288, assay::AttentionArgs, assay::values(a))
KERNEL(combine, 128, assay::AttentionArgs, assay::combine(a))
