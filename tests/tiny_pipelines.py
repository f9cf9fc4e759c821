"""Real diffusers pipelines over tiny random transformers: name -> function that gives (pipeline,
arguments of a call). Prompts are given as embeddings, so no text encoder is needed; what comes out
are latents.
"""

import inspect

import diffusers
import torch
from tiny_transformers import TEXT, WIDE, ones, randn, tiny

from harmonica.backbones.generic import Units, free_units
from harmonica.pipeline.passes import first_call

STEPS = 4


def built(name, transformer, scheduler, **parts):
    """A pipeline with these parts, None for every other."""
    kind = getattr(diffusers, name)
    wanted = inspect.signature(kind.__init__).parameters
    empty = [key for key, value in wanted.items() if value.default is value.empty and key != "self"]
    model, _ = tiny(transformer) if isinstance(transformer, str) else (transformer, None)
    parts = {"transformer": model, "scheduler": scheduler} | parts
    pipe = kind(**dict.fromkeys(empty) | parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def flow(**more):
    return diffusers.FlowMatchEulerDiscreteScheduler(**more)


def vae(channels=4):
    return diffusers.AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(4,),
        norm_num_groups=2,
        sample_size=8,
        shift_factor=0.1,
    ).eval()


def call(size=64, **more):
    inputs = {"height": size, "width": size, "output_type": "latent"}
    return inputs | {"num_inference_steps": STEPS, "prompt_embeds": randn(1, TEXT, WIDE)} | more


def negative(**more):
    return {"negative_prompt_embeds": randn(1, TEXT, WIDE)} | more


def masks(name="prompt_attention_mask"):
    mask = ones(1, TEXT, dtype=torch.bool)
    return {name: mask, f"negative_{name}": mask}


def flux(name="FluxPipeline", **more):
    pipe = built(name, "FluxTransformer2DModel", flow())
    return pipe, call(guidance_scale=1.0, pooled_prompt_embeds=randn(1, 8), **more)


def flux_guided():
    negatives = negative(negative_pooled_prompt_embeds=randn(1, 8), true_cfg_scale=3.0)
    return flux(**negatives)


def chroma():
    pipe = built("ChromaPipeline", "ChromaTransformer2DModel", flow())
    return pipe, call(guidance_scale=3.0, **negative(), **masks())


def sd3(name="StableDiffusion3Pipeline", **more):
    pipe = built(name, "SD3Transformer2DModel", flow(shift=3.0), vae=vae())
    pooled = {"pooled_prompt_embeds": randn(1, 8), "negative_pooled_prompt_embeds": randn(1, 8)}
    return pipe, call(size=8, guidance_scale=3.0, **negative(), **pooled, **more)


def wan(**more):
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    pipe = built("WanPipeline", "WanTransformer3DModel", scheduler, **more)
    return pipe, call(num_frames=5, guidance_scale=3.0, **negative())


def wan_of_two():
    """Wan 2.2: one transformer for the noisy steps, another for the rest."""
    second, _ = tiny("WanTransformer3DModel")
    for parameter in second.parameters():
        parameter.data.mul_(0.9)
    return wan(transformer_2=second, boundary_ratio=0.8)


def qwen_image():
    pipe = built("QwenImagePipeline", "QwenImageTransformer2DModel", flow())
    masked = {f"{kind}prompt_embeds_mask": ones(1, TEXT).long() for kind in ("", "negative_")}
    return pipe, call(true_cfg_scale=3.0, **negative(), **masked)


def sana():
    scheduler = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    pipe = built("SanaPipeline", "SanaTransformer2DModel", scheduler)
    more = {"use_resolution_binning": False, "negative_prompt": None}
    return pipe, call(size=256, guidance_scale=3.0, **negative(), **masks(), **more)


def lumina2():
    pipe = built("Lumina2Pipeline", "Lumina2Transformer2DModel", flow())
    return pipe, call(guidance_scale=3.0, **negative(), **masks())


def hunyuan_dit():
    pipe = built("HunyuanDiTPipeline", "HunyuanDiT2DModel", diffusers.DDPMScheduler(), vae=vae())
    ones_for_both = {key: mask.long() for key, mask in masks().items()}
    inputs = call(size=16, guidance_scale=3.0, **negative(), **ones_for_both)
    second = {key + "_2": value for key, value in inputs.items() if "prompt" in key}
    return pipe, inputs | second | {"use_resolution_binning": False}


def cogvideox():
    scheduler = diffusers.CogVideoXDDIMScheduler()
    pipe = built("CogVideoXPipeline", "CogVideoXTransformer3DModel", scheduler)
    return pipe, call(num_frames=5, guidance_scale=3.0, **negative())


def ltx():
    pipe = built("LTXPipeline", "LTXVideoTransformer3DModel", flow(use_dynamic_shifting=True))
    return pipe, call(size=128, num_frames=9, guidance_scale=3.0, **negative(), **masks())


def z_image():
    pipe = built("ZImagePipeline", "ZImageTransformer2DModel", flow(shift=3.0))
    embeds = {f"{kind}prompt_embeds": [randn(TEXT, WIDE)] for kind in ("", "negative_")}
    return pipe, call(guidance_scale=3.0, **negative()) | embeds


def pixart(name="PixArtAlphaPipeline"):
    scheduler = diffusers.DPMSolverMultistepScheduler()
    pipe = built(name, "PixArtTransformer2DModel", scheduler, vae=vae())
    more = {"use_resolution_binning": False, "guidance_scale": 3.0}
    return pipe, call(size=8, **negative(), **masks(), **more) | {"negative_prompt": None}


def dit():
    pipe = built("DiTPipeline", "DiTTransformer2DModel", diffusers.DDIMScheduler(), vae=vae())
    inputs = {"class_labels": [1, 2], "guidance_scale": 3.0, "num_inference_steps": STEPS}
    return pipe, inputs | {"output_type": "np"}


def auraflow():
    pipe = built("AuraFlowPipeline", "AuraFlowTransformer2DModel", flow(), vae=vae())
    return pipe, call(size=8, guidance_scale=3.0, **negative(), **masks())


def cogview4():
    scheduler = flow(use_dynamic_shifting=True)
    pipe = built("CogView4Pipeline", "CogView4Transformer2DModel", scheduler, vae=vae())
    return pipe, call(size=16, guidance_scale=3.0, **negative())


def mochi():
    pipe = built("MochiPipeline", "MochiTransformer3DModel", flow())
    return pipe, call(num_frames=7, guidance_scale=3.0, **negative(), **masks())


def hunyuan_video():
    pipe = built("HunyuanVideoPipeline", "HunyuanVideoTransformer3DModel", flow())
    pooled = {f"{kind}pooled_prompt_embeds": randn(1, 8) for kind in ("", "negative_")}
    return pipe, call(num_frames=5, true_cfg_scale=3.0, **negative(), **masks(), **pooled)


def flux2():
    pipe = built("Flux2Pipeline", "Flux2Transformer2DModel", flow())
    return pipe, call(guidance_scale=3.0)


# pipeline -> how to build it, calls of the transformer in a step
PIPELINES = {
    "AuraFlow": (auraflow, 1),
    "Chroma": (chroma, 2),
    "CogVideoX": (cogvideox, 1),
    "CogView4": (cogview4, 2),
    "DiT": (dit, 1),
    "Flux": (flux, 1),
    "Flux, guided": (flux_guided, 2),
    "Flux.2": (flux2, 1),
    "HunyuanDiT": (hunyuan_dit, 1),
    "HunyuanVideo": (hunyuan_video, 2),
    "LTX": (ltx, 1),
    "Lumina2": (lumina2, 2),
    "Mochi": (mochi, 1),
    "PixArt-alpha": (pixart, 1),
    "PixArt-Sigma": (lambda: pixart("PixArtSigmaPipeline"), 1),
    "Qwen-Image": (qwen_image, 2),
    "SD3": (sd3, 1),
    "Sana": (sana, 1),
    "Wan": (wan, 2),
    "Wan 2.2": (wan_of_two, 2),
    "Z-Image": (z_image, 1),
}


def run(pipe, inputs, seed=0, **more):
    """A call of a pipeline -> its latents."""
    generator = torch.Generator().manual_seed(seed)
    out = pipe(**inputs | more, generator=generator, return_dict=False)[0]
    return torch.as_tensor(out)


def free_units_of(pipe, inputs):
    """The free units of a pipeline's transformer, in its first call."""
    args, kwargs = first_call(pipe.transformer, lambda: run(pipe, inputs))
    with Units(pipe.transformer) as units:
        return free_units(units, *args, **kwargs)


def unet_pipeline():
    """One without a transformer."""
    unet = diffusers.UNet2DModel(
        block_out_channels=(8, 8),
        norm_num_groups=2,
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler())


def untouched(pipe):
    """Nothing of ours is on the pipeline, its scheduler or its models."""
    models = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    modules = [module for model in models for module in model.modules()]
    return (
        "progress_bar" not in vars(pipe)
        and not {"step", "set_timesteps"} & set(vars(pipe.scheduler))
        and not any("forward" in vars(module) for module in modules)
        and not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
        and not any("cache_context" in vars(model) for model in models)
    )
