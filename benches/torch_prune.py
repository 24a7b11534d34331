"""What PyTorch takes for the two passes that `prune` makes over the CIFAR-10 ResNet; `prune.rs` runs it with python3 of the active environment.

    python3 benches/torch_prune.py gradients MODEL.onnx DATA.npz      the gradient of every single sample, |g| added up
    python3 benches/torch_prune.py sparse-gpt MODEL.onnx DATA.npz     half of each layer's weights by SparseGPT, layer after layer

Prints seconds, without those of starting and loading. Needs torch, onnx and numpy.
"""

import sys
import time

import numpy
import onnx
import torch
import torch.nn.functional as F

BATCH = 20
SPARSITY = 0.5
BLOCK = 128


def forward(graph, weights, x, seen=lambda node, x: None):
    """The outputs of a graph of the operators that this network has."""
    values = {graph.input[0].name: x, **weights}
    for node in graph.node:
        a = {k.name: onnx.helper.get_attribute_value(k) for k in node.attribute}
        i = [values[name] for name in node.input]
        seen(node, i[0])
        if node.op_type == "Conv":
            pad = a["pads"][:2] if "pads" in a else 0
            y = F.conv2d(i[0], i[1], i[2] if len(i) > 2 else None, a.get("strides", 1), pad)
        elif node.op_type == "MaxPool":
            y = F.max_pool2d(i[0], a["kernel_shape"], a.get("strides", 1), a["pads"][:2] if "pads" in a else 0)
        elif node.op_type == "Gemm":
            y = F.linear(i[0], i[1] if a.get("transB") else i[1].T, i[2])
        else:
            y = {
                "Relu": lambda: F.relu(i[0]),
                "Add": lambda: i[0] + i[1],
                "GlobalAveragePool": lambda: i[0].mean((2, 3), keepdim=True),
                "Flatten": lambda: i[0].flatten(1),
            }[node.op_type]()
        values[node.output[0]] = y
    return values[graph.output[0].name]


def gradients(graph, weights, images, labels):
    """Σ|g| over samples, several at a time by vmap."""
    loss = lambda w, x, y: F.cross_entropy(forward(graph, w, x[None]), y[None])
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    for at in range(0, len(images), BATCH):
        for name, g in each(weights, images[at : at + BATCH], labels[at : at + BATCH]).items():
            sums[name] += g.abs().sum(0)


def rows(node, weight, x):
    """What meets the weights, one row a position."""
    if node.op_type == "Gemm":
        return x
    a = {k.name: onnx.helper.get_attribute_value(k) for k in node.attribute}
    pad = a["pads"][0] if "pads" in a else 0
    x = F.unfold(x, tuple(weight.shape[2:]), padding=pad, stride=a.get("strides", [1])[0])
    return x.transpose(1, 2).reshape(-1, x.shape[1])


def sweep(weight, hessian):
    """SparseGPT of one layer (Frantar and Alistarh, ICML 2023)."""
    w = weight.flatten(1).clone()
    n = len(hessian)
    hessian += 0.01 * hessian.diagonal().mean() * torch.eye(n)
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    for at in range(0, n, BLOCK):
        end = min(at + BLOCK, n)
        u = upper[at:end, at:end]
        score = (w[:, at:end] / u.diagonal()) ** 2
        gone = score <= score.flatten().kthvalue(max(1, int(SPARSITY * score.numel()))).values
        errors = torch.zeros_like(score)
        for k in range(end - at):
            column = w[:, at + k]
            errors[:, k] = torch.where(gone[:, k], column, torch.zeros(())) / u[k, k]
            w[:, at + k : end] -= errors[:, k : k + 1] * u[k, k:]
            column[gone[:, k]] = 0
        w[:, end:] -= errors @ upper[at:end, end:]
    return w.reshape(weight.shape)


@torch.no_grad()
def sparse_gpt(graph, weights, images, labels):
    """Layer after layer, each by what the pruned ones before it feed it."""
    for layer in [n for n in graph.node if n.op_type in ("Conv", "Gemm")]:
        weight, hessian = weights[layer.input[1]], 0

        def seen(node, x):
            nonlocal hessian
            if node is layer:
                x = rows(node, weight, x)
                hessian = hessian + x.T @ x

        for at in range(0, len(images), BATCH):
            forward(graph, weights, images[at : at + BATCH], seen)
        weights[layer.input[1]] = sweep(weight, hessian)


def main():
    what, path, data = sys.argv[1:]
    torch.set_num_threads(len(__import__("os").sched_getaffinity(0)))
    graph = onnx.load(path).graph
    weights = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in graph.initializer}
    data = numpy.load(data)
    images, labels = torch.tensor(data["input"]), torch.tensor(data["labels"])
    begin = time.perf_counter()
    {"gradients": gradients, "sparse-gpt": sparse_gpt}[what](graph, weights, images, labels)
    print(f"{time.perf_counter() - begin:.1f}")


main()
