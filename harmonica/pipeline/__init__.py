"""For a user's own diffusers pipeline: search a schedule or train a router, and apply it.

apply.py: planned.py runs a DiT or PixArt by the specialised steps of harmonica.fast,
unit_by_unit.py any other transformer by its own code. schedules.py decides which schedule fits a
call, transformers.py which transformer a plan can run.

search.py and train.py run the pipeline's own call. arguments.py checks what the user gives for it;
calls.py makes it, with prompts and noise by seed; walk.py makes of it the walk that
harmonica.search differentiates; replay.py starts it anew from any step, for training.
train_by_backbone.py trains a DiT or PixArt that loading.py has loaded, by this package's own loop.
estimate.py tells beforehand what it will take, about.py what it was made for.

passes.py tells to which step and which pass of guidance a call of the transformer belongs, loop.py
when a loop over the steps ends. families.py lists the transformers of diffusers.
"""
