"""The fields of LLaMA-Factory's recipes, and what becomes of each here.

Names from the classes of src/llamafactory/hparams/, and from Seq2SeqTrainingArguments of
transformers 4.55 to 5.8, which its training arguments extend.
"""

from __future__ import annotations

from deltatune.recipes.fields import Program, Rows, table

_TASK, _LORA, _TRAINING = "tasks.NAME.", "experiments.NAME.lora.", "experiments.NAME.training."

_OURS: Rows = [
    ("ours", "models.NAME.id", "model_name_or_path"),
    ("ours", "models.NAME.revision", "model_revision"),
    ("ours", "experiments.NAME.quantization", "quantization_bit quantization_type"),
    ("ours", _TASK + "kind", "stage"),
    ("ours", _TASK + "packing", "packing"),
    ("ours", _TASK + "train_on_prompt", "train_on_prompt"),
    ("ours", "datasets", "dataset dataset_dir eval_dataset"),
    ("ours", _TASK + "prompt", "template"),
    ("ours", _TASK + "system", "default_system"),
    ("ours", _TASK + "max_length", "cutoff_len"),
    ("ours", _TASK + "learn", "mask_history"),
    ("ours", _TASK + "split.max_records", "max_samples"),
    ("ours", _TASK + "split.validation", "val_size"),
    ("ours", _TASK + "evaluation.max_new_tokens", "max_new_tokens generation_max_length"),
    ("ours", _TASK + "evaluation.sampling", "do_sample temperature top_p top_k"),
    ("ours", "datasets.NAME.of", "mix_strategy interleave_probs"),
    ("ours", _LORA + "rank", "lora_rank"),
    ("ours", _LORA + "alpha", "lora_alpha"),
    ("ours", _LORA + "dropout", "lora_dropout"),
    ("ours", _LORA + "targets", "lora_target"),
    ("ours", _LORA + "modules_to_save", "additional_target"),
    ("ours", _LORA + "use_dora", "use_dora"),
    ("ours", _LORA + "use_rslora", "use_rslora"),
    ("ours", _TRAINING + "batch_size", "per_device_train_batch_size"),
    ("ours", _TRAINING + "gradient_accumulation", "gradient_accumulation_steps"),
    ("ours", _TRAINING + "learning_rate", "learning_rate"),
    ("ours", _TRAINING + "epochs", "num_train_epochs"),
    ("ours", _TRAINING + "schedule", "lr_scheduler_type"),
    ("ours", _TRAINING + "warmup", "warmup_ratio warmup_steps"),
    ("ours", _TRAINING + "optimizer", "optim"),
    ("ours", _TRAINING + "determinism", "full_determinism"),
    ("ours", _TRAINING + "weight_decay", "weight_decay"),
    ("ours", _TRAINING + "max_grad_norm", "max_grad_norm"),
    ("ours", _TRAINING + "max_steps", "max_steps"),
    ("ours", _TRAINING + "precision", "bf16 fp16 pure_bf16"),
    (
        "ours",
        _TRAINING + "activation_checkpointing",
        "disable_gradient_checkpointing gradient_checkpointing activation_checkpointing",
    ),
    ("ours", _TRAINING + "evaluations", "eval_steps"),
    ("ours", "seeds", "seed"),
]

_ALWAYS: Rows = [
    ("always", "adapters are trained, see `lora` of an experiment", "finetuning_type do_train"),
    (
        "always",
        "documents in a packed row do not see each other",
        "neat_packing block_diag_attn ignore_pad_token_for_loss train_sampling_strategy "
        "group_by_length length_column_name",
    ),
    (
        "always",
        "`snakemake` finds what is finished, and an interrupted training goes on",
        "resume_from_checkpoint output_dir overwrite_output_dir overwrite_cache tokenized_path "
        "save_steps save_strategy save_total_limit save_only_model save_safetensors "
        "save_on_each_node enable_jit_checkpoint ignore_data_skip "
        "restore_callback_states_from_checkpoint",
    ),
    ("always", "records are shuffled with the seed", "disable_shuffling data_seed"),
    (
        "always",
        "the model's own tokenizer and chat template are used, which renders tools too",
        "use_fast_tokenizer split_special_tokens tool_format model_max_length",
    ),
    (
        "always",
        "reasoning is kept as the template writes it, see `thinking` of a task",
        "enable_thinking preserve_thinking",
    ),
    (
        "always",
        "on a GPU as many rows at a time as fit; fewer where memory runs out all the same",
        "auto_find_batch_size",
    ),
    (
        "always",
        "the validation batch is that of training",
        "per_device_eval_batch_size eval_accumulation_steps batch_eval_metrics "
        "eval_do_concat_batches eval_use_gather_object",
    ),
    (
        "always",
        "validation loss during training, and base and tuned on the test set after it",
        "do_eval do_predict predict_with_generate compute_accuracy eval_strategy "
        "evaluation_strategy eval_delay eval_on_start eval_on_each_dataset prediction_loss_only "
        "include_for_metrics",
    ),
    (
        "always",
        "loss curves, throughput and memory are in the report",
        "plot_loss logging_steps logging_strategy logging_first_step logging_dir "
        "logging_nan_inf_filter log_on_each_node log_level log_level_replica disable_tqdm "
        "include_num_input_tokens_seen include_tokens_per_second "
        "include_effective_tokens_per_second print_param_status skip_memory_metrics",
    ),
    ("always", "answers are decoded without special tokens", "skip_special_tokens"),
    ("always", "the loss is a mean over all tokens of a step", "average_tokens_across_devices"),
    ("always", "NF4 with double quantization", "double_quantization"),
    ("always", "adapters are computed in fp32", "upcast_layernorm upcast_lmhead_output"),
    ("always", "bitsandbytes quantizes to 4 and to 8 bits", "quantization_method"),
]

_UNNEEDED: Rows = [
    (
        "unneeded",
        "transformers chooses the implementation of attention; results do not depend on it",
        "flash_attn",
    ),
    (
        "unneeded",
        "kernels and compilation change the speed, not the method",
        "use_unsloth use_unsloth_gc enable_liger_kernel use_liger_kernel liger_kernel_config "
        "use_v1_kernels torch_compile torch_compile_backend torch_compile_mode tf32 jit_mode_eval",
    ),
    (
        "unneeded",
        "memory, processes and devices are the run's own business",
        "cache_dir low_cpu_mem_usage offload_folder device_map quantization_device_map "
        "use_reentrant_gc gradient_checkpointing_kwargs activation_checkpointing_kwargs "
        "compute_dtype use_cache preprocessing_batch_size preprocessing_num_workers "
        "data_shared_file_system streaming buffer_size torch_empty_cache_steps use_cpu no_cuda "
        "local_rank ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers "
        "ddp_static_graph ddp_backend ddp_timeout accelerator_config parallelism_config "
        "dataloader_drop_last dataloader_num_workers dataloader_pin_memory "
        "dataloader_persistent_workers dataloader_prefetch_factor "
        "dataloader_multiprocessing_context dataloader_in_order remove_unused_columns label_names "
        "debug enable_torch_profiler profiler_output_dir profiler_wait_steps "
        "profiler_warmup_steps profiler_active_steps profiler_repeat profiler_record_shapes "
        "profiler_profile_memory profiler_with_stack profile_modules bf16_full_eval "
        "fp16_full_eval fp16_backend fp16_opt_level half_precision_backend sortish_sampler",
    ),
    (
        "unneeded",
        "no service is reported to: results are files and one page",
        "report_to run_name project trackio_space_id trackio_bucket_id trackio_static_space_id "
        "use_swanlab swanlab_project swanlab_workspace swanlab_run_name swanlab_mode "
        "swanlab_api_key swanlab_logdir swanlab_lark_webhook_url swanlab_lark_secret",
    ),
    (
        "unneeded",
        "nothing is uploaded; the login of the hub is used where it is stored",
        "hf_hub_token ms_hub_token om_hub_token push_to_hub hub_token hub_private_repo "
        "hub_model_id hub_strategy hub_always_push hub_revision",
    ),
    (
        "unneeded",
        "a cluster is used by --workflow-profile profiles/slurm",
        "ray_num_workers ray_init_kwargs master_addr master_port",
    ),
    ("unneeded", "no code of a repository is run", "trust_remote_code"),
    (
        "unneeded",
        "answers come from `evaluation.backend`, the same for base and tuned",
        "infer_backend infer_dtype use_kv_cache vllm_maxlen vllm_gpu_util vllm_enforce_eager "
        "vllm_max_lora_rank vllm_config sglang_maxlen sglang_mem_fraction sglang_tp_size "
        "sglang_config sglang_lora_backend",
    ),
]

_NONE: Rows = [
    (
        "none",
        "several GPUs: set `training.gpus`, and `training.sharded: true` for a base that does not "
        "fit on one",
        "deepspeed fsdp fsdp_config",
    ),
    (
        "none",
        "the optimizer has the betas, epsilon and arguments of its name",
        "adam_beta1 adam_beta2 adam_epsilon optim_args optim_target_modules use_adam_mini use_muon",
    ),
    (
        "none",
        "one learning rate for all, on a schedule without further arguments",
        "lr_scheduler_kwargs loraplus_lr_ratio loraplus_lr_embedding",
    ),
    (
        "none",
        "the vocabulary stays as it is",
        "resize_vocab add_tokens add_special_tokens new_special_tokens_config init_special_tokens",
    ),
    (
        "none",
        "training ends after its epochs or steps, and the last state is evaluated",
        "early_stopping_steps load_best_model_at_end metric_for_best_model greater_is_better",
    ),
    (
        "none",
        "the loss is cross-entropy, the input as it is",
        "neftune_noise_alpha label_smoothing_factor use_dft_loss use_asft_loss asft_alpha "
        "use_eaft_loss eaft_alpha moe_aux_loss_coef",
    ),
    (
        "none",
        "answers are greedy, or drawn by `evaluation.sampling` of a task; no beams, no penalty",
        "num_beams max_length repetition_penalty length_penalty "
        "eval_num_beams generation_num_beams generation_config",
    ),
    ("none", "LoRA begins as in its paper", "pissa_init pissa_iter pissa_convert"),
    ("none", "the model is taken as it is", "rope_scaling shift_attn mixture_of_depths"),
    ("none", "fp8 is not a compute type here", "fp8 fp8_backend fp8_enable_fsdp_float8_all_gather"),
]

_REFUSED: Rows = [
    (
        "unneeded",
        "goes with `stage: rm`, `ppo`, `dpo` or `kto`, which are refused",
        "pref_beta pref_ftx pref_bco_weight pref_loss dpo_label_smoothing kto_chosen_weight "
        "kto_rejected_weight simpo_gamma ppo_buffer_size ppo_epochs ppo_score_norm ppo_target "
        "ppo_whiten_rewards ref_model ref_model_adapters ref_model_quantization_bit reward_model "
        "reward_model_adapters reward_model_quantization_bit reward_model_type ld_alpha",
    ),
    (
        "refused",
        "an adapter here begins anew from its base",
        "adapter_name_or_path",
    ),
    (
        "unneeded",
        "goes with `adapter_name_or_path`, which is refused",
        "adapter_folder create_new_adapter",
    ),
    (
        "refused",
        "weights of the base are not trained, only LoRA adapters of it",
        "use_llama_pro use_galore use_apollo use_badam train_from_scratch",
    ),
    (
        "unneeded",
        "goes with `finetuning_type: freeze` or `oft`, GaLore, APOLLO or BAdam, which are refused",
        "freeze_trainable_layers freeze_trainable_modules freeze_extra_modules module_dropout "
        "oft_rank oft_block_size oft_target galore_target galore_rank galore_update_interval "
        "galore_scale galore_proj_type galore_layerwise apollo_target apollo_rank "
        "apollo_update_interval apollo_scale apollo_proj apollo_proj_type apollo_scale_type "
        "apollo_layerwise apollo_scale_front badam_mode badam_start_block badam_switch_mode "
        "badam_switch_interval badam_update_ratio badam_mask_mode badam_verbose",
    ),
    (
        "unneeded",
        "for images and sound alone",
        "media_dir image_max_pixels image_min_pixels image_do_pan_and_scan crop_to_patches "
        "video_max_pixels video_min_pixels video_fps video_maxlen use_audio_in_video "
        "audio_sampling_rate freeze_vision_tower freeze_multi_modal_projector "
        "freeze_language_model",
    ),
    (
        "refused",
        "a recipe that exports a model and trains none; `snakemake merge` merges what was trained "
        "here",
        "export_dir",
    ),
    (
        "unneeded",
        "goes with `export_dir`, which is refused",
        "export_size export_device export_quantization_bit export_quantization_dataset "
        "export_quantization_nsamples export_quantization_maxlen export_legacy_format "
        "export_hub_model_id",
    ),
    ("refused", "a recipe that evaluates a benchmark and trains nothing", "task"),
    (
        "unneeded",
        "goes with `task`, which is refused",
        "task_dir batch_size lang n_shot save_dir download_mode",
    ),
    (
        "refused",
        "training is that of transformers",
        "use_mca use_megatron_bridge megatron_bridge_args use_hyper_parallel use_kt",
    ),
    (
        "unneeded",
        "goes with Megatron, HyperParallel or KTransformers, which are refused",
        "hyper_parallel_args hyper_parallel_cp_size kt_cpu_activation kt_weight_path "
        "kt_non_expert_weight_path kt_expert_checkpoint_path kt_use_lora_experts "
        "kt_lora_expert_num kt_lora_expert_intermediate_size tensor_model_parallel_size "
        "pipeline_model_parallel_size expert_model_parallel_size context_parallel_size "
        "virtual_pipeline_model_parallel_size sequence_parallel recompute_granularity "
        "recompute_method recompute_num_layers account_for_embedding_in_pipeline_split "
        "account_for_loss_in_pipeline_split bias_activation_fusion apply_rope_fusion "
        "masked_softmax_fusion cross_entropy_loss_fusion moe_grouped_gemm "
        "moe_token_dispatcher_type calculate_per_token_loss use_distributed_optimizer "
        "overlap_param_gather overlap_grad_reduce use_packed_sequences mixed_precision "
        "megatron_pretrained_checkpoint export_hf_on_finish extra_config",
    ),
]

LLAMA_FACTORY = Program(
    title="LLaMA-Factory",
    version="0.9.6.dev0",
    repository="hiyouga/LLaMA-Factory",
    commit="ff6d4d12eeb035d6ce06805a5733dd7b29f2ac30",
    read_from="src/llamafactory/hparams",
    lists=(),
    told_by=("model_name_or_path",),
    contrary={
        "do_train": (False, "training is what the run is for"),
        "neat_packing": (False, "documents in a row do not see each other here"),
        "disable_shuffling": (True, "records are shuffled with the seed here"),
        "double_quantization": (False, "the constants of NF4 are quantized too here"),
    },
    fields=table([*_OURS, *_ALWAYS, *_UNNEEDED, *_NONE, *_REFUSED]),
)
