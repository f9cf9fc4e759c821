"""PixArt-digits: resumed anywhere its training ends in the same bits; its loss; its folder is a
pipeline's.
"""

import json

import pytest
import torch
import torch.nn.functional as F

from harmonica.digits import data, pixart, pixart_folder

CONFIG = pixart.PixArtTraining(
    seed=0, width=16, depth=1, heads=2, text_width=16, text_depth=1, steps=6, batch=4
)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_resuming_gives_the_same_bits(tmp_path, resumed):
    straight = weights(pixart.train(CONFIG, tmp_path / "none", save_every=100))
    again = weights(resumed(pixart.train, CONFIG, pixart.Batches))
    assert straight.keys() == again.keys() and all(
        torch.equal(straight[name], again[name]) for name in straight
    )


@pytest.fixture(scope="module")
def model():
    """Not as training finds it: what starts at zero is random, so that everything reaches the
    output.
    """
    torch.manual_seed(0)
    model = pixart.build(CONFIG)
    for linear in (
        model["transformer"].transformer_blocks[0].attn2.to_out[0],
        model["transformer"].proj_out,
    ):
        torch.nn.init.normal_(linear.weight, std=0.05)
    return model


def batches(**changes):
    images, labels = data.load("train")
    return pixart.Batches(
        torch.from_numpy(images), labels, pixart.PixArtTraining(**{**vars(CONFIG), **changes})
    )


def test_captions_name_the_digit_in_the_image_and_some_are_dropped():
    texts = {data.caption(k): k % 10 for k in range(data.NUM_CAPTIONS)}
    drawn = batches(batch=400)
    labels = {image.numpy().tobytes(): label for image, label in zip(drawn.images, drawn.labels)}
    images, _, _, ids, mask = drawn.draw(0)
    dropped = 0
    for image, tokens, length in zip(images, ids, mask.sum(1)):
        text = bytes(tokens[: length - 1].sub(3).tolist()).decode()
        dropped += text == data.EMPTY
        assert text == data.EMPTY or texts[text] == labels[image.numpy().tobytes()]
    assert 20 <= dropped <= 60


def test_the_loss_is_the_noise_error_and_the_divergence_by_its_definition(model):
    """L_vlb's mean and variance from the textbook's posterior, not from the shortcut in eps."""
    x0, t, eps, ids, mask = batches(batch=8).draw(0)
    with torch.no_grad():
        own = pixart.hybrid_loss(model, x0, t, eps, ids, mask).item()
        beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        alpha = 1 - beta
        a = alpha.cumprod(0)
        before = torch.cat([torch.ones(1, dtype=a.dtype), a[:-1]])
        b, al, now, prev = (v[t].view(-1, 1, 1, 1) for v in (beta, alpha, a, before))
        x = now.sqrt() * x0 + (1 - now).sqrt() * eps
        text = model["text_encoder"](ids, attention_mask=mask).last_hidden_state
        out = model["transformer"](
            x.float(), encoder_hidden_states=text, encoder_attention_mask=mask, timestep=t
        ).sample.double()

        def mean(noise):
            return (x - b / (1 - now).sqrt() * noise) / al.sqrt()

        posterior = torch.distributions.Normal(mean(eps), (b * (1 - prev) / (1 - now)).sqrt())
        share = (out[:, 1:] + 1) / 2
        log_var = share * b.log() + (1 - share) * (b * (1 - prev) / (1 - now)).log()
        kl = torch.distributions.kl_divergence(
            posterior, torch.distributions.Normal(mean(out[:, :1]), (log_var / 2).exp())
        )
        assert (t > 0).all()
        expected = F.mse_loss(out[:, :1], eps.double()) + 0.001 * (
            1000 * kl.mean() / torch.log(torch.tensor(2.0))
        )
    assert own == pytest.approx(expected.item(), rel=1e-4)


def test_the_divergence_trains_the_variance_and_leaves_the_mean(model):
    """The output layer's rows of eps get the gradient of the noise error alone."""
    x0, t, eps, ids, mask = batches(batch=8).draw(0)
    weight = model["transformer"].proj_out.weight
    (both,) = torch.autograd.grad(pixart.hybrid_loss(model, x0, t, eps, ids, mask), weight)
    a = torch.from_numpy(pixart.alphas_cumprod())[t].float().view(-1, 1, 1, 1)
    text = model["text_encoder"](ids, attention_mask=mask).last_hidden_state
    out = model["transformer"](
        a.sqrt() * x0 + (1 - a).sqrt() * eps,
        encoder_hidden_states=text,
        encoder_attention_mask=mask,
        timestep=t,
    ).sample
    (plain,) = torch.autograd.grad(F.mse_loss(out[:, :1], eps), weight)
    assert (
        torch.allclose(both[0::2], plain[0::2], atol=1e-6)
        and plain[1::2].eq(0).all()
        and both[1::2].ne(0).any()
    )


def test_the_vae_changes_nothing():
    vae, images = pixart_folder.identity_vae(), torch.rand(4, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        latents = vae.encode(images).latent_dist.sample(torch.Generator().manual_seed(0))
        assert (latents - images).abs().max() < 1e-4 and (
            vae.decode(latents).sample - images
        ).abs().max() < 1e-4


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny"
    pixart_folder.save(model, path)
    return path


def test_the_folder_is_a_pipeline_and_text_reaches_the_image(folder):
    from diffusers import PixArtAlphaPipeline

    pipe = PixArtAlphaPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)

    def images(prompt, **options):
        made = pipe(
            prompt,
            num_inference_steps=2,
            use_resolution_binning=False,
            output_type="latent",
            generator=torch.Generator().manual_seed(0),
            **options,
        )
        return made.images

    three = images("a handwritten three", guidance_scale=1.0)
    assert (
        three.shape == (1, 1, 8, 8)
        and (three == images("a handwritten three", guidance_scale=1.0)).all()
    )
    assert (three != images("the digit 7", guidance_scale=1.0)).any() and (
        three != images("a handwritten three")
    ).any()


def test_what_is_loaded_is_what_was_saved_and_the_hash_follows_every_file(folder):
    transformer, text_encoder = pixart_folder.load(folder)
    assert {p.dtype for part in (transformer, text_encoder) for p in part.parameters()} == {
        torch.float32
    }
    before = pixart_folder.folder_sha256(folder)
    config = folder / "transformer" / "config.json"
    content = config.read_text()
    config.write_text(json.dumps({**json.loads(content), "norm_eps": 1e-5}))
    assert pixart_folder.folder_sha256(folder) != before
    config.write_text(content)
    assert pixart_folder.folder_sha256(folder) == before
