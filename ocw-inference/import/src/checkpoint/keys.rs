//! The keys of a `quantization_config`: those of AutoAWQ 0.2, AutoGPTQ 0.7, GPTQModel 5 to 7 and transformers' classes for
//! them. What only says how a quantizer worked, or which of its kernels to take, changes no weight.

use assay_model_folder::config::keys::Keys;

/// `quantization_config` of AWQ.
pub(crate) const AWQ: Keys = Keys {
	read: &[
		"quant_method",
		"method",
		"bits",
		"group_size",
		"zero_point",
		"version",
		"checkpoint_format",
		"format",
		"backend",
		"modules_to_not_convert",
	],
	inert: &["exllama_config", "fuse_max_seq_len", "meta", "pad_token_id"],
	neutral: &[
		("activation", "null"),
		("adapter", "null"),
		("desc_act", "false"),
		("do_fuse", "false"),
		("dynamic", "{}"),
		("lm_head", "false"),
		("modules_to_fuse", "null"),
		("pack_dtype", "\"int32\""),
		("rotation", "null"),
	],
};

/// `quantization_config` of GPTQ.
pub(crate) const GPTQ: Keys = Keys {
	read: &[
		"quant_method",
		"method",
		"bits",
		"group_size",
		"sym",
		"desc_act",
		"checkpoint_format",
		"format",
		"modules_to_not_convert",
	],
	inert: &[
		"act_group_aware",
		"backend",
		"batch_size",
		"block_name_to_quantize",
		"cache_block_outputs",
		"damp_auto_increment",
		"damp_percent",
		"dataset",
		"disable_exllama",
		"exllama_config",
		"hyb_act",
		"lm_head",
		"max_input_length",
		"meta",
		"model_file_base_name",
		"model_name_or_path",
		"model_seqlen",
		"module_name_preceding_first_block",
		"modules_in_block_to_quantize",
		"mse",
		"pad_token_id",
		"parallel_packing",
		"static_groups",
		"tokenizer",
		"true_sequential",
		"use_cuda_fp16",
		"use_exllama",
	],
	neutral: &[
		("activation", "null"),
		("adapter", "null"),
		("dynamic", "{}"),
		("is_marlin_format", "false"),
		("pack_dtype", "\"int32\""),
		("rotation", "null"),
	],
};
