"""The interface of a diffusion transformer that everything here uses: a start, then N blocks that
each add a feature, then a finish.

    cond = backbone.with_null(cond)      under guidance: the batch, then as many null conditions
    ctx  = backbone.prepare(cond)        once per trajectory: what no step changes
    h, c = backbone.start(x, t, ctx)     once per step; t is a (B,) tensor of model timesteps
    out  = backbone.through(h, c, at)    all blocks, then the finish: the raw model output

Every cacheable block asks `at(i, compute)` for the feature that it adds. compute() returns the
block's own feature: norm, modulation, attention or feed-forward, before the gate. Gate and sum
belong to the backbone and always run, and so do long skips, pairs of streams and whatever else a
family of models has. The output includes learned-sigma channels. Guidance is applied outside.

A backbone is pure: it keeps nothing on modules and writes nothing in place. It has

    kinds                        the names of a transformer block's cacheable units, in their order
    num_blocks                   N, the units of all blocks
    in_channels, out_channels    of x and of the output
    sample_size                  height and width of x
    guided_channels              on how many of the output's first channels guidance acts
    parameters()                 the weights, as of a torch.nn.Module

Some members are optional. For weights that no longer change, harmonica.fast asks for three that
together give the same bits as `start`:

    time(t)                      everything that depends on the timestep alone
    start_at(x, time(t), ctx)    as start
    starts(rows)                 one function (x, time(t), ctx) -> h, c for each row of a keep mask;
                                 its c may lack what only skipped blocks would read

and, to compile the parts, for these, of which a backbone has all or none:

    projection(embed)            which function of patches.py makes tokens of an image
    gated(feature, gate, h)      adds a gated feature to the stream h, and is all that happens to h
                                 between two blocks
    finish(h, ...)               what follows the last block

Every compute() must then be a functools.partial. A model that is conditioned on class labels also
has num_classes, and null_label, the label of the null condition.
"""
