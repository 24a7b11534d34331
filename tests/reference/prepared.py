"""Writes prepared.json: what ONNX Runtime answers on made-up inputs, a few numbers of each output.

    python tests/reference/prepared.py FOLDER_OF_MODELS        (needs numpy and onnxruntime)

The inputs are made of integers by the same rule in tests/prepared.rs: element i of an input with seed s is
h = ((i + 1) * 2654435761 + s * 40503) mod 2^32, a float is (h >> 8) / 2^23 - 1, an integer below n is (h >> 8) mod n.
A "page" is white (1) with lines of black (-1) marks: see `page`.
"""

import json
import os
import sys

import numpy as np
import onnxruntime

# model, inputs: name -> (shape, kind); a kind is "float", "page", ("below", n) or ("value", v).
CASES = [
    ("effnetlite0", {"input": ([1, 3, 224, 224], "float")}),
    ("cifar10_resnet", {"input": ([4, 3, 32, 32], "float")}),
    ("cifar10_resnet_bn", {"input": ([4, 3, 32, 32], "float")}),
    ("minilm_l6_v2", {"input_ids": ([2, 9], ("below", 30000)), "attention_mask": ([2, 9], ("value", 1)),
                      "token_type_ids": ([2, 9], ("value", 0))}),
    ("minilm_l6_v2", {"input_ids": ([1, 14], ("below", 30000)), "attention_mask": ([1, 14], ("value", 1)),
                      "token_type_ids": ([1, 14], ("value", 0))}),
    ("ppocrv4_rec", {"x": ([1, 3, 48, 96], "float")}),
    ("ppocrv4_det", {"x": ([1, 3, 160, 192], "page")}),
    ("ppocr_v2_cls", {"x": ([2, 3, 48, 192], "float")}),
    ("magika_v3_3", {"bytes": ([1, 2048], ("below", 257))}),
    ("silero_vad", {"input": ([1, 576], "float"), "state": ([2, 1, 128], "float"), "sr": ([], ("value", 16000))}),
    ("silero_vad", {"input": ([1, 288], "float"), "state": ([2, 1, 128], "float"), "sr": ([], ("value", 8000))}),
    ("silero_vad_16k_op15", {"input": ([1, 576], "float"), "state": ([2, 1, 128], "float"),
                             "sr": ([], ("value", 16000))}),
    ("plcmos_v2", {"degraded_audio": ([1, 1, 120, 257], "float"), "rater_embed": ([1, 64], "float")}),
    ("tashkeel_rawi_v3_int8", {"input": ([1, 24], ("below", 30))}),
    ("aecmos_1663915512", {"input": ([1, 3, 120, 160], "float"), "h0": ([4, 1, 64], "float")}),
]


def hashed(i, seed):
    return ((i + 1) * np.uint64(2654435761) + np.uint64(seed * 40503)) % np.uint64(1 << 32) >> np.uint64(8)


def page(i, shape):
    column, row = i % np.uint64(shape[-1]), i // np.uint64(shape[-1]) % np.uint64(shape[-2])
    mark = hashed(column // np.uint64(3) + np.uint64(97) * (row // np.uint64(12)), 0) % np.uint64(3) == 0
    line = (row % np.uint64(40) >= 12) & (row % np.uint64(40) < 24)
    return np.where(line & mark, -1, 1)


def made(shape, kind, seed, dtype):
    i = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    h = hashed(i, seed)
    if kind == "float":
        values = h.astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    elif kind == "page":
        values = page(i, shape)
    elif kind[0] == "below":
        values = h % np.uint64(kind[1])
    else:
        values = np.full(i.shape, kind[1])
    return values.astype(dtype).reshape(shape)


def main(folder):
    cases = []
    for model, inputs in CASES:
        session = onnxruntime.InferenceSession(os.path.join(folder, model + ".onnx"), providers=["CPUExecutionProvider"])
        dtypes = {i.name: {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}[i.type]
                  for i in session.get_inputs()}
        feed = {name: made(shape, kind, seed, dtypes[name]) for seed, (name, (shape, kind)) in enumerate(inputs.items())}
        outputs = []
        for info, value in zip(session.get_outputs(), session.run(None, feed)):
            flat = value.astype(np.float64).ravel()
            at = np.unique(np.linspace(0, flat.size - 1, 24).astype(int))
            top = int(np.argmax(np.abs(flat)))
            outputs.append({"name": info.name, "shape": list(value.shape), "at": [*map(int, at), top],
                            "values": [float(f"{flat[j]:.9g}") for j in [*at, top]]})
        cases.append({"model": model, "outputs": outputs,
                      "inputs": [{"name": n, "dtype": np.dtype(dtypes[n]).name, "shape": s,
                                  **({"page": True} if k == "page" else {"below": k[1]} if k[0] == "below" else {"value": k[1]} if k[0] == "value" else {})}
                                 for n, (s, k) in inputs.items()]})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prepared.json")
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main(sys.argv[1])
