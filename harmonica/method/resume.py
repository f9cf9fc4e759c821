"""What an interrupted training by AdamW resumes from: saved atomically, put back bit for bit."""

from harmonica.errors import BadInput
from harmonica.files import load_tensors, save_tensors


def save_training(path, done, parameters, optimizer, beside=()):
    """Save what a training by AdamW resumes from: its parameters, what AdamW knows of them (nothing
    of one that never had a gradient), further tensors `beside`, and `done`: how far it is, as
    anything that JSON can hold.
    """
    tensors = {f"beside.{i}": tensor for i, tensor in enumerate(beside)}
    tensors |= {f"value.{i}": parameter for i, parameter in enumerate(parameters)}
    for i, entries in optimizer.state_dict()["state"].items():
        tensors |= {f"{key}.{i}": value for key, value in entries.items()}
    save_tensors(path, tensors, done)


def restore_training(path, parameters, optimizer, beside=(), check_same=lambda done: None):
    """Put what save_training saved back in place -> its `done`; None where there is no such file.
    BadInput where the file is damaged or of other parameters. check_same(done) may refuse it.
    """
    saved = load_tensors(path)
    if saved is None:
        return None
    tensors, done = saved
    check_same(done)
    needed = {f"beside.{i}": tensor for i, tensor in enumerate(beside)}
    needed |= {f"value.{i}": parameter for i, parameter in enumerate(parameters)}
    if any(name not in tensors or tensors[name].shape != t.shape for name, t in needed.items()):
        raise BadInput(
            f"state: {path} holds other tensors than this training has (another version saved it, "
            "perhaps); delete it to train from the start"
        )
    for i, tensor in enumerate(beside):
        tensor.copy_(tensors[f"beside.{i}"])
    for i, parameter in enumerate(parameters):
        parameter.data.copy_(tensors[f"value.{i}"])
    state = {}
    for name, tensor in tensors.items():
        if name not in needed:
            key, i = name.split(".")
            state.setdefault(int(i), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return done
