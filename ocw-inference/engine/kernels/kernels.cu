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
KERNEL(linear_1, 256, assay::LinearArgs, (assay::linear_few<1, 2>(a)))
KERNEL(linear_2, 256, assay::LinearArgs, (assay::linear_few<2, 2>(a)))
KERNEL(linear_4, 256, assay::LinearArgs, (assay::linear_few<4, 2>(a)))
KERNEL(linear_8, 256, assay::LinearArgs, (assay::linear_few<8, 1>(a)))
KERNEL(linear_32, 128, assay::LinearArgs, (assay::linear_many<1, 1, 2, 2>(a)))
KERNEL(linear_128, 256, assay::LinearArgs, (assay::linear_many<4, 4, 2, 4>(a)))

KERNEL(scores, 256, assay::AttentionArgs, assay::scores(a))
KERNEL(values, 288, assay::AttentionArgs, assay::values(a))
KERNEL(combine, 128, assay::AttentionArgs, assay::combine(a))
