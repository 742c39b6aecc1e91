"""The fields of Axolotl's recipes, and what becomes of each here.

Names from the classes of src/axolotl/utils/schemas/ and of src/axolotl/integrations/*/args.py.
"""

from __future__ import annotations

from deltatune.recipes.axolotl_dataset_fields import LISTS, dataset_rows
from deltatune.recipes.fields import Program, Rows, table

_TASK, _LORA, _TRAINING = "tasks.NAME.", "experiments.NAME.lora.", "experiments.NAME.training."

_OURS: Rows = [
    ("ours", "models.NAME.id", "base_model"),
    ("ours", "models.NAME.revision", "model_revision revision_of_model"),
    ("ours", "experiments.NAME.quantization", "adapter load_in_8bit load_in_4bit"),
    ("ours", _LORA + "rank", "lora_r"),
    ("ours", _LORA + "alpha", "lora_alpha"),
    ("ours", _LORA + "dropout", "lora_dropout"),
    ("ours", _LORA + "targets", "lora_target_modules lora_target_linear"),
    ("ours", _LORA + "modules_to_save", "lora_modules_to_save"),
    ("ours", _LORA + "rank_pattern", "lora_rank_pattern"),
    ("ours", _LORA + "alpha_pattern", "lora_alpha_pattern"),
    ("ours", _LORA + "layers_to_transform", "peft_layers_to_transform"),
    ("ours", _LORA + "use_dora", "peft_use_dora"),
    ("ours", _LORA + "use_rslora", "peft_use_rslora"),
    ("ours", _LORA + "init_lora_weights", "peft_init_lora_weights"),
    ("ours", _TRAINING + "batch_size", "micro_batch_size"),
    ("ours", _TRAINING + "gradient_accumulation", "gradient_accumulation_steps batch_size"),
    ("ours", _TRAINING + "learning_rate", "learning_rate"),
    ("ours", _TRAINING + "weight_decay", "weight_decay"),
    ("ours", _TRAINING + "optimizer", "optimizer"),
    ("ours", _TRAINING + "schedule", "lr_scheduler"),
    ("ours", _TRAINING + "warmup", "warmup_ratio warmup_steps"),
    ("ours", _TRAINING + "max_grad_norm", "max_grad_norm"),
    ("ours", _TRAINING + "epochs", "num_epochs"),
    ("ours", _TRAINING + "max_steps", "max_steps"),
    ("ours", _TRAINING + "precision", "bf16 fp16 bfloat16 float16 float32"),
    ("ours", _TRAINING + "activation_checkpointing", "gradient_checkpointing"),
    ("ours", _TRAINING + "evaluations", "evals_per_epoch eval_steps"),
    ("ours", "seeds", "seed"),
    ("ours", "datasets", "datasets test_datasets pretraining_dataset"),
    ("ours", _TASK + "max_length", "sequence_len"),
    ("ours", _TASK + "split.validation", "val_set_size"),
    ("ours", _TASK + "system", "default_system_message"),
    ("ours", _TASK + "overflow", "excess_length_strategy"),
    ("ours", _TASK + "packing", "sample_packing"),
    ("ours", _TASK + "train_on_prompt", "train_on_inputs"),
    ("ours", _TASK + "evaluation.max_new_tokens", "generation_max_new_tokens"),
    (
        "ours",
        _TASK + "evaluation.sampling",
        "generation_do_sample generation_temperature generation_top_p generation_top_k",
    ),
]

_ALWAYS: Rows = [
    (
        "always",
        "documents in a packed row do not see each other, and validation is packed as training is",
        "eval_sample_packing pad_to_sequence_len multipack_real_batches "
        "sample_packing_group_size sample_packing_bin_size sample_packing_eff_est "
        "pretrain_multipack_attn batch_flattening pad_to_multiple_of group_by_length "
        "pretraining_sample_concatenation max_packed_sequence_len",
    ),
    (
        "always",
        "`snakemake` finds what is finished, and an interrupted training goes on",
        "resume_from_checkpoint auto_resume_from_checkpoints dataset_prepared_path output_dir "
        "save_steps saves_per_epoch save_strategy save_total_limit save_first_step "
        "save_only_model save_safetensors dynamic_checkpoint skip_prepare_dataset "
        "num_dataset_shards_to_save is_preprocess preprocess_iterable",
    ),
    (
        "always",
        "repeated records are removed, and no record is in two splits",
        "dataset_exact_deduplication",
    ),
    (
        "always",
        "records are shuffled with the seed",
        "shuffle_merged_datasets shuffle_before_merging_datasets",
    ),
    (
        "always",
        "the model's own tokenizer and chat template are used",
        "tokenizer_type tokenizer_config tokenizer_use_fast tokenizer_legacy "
        "tokenizer_use_mistral_common tokenizer_save_jinja_files chat_template special_tokens "
        "eot_tokens",
    ),
    (
        "always",
        "the architecture is read from the model's config.json",
        "model_type type_of_model base_model_config cls_model_config is_falcon_derived_model "
        "is_llama_derived_model is_mistral_derived_model is_qwen_derived_model",
    ),
    (
        "always",
        "on a GPU as many rows at a time as fit; fewer where memory runs out all the same",
        "auto_find_batch_size",
    ),
    ("always", "the validation batch is that of training", "eval_batch_size eval_sequence_len"),
    ("always", "adapters are computed and saved in fp32", "peft_autocast_adapter_dtype"),
    ("always", "an unknown key is refused", "strict"),
    (
        "always",
        "loss curves, throughput and memory are in the report",
        "logging_steps include_tokens_per_second include_tkps use_tensorboard "
        "total_num_tokens total_supervised_tokens",
    ),
    (
        "always",
        "base and tuned answer the test set, scored by the task's metrics, and stand side by side",
        "do_causal_lm_eval eval_causal_lm_metrics generate_samples num_generation_samples "
        "generation_prompt_ratio eval_table_size eval_max_new_tokens",
    ),
    ("always", "`training.evaluations` says how often", "eval_strategy evaluation_strategy"),
    ("always", "`snakemake merge` merges, in 16 bits", "merge_lora merge_method"),
]

_UNNEEDED: Rows = [
    (
        "unneeded",
        "transformers chooses the implementation of attention; results do not depend on it",
        "flash_attention sdp_attention xformers_attention flex_attention eager_attention "
        "sage_attention attn_implementation flex_attn_compile_kwargs flash_attn_cross_entropy "
        "flash_attn_fuse_mlp flash_attn_rms_norm flash_optimum sdpa_varlen large_head_attention "
        "flash_attn_d512 fused_attn_kernel gemma4_hybrid_attn_impl",
    ),
    (
        "unneeded",
        "kernels and compilation change the speed, not the method",
        "use_kernels torch_compile torch_compile_backend torch_compile_mode "
        "torch_compile_options tf32 lora_mlp_kernel lora_qkv_kernel lora_o_kernel "
        "lora_embedding_kernel chunked_cross_entropy chunked_cross_entropy_num_chunks tiled_mlp "
        "tiled_mlp_num_shards tiled_mlp_use_original_mlp cut_cross_entropy liger_rope "
        "liger_rms_norm liger_rms_norm_gated liger_layer_norm liger_swiglu liger_glu_activation "
        "liger_cross_entropy liger_fused_linear_cross_entropy liger_use_token_scaling "
        "expert_backend moe_grouped_backend moe_dequant_chunk_size moe_bnb_fast use_scattermoe "
        "use_sonicmoe use_dsv4_kernels use_glm_dsa_kernels dsv4_fp8_lora_kernel "
        "dsv4_shared_mlp_lora_kernel dsv4_fp4_grouped_mode experts_implementation",
    ),
    (
        "unneeded",
        "memory, processes and devices are the run's own business",
        "device device_map world_size local_rank ddp ddp_timeout ddp_bucket_cap_mb "
        "ddp_broadcast_buffers ddp_find_unused_parameters dataset_processes dataset_num_proc "
        "dataset_keep_in_memory dataloader_pin_memory dataloader_num_workers "
        "dataloader_prefetch_factor dataloader_drop_last accelerator_config "
        "remove_unused_columns max_memory gpu_memory_limit low_cpu_mem_usage gc_steps "
        "torch_empty_cache_steps gc_collect_steps gradient_checkpointing_kwargs "
        "selective_checkpointing activation_offloading layer_offloading lora_on_cpu "
        "qlora_sharded_model_loading experimental_skip_move_to_device embeddings_skip_upcast "
        "sample_packing_mp_start_method axolotl_config_path streaming "
        "streaming_multipack_buffer_size pretrain_multipack_buffer_size profiler_steps "
        "profiler_steps_start torchdistx_path",
    ),
    (
        "unneeded",
        "no service is reported to: results are files and one page",
        "use_wandb wandb_name wandb_run_id wandb_mode wandb_project wandb_entity wandb_watch "
        "wandb_log_model use_mlflow mlflow_tracking_uri mlflow_experiment_name mlflow_run_name "
        "hf_mlflow_log_artifacts use_comet comet_api_key comet_workspace comet_project_name "
        "comet_experiment_key comet_mode comet_online comet_experiment_config use_trackio "
        "trackio_project_name trackio_run_name trackio_space_id use_otel_metrics "
        "otel_metrics_host otel_metrics_port use_swanlab swanlab_project "
        "swanlab_experiment_name swanlab_description swanlab_mode swanlab_workspace "
        "swanlab_api_key swanlab_log_model swanlab_web_host swanlab_api_host "
        "swanlab_lark_webhook_url swanlab_lark_secret swanlab_log_completions "
        "swanlab_completion_log_interval swanlab_completion_max_buffer",
    ),
    (
        "unneeded",
        "nothing is uploaded; the login of the hub is used where it is stored",
        "hub_model_id hub_strategy hub_revision push_dataset_to_hub hf_use_auth_token",
    ),
    (
        "unneeded",
        "`scripts/try_model.py` asks base and tuned, in a terminal or a page",
        "gradio_title gradio_share gradio_server_name gradio_server_port gradio_max_new_tokens "
        "gradio_temperature",
    ),
    (
        "unneeded",
        "a cluster is used by --workflow-profile profiles/slurm",
        "use_ray ray_run_name ray_num_workers resources_per_worker",
    ),
    ("unneeded", "no code of a repository is run, no class by its name", "trust_remote_code"),
    ("unneeded", "what a plugin asks for stands at its own fields", "plugins"),
    (
        "unneeded",
        "scores after training are part of each run",
        "lm_eval_tasks lm_eval_batch_size lm_eval_post_train lm_eval_model do_bench_eval "
        "bench_dataset bench_split",
    ),
]

_NONE: Rows = [
    (
        "none",
        "several GPUs: set `training.gpus`, and `training.sharded: true` for a base that does not "
        "fit on one",
        "deepspeed deepcompile fsdp fsdp_config fsdp_version fsdp_final_state_dict_type "
        "dp_shard_size dp_replicate_size fp32_norms fp32_norm_classes",
    ),
    (
        "none",
        "a row or a layer is never divided among GPUs",
        "sequence_parallel_degree context_parallel_size heads_k_stride ring_attn_func "
        "tensor_parallel_size expert_parallel_size expert_parallel_backend "
        "expert_parallel_num_nvl_bytes expert_parallel_num_rdma_bytes "
        "expert_parallel_token_capacity expert_parallel_fallback_on_unsupported",
    ),
    (
        "none",
        "the order of packing is the run's own",
        "sample_packing_sequentially curriculum_sampling",
    ),
    (
        "none",
        "the optimizer has the betas, epsilon and arguments of its name",
        "adam_beta1 adam_beta2 adam_beta3 adam_epsilon adam_epsilon2 optim_args "
        "optim_target_modules dion_lr dion_momentum dion_rank_fraction dion_rank_multiple_of "
        "qgalore_rank qgalore_update_proj_gap qgalore_scale qgalore_proj_type qgalore_proj_quant "
        "qgalore_proj_bits qgalore_proj_group_size qgalore_cos_threshold qgalore_gamma_proj "
        "qgalore_queue_size grokfast_alpha grokfast_lamb",
    ),
    (
        "none",
        "one learning rate for all, on a schedule without further arguments",
        "embedding_lr embedding_lr_scale lr_groups lr_scheduler_kwargs lr_quadratic_warmup "
        "cosine_min_lr_ratio cosine_constant_lr_ratio lr_div_factor loraplus_lr_ratio "
        "loraplus_lr_embedding jagged_restart_steps jagged_restart_warmup_steps "
        "jagged_restart_anneal_steps",
    ),
    (
        "none",
        "the vocabulary stays as it is",
        "tokens added_tokens_overrides resize_token_embeddings_to_32x mean_resizing_embeddings "
        "shrink_embeddings fix_untrained_tokens peft_trainable_token_indices "
        "peft_ensure_weight_tying",
    ),
    (
        "none",
        "training ends after its epochs or steps, and the last state is evaluated",
        "loss_watchdog_threshold loss_watchdog_patience early_stopping_patience "
        "load_best_model_at_end metric_for_best_model greater_is_better",
    ),
    ("none", "records are taken however short they are", "min_sample_len"),
    (
        "none",
        "the loss is cross-entropy, the input as it is",
        "neftune_noise_alpha noisy_embedding_alpha use_eaft eaft_alpha eaft_k kd_trainer "
        "kd_ce_alpha kd_alpha kd_temperature kd_temperature_min kd_beta kd_normalize_topk "
        "kd_online_server_base_url kd_online_topk kd_online_server kd_online_timeout",
    ),
    (
        "none",
        "LoRA as in peft, on whole linear layers, with nf4 or int8 by bitsandbytes",
        "use_onebitllms lora_target_parameters lora_fan_in_fan_out peft_layers_pattern "
        "peft_layer_replication "
        "peft bnb_config_kwargs quantize_moe_experts nvfp4_merge_aware "
        "nvfp4_merge_aware_start_step llama4_linearized_experts",
    ),
    (
        "none",
        "the model is taken as it is",
        "model_config overrides_of_model_config model_kwargs overrides_of_model_kwargs "
        "rope_scaling use_pose pose_split_on_token_ids pose_max_context_len pose_num_chunks "
        "scaling_softmax scaling_softmax_factor scaling_softmax_bias s2_attention dense_mixer",
    ),
    (
        "none",
        "a template of your own, or its arguments",
        "chat_template_jinja chat_template_kwargs",
    ),
    ("none", "fp8 is not a compute type here", "fp8 fp8_enable_fsdp_float8_all_gather"),
    ("none", "all records are read", "dataset_shard_num dataset_shard_idx"),
]

_REFUSED: Rows = [
    (
        "refused",
        "preferences and rewards (DPO, KTO, ORPO, GRPO, PPO) are not trained here; supervised "
        "tuning is, and takes the chosen side of preference pairs, see docs/data.md",
        "rl reward_model process_reward_model ebft nemo_gym_enabled hatchery",
    ),
    (
        "unneeded",
        "goes with `rl` or a reward model, which are refused",
        "trl vllm center_rewards_coefficient num_labels dpo_use_weighting dpo_label_smoothing "
        "precompute_ref_log_probs dpo_use_liger_kernel dpo_padding_free dpo_loss_type "
        "dpo_loss_weights dpo_beta dpo_use_logits_to_keep dpo_generate_during_eval dpo_norm_loss "
        "rpo_alpha orpo_alpha simpo_gamma cpo_alpha kto_desirable_weight kto_undesirable_weight "
        "rl_beta max_prompt_len nemo_gym_dir nemo_gym_auto_clone nemo_gym_config_paths "
        "nemo_gym_head_port nemo_gym_server_timeout nemo_gym_verify_timeout "
        "nemo_gym_run_timeout nemo_gym_datasets nemo_gym_auto_start nemo_gym_model_name "
        "nemo_gym_multi_turn nemo_gym_max_turns",
    ),
    (
        "refused",
        "an adapter here begins anew from its base, and stays one adapter",
        "lora_model_dir relora",
    ),
    (
        "unneeded",
        "goes with `relora`, which is refused",
        "relora_prune_ratio relora_prune_method relora_cpu_offload",
    ),
    (
        "refused",
        "weights of the base are not trained, only LoRA adapters of it",
        "unfrozen_parameters lisa_n_layers spectrum_top_fraction reinit_weights mora",
    ),
    (
        "unneeded",
        "goes with LISA or Spectrum, which are refused",
        "lisa_step_interval lisa_layers_attribute spectrum_model_name",
    ),
    ("refused", "images and sound; the models here read text", "processor_type"),
    (
        "unneeded",
        "for images and sound alone",
        "processor_kwargs image_size image_resize_algorithm role_boundaries freeze_mm_modules",
    ),
    (
        "refused",
        "the base is quantized here, by `quantization: nf4`, `int8` or `gptq`; name the one that "
        "is not quantized yet",
        "gptq model_quantization_config qat llmcompressor nonexpert_quantization "
        "dsv4_fp8_nonexpert_mode dsv4_bf16_all gemma4_fp8_nonexpert gemma4_nf4_nonexpert",
    ),
    (
        "unneeded",
        "goes with a base that is quantized already, or with quantizing after the training",
        "model_quantization_config_kwargs quantization",
    ),
    ("refused", "causal language models are trained by the next token", "diffusion trainer_cls"),
]

AXOLOTL = Program(
    title="Axolotl",
    version="0.18.0",
    repository="axolotl-ai-cloud/axolotl",
    commit="067b021c8b87a9e5e380b9173c704cf7340e30f5",
    read_from="src/axolotl/utils/schemas, src/axolotl/integrations",
    lists=LISTS,
    told_by=("base_model",),
    contrary={
        "shuffle_merged_datasets": (False, "records are shuffled with the seed here"),
        "pretrain_multipack_attn": (False, "documents in a row do not see each other here"),
        "eval_strategy": ("no", "the validation loss is always computed here"),
    },
    fields=table([*_OURS, *dataset_rows(), *_ALWAYS, *_UNNEEDED, *_NONE, *_REFUSED]),
)
