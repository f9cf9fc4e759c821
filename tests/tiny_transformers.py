"""Tiny configurations and inputs of diffusers' transformer classes: class name -> function that
gives (constructor arguments, forward arguments).

All have two blocks or so of each kind and a batch of two where the class allows it.
"""

import diffusers
import torch

TEXT, WIDE = 5, 16  # prompt tokens and their width


def randn(*shape):
    return torch.randn(shape)


def ones(*shape, dtype=torch.float32):
    return torch.ones(shape, dtype=dtype)


def tiny(name):
    """-> (a model with random weights, the arguments of one forward)."""
    torch.manual_seed(0)
    config, inputs = TINY[name]()
    model = getattr(diffusers, name)(**config).eval()
    for parameter in model.parameters():  # some start at zero, which hides what a unit does
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.requires_grad_(False), inputs


def image(channels=4, size=8):
    """What most image models take."""
    return {
        "hidden_states": randn(2, channels, size, size),
        "encoder_hidden_states": randn(2, TEXT, WIDE),
        "timestep": torch.tensor([500.0, 500.0]),
    }


def video(channels=4, frames=2, size=8):
    return image() | {"hidden_states": randn(2, channels, frames, size, size)}


def heads(count=2, width=8, layers=2, **more):
    names = {"num_attention_heads": count, "attention_head_dim": width, "num_layers": layers}
    return names | more


def channels(count=4):
    return {"in_channels": count, "out_channels": count}


def packed(axes=3):
    """Flux and its kin: a sequence of 4 x 4 image tokens, with positions of image and prompt."""
    inputs = image() | {"hidden_states": randn(2, 16, 4), "timestep": torch.tensor([0.5, 0.5])}
    places = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    ids = torch.cat([torch.zeros(16, axes - 2), places], dim=1)
    return inputs | {"img_ids": ids, "txt_ids": torch.zeros(TEXT, axes)}


def flux_like(**more):
    sizes = heads(width=16, num_single_layers=2, in_channels=4, joint_attention_dim=WIDE)
    return sizes | {"axes_dims_rope": (4, 4, 8)} | more


def wan_like(**more):
    sizes = heads(width=12, text_dim=WIDE, freq_dim=16, ffn_dim=32, rope_max_seq_len=32)
    return sizes | channels() | more


def hunyuan_video_like(**more):
    sizes = heads(width=10, num_single_layers=2, num_refiner_layers=1, text_embed_dim=WIDE)
    sizes |= {"patch_size": 2, "patch_size_t": 1, "pooled_projection_dim": 8}
    return sizes | channels() | {"rope_axes_dim": (2, 4, 4), "guidance_embeds": True} | more


def prompt_mask(dtype=torch.float32):
    return {"encoder_attention_mask": ones(2, TEXT, dtype=dtype)}


def sizes_of_image():
    size = torch.tensor([[64.0, 64.0]] * 2)
    return {"original_size": size, "target_size": size, "crop_coords": torch.zeros(2, 2)}


def cogvideox_like(**more):
    sizes = heads(text_embed_dim=WIDE, time_embed_dim=8, max_text_seq_length=TEXT)
    sizes |= {"sample_width": 8, "sample_height": 8, "sample_frames": 5}
    return sizes | channels() | more


def bria_fibo2():
    config = {"in_channels": 4, "dim": 32, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 2}
    config |= {"cap_feat_dim": WIDE, "injection_layer_ids": (1,), "perceiver_num_layers": 1}
    config |= {"min_num_gist_tokens": 4, "max_num_gist_tokens": 8, "gist_step": 4}
    config |= {"axes_dims": (8, 4, 4), "axes_lens": (32, 16, 16)}
    inputs = image() | {"timestep": torch.tensor([0.5, 0.5])}
    return config, inputs | {"encoder_hidden_states": randn(2, 2, TEXT, WIDE)}


def cosmos():
    config = heads(width=12, text_embed_dim=WIDE, adaln_lora_dim=4, max_size=(4, 16, 16))
    inputs = {"fps": 30, "padding_mask": torch.zeros(1, 1, 8, 8)}
    return config | channels() | {"mlp_ratio": 2}, video() | inputs


def cosmos3():
    config = {"head_dim": 8, "hidden_size": 16, "intermediate_size": 32, "latent_channel": 2}
    config |= {"num_attention_heads": 2, "num_hidden_layers": 2, "num_key_value_heads": 1}
    config |= {"latent_patch_size": 1, "patch_latent_dim": 2, "rope_axes_dim": [2, 1, 1]}
    config |= {"vocab_size": 32}
    seen = torch.arange(2, 6)
    inputs = {"input_ids": torch.tensor([1, 2]), "text_indexes": torch.tensor([0, 1])}
    inputs |= {"position_ids": torch.arange(6).expand(3, 6), "und_len": 2, "sequence_length": 6}
    inputs |= {"vision_tokens": [randn(1, 2, 1, 2, 2)], "vision_token_shapes": [(1, 2, 2)]}
    inputs |= {"vision_sequence_indexes": seen, "vision_mse_loss_indexes": seen}
    inputs |= {"vision_timesteps": ones(4), "vision_noisy_frame_indexes": [torch.tensor([0])]}
    return config, inputs


def consisid():
    config = cogvideox_like(cross_attn_interval=1, is_train_face=True, LFE_depth=5)
    config |= {"cross_attn_dim_head": 4, "cross_attn_num_heads": 2, "LFE_id_dim": 4}
    config |= {"LFE_vit_dim": 4, "LFE_dim_head": 4, "LFE_num_heads": 2, "LFE_num_id_token": 1}
    config |= {"LFE_num_querie": 2, "LFE_output_dim": 10, "LFE_ff_mult": 1, "LFE_num_scale": 1}
    inputs = image() | {"hidden_states": randn(2, 1, 4, 8, 8)}
    return config, inputs | {"id_vit_hidden": [randn(2, 2, 4)], "id_cond": randn(2, 4)}


def flux3():
    config = flux_like(cond_in_channels=4, axes_dims_rope=(4, 4, 4, 4), timestep_channels=16)
    return config, packed(axes=4)


def framepack():
    config = hunyuan_video_like(has_image_proj=True, image_proj_dim=8, has_clean_x_embedder=True)
    inputs = hunyuan_video_inputs() | {"image_embeds": randn(2, 3, 8)}
    inputs |= {"indices_latents": torch.arange(2), "indices_latents_clean": torch.arange(1)}
    inputs |= {"latents_clean": randn(2, 4, 1, 8, 8), "latents_history_2x": randn(2, 4, 2, 8, 8)}
    inputs |= {"indices_latents_history_2x": torch.arange(2)}
    inputs |= {"latents_history_4x": randn(2, 4, 4, 8, 8)}
    return config, inputs | {"indices_latents_history_4x": torch.arange(4)}


def hunyuan_video_inputs():
    inputs = video() | prompt_mask() | {"pooled_projections": randn(2, 8)}
    return inputs | {"guidance": torch.tensor([1000.0, 1000.0])}


def hunyuan_video15():
    config = heads(num_refiner_layers=1, mlp_ratio=2.0, text_embed_dim=WIDE, text_embed_2_dim=8)
    config |= {"image_embed_dim": 8, "rope_axes_dim": (2, 2, 4), "task_type": "t2v"}
    config |= {"target_size": 16, "patch_size": 1}
    inputs = video() | prompt_mask() | {"encoder_hidden_states_2": randn(2, 3, 8)}
    inputs |= {"encoder_attention_mask_2": ones(2, 3), "image_embeds": torch.zeros(2, 2, 8)}
    return config | channels(), inputs


def hunyuan_image():
    config = heads(num_single_layers=2, num_refiner_layers=1, text_embed_dim=WIDE)
    config |= {"rope_axes_dim": (4, 4), "patch_size": (1, 1)}
    return config | channels(), image(size=4) | prompt_mask()


def hunyuan_dit():
    config = heads(sample_size=8, patch_size=2, in_channels=4, hidden_size=16, layers=4)
    config |= {"cross_attention_dim": WIDE, "cross_attention_dim_t5": WIDE, "text_len": TEXT}
    config |= {"pooled_projection_dim": 4, "text_len_t5": TEXT}
    inputs = image() | {"text_embedding_mask": ones(2, TEXT)}
    inputs |= {"encoder_hidden_states_t5": randn(2, TEXT, WIDE)}
    inputs |= {"text_embedding_mask_t5": ones(2, TEXT), "image_meta_size": ones(2, 6)}
    inputs |= {"style": torch.zeros(2, dtype=torch.long)}
    return config, inputs | {"image_rotary_emb": (randn(16, 8), randn(16, 8))}


def hidream():
    config = heads(num_single_layers=2, patch_size=2, caption_channels=[WIDE, WIDE], text_emb_dim=8)
    config |= {"num_routed_experts": 2, "num_activated_experts": 2, "axes_dims_rope": (4, 2, 2)}
    config |= {
        "max_resolution": (8, 8),
        "llama_layers": (0, 1, 0, 1),
        "force_inference_output": True,
    }
    inputs = {"hidden_states": randn(2, 4, 8, 8), "timesteps": torch.tensor([500, 500])}
    inputs |= {"encoder_hidden_states_t5": randn(2, TEXT, WIDE), "pooled_embeds": randn(2, 8)}
    inputs |= {"encoder_hidden_states_llama3": randn(2, 2, TEXT, WIDE)}
    return config | channels(), inputs


def helios():
    config = wan_like(rope_dim=(4, 4, 4))
    config.pop("rope_max_seq_len")
    inputs = video() | {"indices_hidden_states": ones(2, 2), "timestep": torch.tensor([500, 500])}
    for name, frames in (("short", 1), ("mid", 1), ("long", 4)):
        inputs[f"indices_latents_history_{name}"] = ones(2, frames)
        inputs[f"latents_history_{name}"] = randn(2, 4, frames, 8, 8)
    return config, inputs


def ideogram4():
    config = heads(in_channels=4, intermediate_size=32, adaln_dim=16, llm_features_dim=8)
    config |= {"mrope_section": (2, 1, 1), "rope_theta": 10000}
    tokens = TEXT + 4
    inputs = {"hidden_states": randn(2, tokens, 4), "encoder_hidden_states": randn(2, tokens, 8)}
    inputs |= {"timestep": torch.tensor([0.5, 0.5]), "segment_ids": ones(2, tokens).long()}
    inputs |= {"position_ids": torch.arange(tokens)[None, :, None].expand(2, tokens, 3)}
    kinds = diffusers.models.transformers.transformer_ideogram4
    text, picture = kinds.LLM_TOKEN_INDICATOR, kinds.OUTPUT_IMAGE_INDICATOR
    return config, inputs | {"indicator": torch.tensor([[text] * TEXT + [picture] * 4] * 2)}


def joyimage(**more):
    config = {"in_channels": 4, "hidden_size": 32, "num_attention_heads": 2, "text_dim": WIDE}
    config |= {"num_layers": 2, "rope_dim_list": [4, 6, 6]}
    return config, video(frames=1, size=4) | more


def kandinsky5():
    config = {"in_text_dim": WIDE, "in_text_dim2": 8, "time_dim": 16, "model_dim": 16}
    config |= {"ff_dim": 32, "num_text_blocks": 1, "num_visual_blocks": 2, "axes_dims": (2, 2, 4)}
    inputs = image() | {"hidden_states": randn(1, 2, 8, 8, 4), "pooled_projections": randn(1, 8)}
    inputs |= {"encoder_hidden_states": randn(1, TEXT, WIDE), "timestep": torch.tensor([500.0])}
    places = [torch.arange(2), torch.arange(4), torch.arange(4)]
    return config, inputs | {"visual_rope_pos": places, "text_rope_pos": torch.arange(TEXT)}


def kandinsky6():
    config = {"in_visual_dim": 4, "out_visual_dim": 4, "in_text_dim": WIDE, "in_text_dim2": 8}
    config |= {"time_dim": 16, "model_dim": 16, "ff_dim": 32, "num_text_blocks": 1}
    config |= {"num_visual_blocks": 2, "axes_dims": (2, 2, 4), "visual_cond": False}
    config |= {"in_audio_dim": 4, "out_audio_dim": 4}
    inputs = image() | {"hidden_states": randn(2, 2, 8, 8, 4), "pooled_projections": randn(2, 8)}
    return config, inputs | {"audio_hidden_states": randn(2, 6, 4)}


def krea2():
    config = heads(num_key_value_heads=1, in_channels=4, intermediate_size=32, timestep_embed_dim=8)
    config |= {"text_hidden_dim": WIDE, "num_text_layers": 3, "text_num_attention_heads": 2}
    config |= {"text_num_key_value_heads": 1, "text_intermediate_size": 16}
    config |= {"num_layerwise_text_blocks": 1, "num_refiner_text_blocks": 1}
    inputs = {"hidden_states": randn(2, 16, 4), "timestep": torch.tensor([0.5, 0.5])}
    inputs |= {"encoder_hidden_states": randn(2, TEXT, 3, WIDE)}
    return config | {"axes_dims_rope": (4, 2, 2)}, inputs | {"position_ids": randn(TEXT + 16, 3)}


def latte():
    config = heads(sample_size=8, patch_size=2, caption_channels=WIDE, cross_attention_dim=16)
    config |= {"norm_type": "ada_norm_single", "num_embeds_ada_norm": 1000, "video_length": 2}
    config |= {"norm_elementwise_affine": False, "activation_fn": "gelu-approximate"}
    return config | channels(), video()


def ltx(**more):
    tokens = {"hidden_states": randn(2, 32, 4), "num_frames": 2, "height": 4, "width": 4}
    config = heads(cross_attention_dim=16, caption_channels=WIDE)
    return config | channels() | more, image() | tokens | prompt_mask()


def ltx2():
    config, inputs = ltx(audio_in_channels=4, audio_out_channels=4, audio_num_attention_heads=2)
    config |= {"audio_attention_head_dim": 4, "audio_cross_attention_dim": 8}
    inputs |= {"audio_hidden_states": randn(2, 9, 4), "audio_num_frames": 9}
    return config, inputs | {"audio_encoder_hidden_states": randn(2, TEXT, WIDE)}


def lumina_next():
    config = {"sample_size": 8, "in_channels": 4, "hidden_size": 24, "num_layers": 2}
    config |= {"num_attention_heads": 3, "num_kv_heads": 1, "multiple_of": 16}
    config |= {"cross_attention_dim": WIDE}
    inputs = image() | {"encoder_mask": ones(2, TEXT), "image_rotary_emb": randn(16, 16, 4)}
    return config, inputs | {"cross_attention_kwargs": {}}


def lumina2():
    config = {"sample_size": 8, "in_channels": 4, "hidden_size": 24, "num_layers": 2}
    config |= {"num_refiner_layers": 1, "num_attention_heads": 3, "num_kv_heads": 1}
    config |= {"multiple_of": 2, "axes_dim_rope": (4, 2, 2), "axes_lens": (32, 16, 16)}
    return config | {"cap_feat_dim": WIDE}, image() | prompt_mask(torch.bool)


def minimax_h3():
    config = heads(hidden_size=24, num_refiner_layers=1, ffn_dim=32, in_channels=4, width=16)
    config |= {"audio_in_channels": 6, "text_dim": WIDE, "freq_dim": 8, "time_embed_dim": 16}
    config |= {"time_embed_hidden_dim": 24, "rope_freq_dim": 2}
    text, audio, seen = torch.arange(15).split([TEXT, 2, 8])
    inputs = {"hidden_states": randn(2, 8, 16), "audio_hidden_states": randn(2, 2, 6)}
    inputs |= {"encoder_hidden_states": randn(2, TEXT, WIDE), "position_ids": randn(15, 3)}
    inputs |= {"timestep": torch.tensor([0.7, 0.3])}
    inputs |= {"timestep_indices": torch.tensor([0] * TEXT + [1] * 2 + [0] * 8)}
    inputs |= {"token_tags": torch.tensor([1] * TEXT + [2] * 2 + [0] * 8)}
    return config, inputs | {"text_indices": text, "audio_indices": audio, "video_indices": seen}


def minimax_music3():
    config = heads(in_channels=4, condition_dim=8, ff_inner_dim=32, rotary_dim=4)
    inputs = {"hidden_states": randn(2, 4, 12), "encoder_hidden_states": randn(2, 12, 8)}
    return config | {"fourier_embedding_dim": 8}, inputs | {"timestep": torch.tensor([0.5, 0.5])}


def mochi():
    config = heads(pooled_projection_dim=16, in_channels=4, text_embed_dim=WIDE, time_embed_dim=4)
    config |= {"activation_fn": "swiglu", "max_sequence_length": TEXT}
    return config, video() | prompt_mask(torch.bool)


def motif_video():
    config = heads(
        num_single_layers=2, in_channels=5, out_channels=4, text_embed_dim=WIDE, width=12
    )
    return config | {"rope_axes_dim": (4, 4, 4)}, video(channels=5)


def nucleus():
    config = heads(width=64, in_channels=16, out_channels=4, joint_attention_dim=WIDE)
    config |= {"axes_dims_rope": (32, 16, 16), "moe_enabled": False, "capacity_factors": [8.0, 8.0]}
    inputs = image() | {"hidden_states": randn(2, 16, 16), "img_shapes": [(1, 4, 4)] * 2}
    mask = ones(2, TEXT, dtype=torch.long)
    return config, inputs | {"encoder_hidden_states_mask": mask}


def omnigen():
    config = {"in_channels": 4, "hidden_size": 16, "num_attention_heads": 4, "num_layers": 2}
    config |= {"num_key_value_heads": 4, "intermediate_size": 32, "pad_token_id": 0}
    config |= {"rope_scaling": {"long_factor": [1, 2], "short_factor": [1, 2]}, "vocab_size": 50}
    tokens = 24 + 1 + 16
    inputs = {"hidden_states": randn(2, 4, 8, 8), "timestep": torch.tensor([0.5, 0.5])}
    inputs |= {
        "input_ids": torch.arange(48).reshape(2, 24),
        "input_img_latents": [randn(1, 4, 8, 8)],
    }
    inputs |= {"input_image_sizes": {0: [[0, 16]]}, "attention_mask": ones(2, tokens, tokens)}
    return config, inputs | {"position_ids": torch.arange(tokens).expand(2, tokens)}


def pixart():
    config = heads(sample_size=8, cross_attention_dim=16, caption_channels=WIDE)
    config |= {"in_channels": 4, "out_channels": 8}
    added = {"added_cond_kwargs": {"resolution": None, "aspect_ratio": None}}
    return config, image() | prompt_mask() | added


def prior():
    config = heads(embedding_dim=8, num_embeddings=TEXT, additional_embeddings=4)
    inputs = {"hidden_states": randn(2, 8), "timestep": 2, "proj_embedding": randn(2, 8)}
    return config, inputs | {"encoder_hidden_states": randn(2, TEXT, 8)}


def prx():
    config = {"in_channels": 4, "context_in_dim": WIDE, "hidden_size": 16, "num_heads": 2}
    return config | {"depth": 2, "axes_dim": [4, 4], "mlp_ratio": 2.0}, image()


def qwen_image(**more):
    config = heads(width=16, in_channels=16, out_channels=4, joint_attention_dim=WIDE)
    inputs = image() | {"hidden_states": randn(2, 16, 16), "img_shapes": [(1, 4, 4)] * 2}
    inputs |= {"encoder_hidden_states_mask": ones(2, TEXT, dtype=torch.long)}
    return config | {"axes_dims_rope": (8, 4, 4)} | more, inputs


def qwen_image21():
    config = heads(width=16, in_channels=4, out_channels=4, context_in_dim=WIDE)
    inputs = image() | {"hidden_states": randn(2, 16, 4), "img_shapes": [[(1, 4, 4)]] * 2}
    inputs |= {"img_mask": torch.tensor([[False] * TEXT + [True] * 4] * 2)}
    return config | {"axes_dims_rope": (8, 4, 4)}, inputs


def sana(**more):
    config = heads(num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16)
    return config | channels() | {"caption_channels": WIDE, "sample_size": 8} | more


def sd3():
    config = heads(sample_size=8, joint_attention_dim=WIDE, caption_projection_dim=16, layers=3)
    config |= {"pooled_projection_dim": 8, "pos_embed_max_size": 8, "dual_attention_layers": (0,)}
    return config | channels(), image() | {"pooled_projections": randn(2, 8)}


def stable_audio():
    config = {"sample_size": 16, "in_channels": 4, "out_channels": 4, "num_layers": 2}
    config |= {"attention_head_dim": 8, "num_attention_heads": 2, "time_proj_dim": 8}
    config |= {"num_key_value_attention_heads": 2, "cross_attention_dim": 16}
    config |= {"cross_attention_input_dim": WIDE, "global_states_input_dim": 8}
    inputs = image() | {"hidden_states": randn(2, 4, 16), "global_hidden_states": randn(2, 1, 8)}
    return config, inputs | {"rotary_embedding": (randn(17, 4), randn(17, 4))}


def stable_audio3():
    config = {"io_channels": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_memory_tokens": 2}
    config |= {"cond_token_dim": WIDE, "global_cond_dim": 8, "local_add_cond_dim": 5}
    inputs = image() | {"hidden_states": randn(2, 4, 16), "global_hidden_states": randn(2, 8)}
    return config | {"timestep_features_dim": 8}, inputs | {"timestep": torch.tensor([0.5, 0.5])}


def wan_animate():
    sizes = {"4": 16, "8": 16, "16": 16}
    config = wan_like(in_channels=12, latent_channels=4, image_dim=16, motion_encoder_size=16)
    config |= {"motion_encoder_channel_sizes": sizes, "motion_style_dim": 8, "motion_dim": 4}
    config |= {"motion_encoder_dim": 16, "face_encoder_hidden_dim": 16}
    config |= {"face_encoder_num_heads": 2, "inject_face_latents_blocks": 2}
    inputs = {"hidden_states": randn(1, 12, 3, 8, 8), "timestep": torch.tensor([500])}
    inputs |= {"encoder_hidden_states": randn(1, TEXT, WIDE)}
    inputs |= {"encoder_hidden_states_image": randn(1, 4, 16)}
    inputs |= {"pose_hidden_states": randn(1, 4, 2, 8, 8)}
    return config, inputs | {"face_pixel_values": randn(1, 3, 5, 16, 16)}


def z_image(**more):
    config = {"in_channels": 4, "dim": 16, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 1}
    config |= {"n_kv_heads": 1, "cap_feat_dim": WIDE, "axes_dims": [8, 4, 4]}
    config |= {"axes_lens": [64, 32, 32]}
    inputs = {"x": [randn(4, 1, 8, 8), randn(4, 1, 8, 8)], "t": torch.tensor([0.5, 0.5])}
    return config | more, inputs | {"cap_feats": [randn(TEXT, WIDE), randn(TEXT, WIDE)]}


def ace_step():
    config = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "in_channels": 24}
    config |= {"audio_acoustic_hidden_dim": 8, "sliding_window": 16}
    inputs = {"hidden_states": randn(2, 8, 8), "timestep": torch.tensor([0.5, 0.5])}
    inputs |= {"timestep_r": torch.tensor([0.2, 0.2]), "context_latents": randn(2, 8, 16)}
    return config, inputs | {"encoder_hidden_states": randn(2, TEXT, 32)}


def anyflow():
    inputs = video() | {"hidden_states": randn(2, 4, 4, 8, 8), "timestep": ones(2, 4) * 500}
    return wan_like(), inputs | {"r_timestep": ones(2, 4) * 250}


TINY = {
    "AceStepTransformer1DModel": ace_step,
    "AllegroTransformer3DModel": lambda: (
        heads(sample_width=8, sample_height=8, sample_frames=2, caption_channels=WIDE)
        | channels()
        | {"cross_attention_dim": 16},
        video(),
    ),
    "AnyFlowTransformer3DModel": anyflow,
    "AuraFlowTransformer2DModel": lambda: (
        channels()
        | {"sample_size": 8, "num_mmdit_layers": 2, "num_single_dit_layers": 2}
        | {"attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": WIDE}
        | {"caption_projection_dim": 16, "pos_embed_max_size": 16},
        image(),
    ),
    "BriaFibo2Transformer2DModel": bria_fibo2,
    "BriaFiboTransformer2DModel": lambda: (
        flux_like(text_encoder_dim=8),
        packed() | {"text_encoder_layers": [randn(2, TEXT, 8)] * 4},
    ),
    "BriaTransformer2DModel": lambda: (flux_like(), packed()),
    "ChromaTransformer2DModel": lambda: (
        flux_like(approximator_num_channels=8, approximator_hidden_dim=16, approximator_layers=1),
        packed(),
    ),
    "ChronoEditTransformer3DModel": lambda: (wan_like(), video()),
    "CogVideoXTransformer3DModel": lambda: (
        cogvideox_like(),
        image() | {"hidden_states": randn(2, 2, 4, 8, 8)},
    ),
    "CogView3PlusTransformer2DModel": lambda: (
        heads(text_embed_dim=WIDE, time_embed_dim=8, condition_dim=4, pos_embed_max_size=8)
        | channels(),
        image() | sizes_of_image(),
    ),
    "CogView4Transformer2DModel": lambda: (
        heads(text_embed_dim=WIDE, time_embed_dim=8, condition_dim=4, rope_axes_dim=(8, 8))
        | channels(),
        image() | sizes_of_image(),
    ),
    "ConsisIDTransformer3DModel": consisid,
    "Cosmos3OmniTransformer": cosmos3,
    "CosmosTransformer3DModel": cosmos,
    "DiTTransformer2DModel": lambda: (
        heads(sample_size=8, in_channels=4, out_channels=8, num_embeds_ada_norm=1000),
        {"hidden_states": randn(2, 4, 8, 8), "timestep": torch.tensor([5, 5])}
        | {"class_labels": torch.tensor([1, 2])},
    ),
    "DreamLiteTransformer2DModel": lambda: (
        heads(in_channels=4, norm_num_groups=2, cross_attention_dim=WIDE, layers=1),
        image(),
    ),
    "EasyAnimateTransformer3DModel": lambda: (
        heads(mmdit_layers=1, patch_size=2, text_embed_dim=WIDE, time_embed_dim=8, width=16)
        | channels(),
        video(),
    ),
    "ErnieImageTransformer2DModel": lambda: (
        channels()
        | {"hidden_size": 16, "num_attention_heads": 1, "num_layers": 2, "ffn_hidden_size": 32}
        | {"text_in_dim": WIDE, "rope_axes_dim": (8, 4, 4)},
        {"hidden_states": randn(2, 4, 8, 8), "timestep": torch.tensor([0.5, 0.5])}
        | {"text_bth": randn(2, TEXT, WIDE), "text_lens": torch.tensor([TEXT, TEXT])},
    ),
    "Flux2Transformer2DModel": lambda: (
        flux_like(axes_dims_rope=(4, 4, 4, 4), timestep_guidance_channels=16),
        packed(axes=4) | {"guidance": ones(2)},
    ),
    "Flux3Transformer2DModel": flux3,
    "FluxTransformer2DModel": lambda: (
        flux_like(pooled_projection_dim=8),
        packed() | {"pooled_projections": randn(2, 8)},
    ),
    "GlmImageTransformer2DModel": lambda: (
        heads(text_embed_dim=WIDE, time_embed_dim=8, condition_dim=4)
        | channels()
        | {"prior_vq_quantizer_codebook_size": 16},
        image()
        | {"target_size": ones(2, 2), "crop_coords": torch.zeros(2, 2)}
        | {
            "prior_token_id": torch.arange(16).expand(2, 16),
            "prior_token_drop": torch.zeros(2, 16).bool(),
        },
    ),
    "HeliosTransformer3DModel": helios,
    "HiDreamImageTransformer2DModel": hidream,
    "HunyuanDiT2DModel": hunyuan_dit,
    "HunyuanImageTransformer2DModel": hunyuan_image,
    "HunyuanVideo15Transformer3DModel": hunyuan_video15,
    "HunyuanVideoFramepackTransformer3DModel": framepack,
    "HunyuanVideoTransformer3DModel": lambda: (hunyuan_video_like(), hunyuan_video_inputs()),
    "Ideogram4Transformer2DModel": ideogram4,
    "JoyImageEditPlusTransformer3DModel": lambda: joyimage(
        hidden_states=randn(2, 2, 4, 1, 2, 2), shape_list=[[(1, 1, 1), (1, 1, 1)]] * 2
    ),
    "JoyImageEditTransformer3DModel": joyimage,
    "Kandinsky5Transformer3DModel": kandinsky5,
    "Kandinsky6Transformer3DModel": kandinsky6,
    "Krea2Transformer2DModel": krea2,
    "LTX2VideoTransformer3DModel": ltx2,
    "LTXVideoTransformer3DModel": ltx,
    "LatteTransformer3DModel": latte,
    "LongCatAudioDiTTransformer": lambda: (
        {"dit_dim": 16, "dit_depth": 2, "dit_heads": 2, "dit_text_dim": WIDE, "latent_dim": 4}
        | {"text_conv": False},
        image()
        | {"hidden_states": randn(2, 12, 4), "attention_mask": ones(2, 12, dtype=torch.bool)}
        | prompt_mask(torch.bool),
    ),
    "LongCatImageTransformer2DModel": lambda: (flux_like(), packed() | {"guidance": ones(2)}),
    "Lumina2Transformer2DModel": lumina2,
    "LuminaNextDiT2DModel": lumina_next,
    "MiniMaxH3Transformer3DModel": minimax_h3,
    "MiniMaxMusic3Transformer1DModel": minimax_music3,
    "MochiTransformer3DModel": mochi,
    "MotifVideoTransformer3DModel": motif_video,
    "NucleusMoEImageTransformer2DModel": nucleus,
    "OmniGenTransformer2DModel": omnigen,
    "OvisImageTransformer2DModel": lambda: (flux_like(out_channels=4), packed()),
    "PRXTransformer2DModel": prx,
    "PixArtTransformer2DModel": pixart,
    "PriorTransformer": prior,
    "QwenImage21Transformer2DModel": qwen_image21,
    "QwenImageTransformer2DModel": qwen_image,
    "SD3Transformer2DModel": sd3,
    "SanaTransformer2DModel": lambda: (sana(), image()),
    "SanaVideoTransformer3DModel": lambda: (
        sana(attention_head_dim=12, cross_attention_head_dim=12, cross_attention_dim=24),
        video(),
    ),
    "SkyReelsV2Transformer3DModel": lambda: (wan_like(), video()),
    "StableAudio3DiTModel": stable_audio3,
    "StableAudioDiTModel": stable_audio,
    "Transformer2DModel": lambda: (
        heads(in_channels=4, norm_num_groups=2, cross_attention_dim=WIDE),
        image(),
    ),
    "TransformerTemporalModel": lambda: (
        heads(in_channels=4, norm_num_groups=2),
        {"hidden_states": randn(4, 4, 4, 4), "num_frames": 2},
    ),
    "WanAnimateTransformer3DModel": wan_animate,
    "WanTransformer3DModel": lambda: (wan_like(), video()),
    "WanVACETransformer3DModel": lambda: (
        wan_like(vace_layers=[0, 1], vace_in_channels=12),
        video() | {"control_hidden_states": randn(2, 12, 2, 8, 8)},
    ),
    "ZImageTransformer2DModel": z_image,
}
