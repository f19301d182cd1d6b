"""A peer of the benchmark: a Llama on OpenVINO's runtime, with the weights of a canonical model directory.

The graph is written as OpenVINO's own tools write one: weights compressed, keys and values as states of the model, rotary positions,
norms and attention in the forms that its CPU plugin fuses. The first load saves it next to the GGUF file (that is not timed); loading
means reading and compiling it. Settings are the defaults for latency.

Weights keep their values. Where all groups of a row have the same scale, int8 is stored with a scale a row and int4 in groups of 128,
which are the defaults of OpenVINO's compression and the fastest here; elsewhere in the file's own groups.

Requests: load, prefill, decode, logits, memory (see src/engine.rs).
"""

import protocol

import json
import os
import sys
import time

import numpy as np
import openvino as ov
from openvino import opset13 as ops

INT4_GROUP = 128


class Weights:
    """A safetensors file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self.header = json.loads(file.read(length))
        self.data = np.memmap(path, np.uint8, "r", 8 + length)

    def tensor(self, name):
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        dtype = {"I8": np.int8, "U8": np.uint8, "F16": np.float16, "F32": np.float32}[entry["dtype"]]
        return self.data[begin:end].view(dtype).reshape(entry["shape"])


class Graph:
    """A Llama's graph in the making."""

    def __init__(self, config, weights):
        self.c, self.weights = config, weights
        self.head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        self.sinks, self.variables, self.kept = [], [], []

    def model(self):
        c = self.c
        ids, mask, positions = (self.input(name, ov.Type.i64, [-1, -1]) for name in ("input_ids", "attention_mask", "position_ids"))
        self.beams = self.input("beam_idx", ov.Type.i32, [-1])
        self.batch = ops.gather(ops.shape_of(ids, "i64"), i64([0]), i64(0))
        embedding = self.matrix("model.embed_tokens.weight")
        x = ops.convert(ops.gather(embedding, ids, i64(0)), "f32")
        self.rotary(positions)
        self.causal(positions, mask)
        for layer in range(c["num_hidden_layers"]):
            x = self.layer(f"model.layers.{layer}", layer, x)
        # Only a prompt's last row is needed.
        last = ops.slice(x, i64([-1]), i64([np.iinfo(np.int64).max]), i64([1]), i64([1]))
        head = embedding if c["tie_word_embeddings"] else self.matrix("lm_head.weight")
        logits = ops.matmul(self.norm("model.norm", last), ops.convert(head, "f32"), False, True)
        logits.output(0).get_tensor().set_names({"logits"})
        return ov.Model([ops.result(logits)], self.sinks, [ids, mask, positions, self.beams], self.variables, "llama")

    def input(self, name, dtype, shape):
        parameter = ops.parameter(ov.PartialShape(shape), dtype)
        parameter.set_friendly_name(name)
        parameter.output(0).get_tensor().set_names({name})
        return parameter

    def matrix(self, name):
        """A matrix in its compressed form, decompressed to f16."""
        data, scale = self.weights.tensor(name), self.weights.tensor(f"{name}_scale")
        packed = data.dtype == np.uint8
        rows, width = data.shape[0], data.shape[1] * (2 if packed else 1)
        groups = scale.shape[1]
        if groups > 1 and (scale == scale[:, :1]).all():
            groups = -(-width // INT4_GROUP) if packed and width % INT4_GROUP == 0 else 1
            scale = np.repeat(scale[:, :1], groups, 1)
        shape = [rows, width] if groups == 1 else [rows, groups, width // groups]
        if packed:
            if self.weights.tensor(f"{name}_table").tolist() != list(range(-8, 8)):
                raise ValueError(f"{name}: OpenVINO has no tables of weights")
            # An index into −8…7 becomes two's complement by its highest bit.
            weight = ops.constant(ov.Tensor(self.keep(data ^ 0x88), ov.Shape(shape), ov.Type.i4))
        else:
            weight = ops.constant(np.ascontiguousarray(data).reshape(shape))
        scale = np.ascontiguousarray(scale).reshape(shape[:-1] + [1])
        product = ops.multiply(ops.convert(weight, "f16"), ops.constant(scale))
        return product if groups == 1 else ops.reshape(product, i64([rows, width]), False)

    def keep(self, data):
        """Constants of four bits only borrow their array."""
        self.kept.append(np.ascontiguousarray(data))
        return self.kept[-1]

    def linear(self, x, name):
        return ops.matmul(x, ops.convert(self.matrix(f"{name}.weight"), "f32"), False, True)

    def norm(self, name, x):
        mean = ops.reduce_mean(ops.power(x, f32(2)), i64([-1]), True)
        inverse = ops.divide(f32(1), ops.sqrt(ops.add(mean, f32(self.c["rms_norm_eps"]))))
        weight = self.weights.tensor(f"{name}.weight").astype(np.float32).reshape(1, 1, -1)
        return ops.multiply(ops.constant(weight), ops.multiply(x, inverse))

    def rotary(self, positions):
        """Cosines and sines, [batch, 1, rows, head_dim]."""
        half = np.arange(0, self.head_dim, 2, dtype=np.float64) / self.head_dim
        frequencies = (self.c["rope_theta"] ** -half).astype(np.float32).reshape(1, 1, -1)
        angles = ops.multiply(ops.convert(ops.unsqueeze(positions, i64(-1)), "f32"), ops.constant(frequencies))
        angles = ops.concat([angles, angles], -1)
        self.cos, self.sin = (ops.unsqueeze(f(angles), i64(1)) for f in (ops.cos, ops.sin))

    def rotate(self, x):
        """Halves are paired, as in Hugging Face's Llama."""
        half = self.head_dim // 2
        first, second = ops.variadic_split(x, i64(3), i64([half, half])).outputs()
        turned = ops.concat([ops.multiply(second, f32(-1)), first], -1)
        return ops.add(ops.multiply(x, self.cos), ops.multiply(turned, self.sin))

    def causal(self, positions, mask):
        """What attention adds to a row's scores: [batch, 1, rows, all positions]."""
        length = ops.gather(ops.shape_of(mask, "i64"), i64(1), i64(0))
        keys = ops.unsqueeze(ops.range(i64(0), length, i64(1), "i64"), i64([0, 1, 2]))
        seen = ops.less_equal(keys, ops.unsqueeze(positions, i64([1, 3])))
        self.mask = ops.select(seen, f32(0), f32(np.finfo(np.float32).min))

    def heads(self, x, heads):
        return ops.transpose(ops.reshape(x, i64([0, 0, heads, self.head_dim]), True), i64([0, 2, 1, 3]))

    def cached(self, name, now, heads):
        """All keys or values: those of the state, then these; each for all the query heads that share it."""
        shape = ops.concat([self.batch, i64([heads, 0, self.head_dim])], 0)
        start = ops.broadcast(f32(0), shape)
        info = ov.op.util.VariableInfo()
        info.data_shape, info.data_type, info.variable_id = ov.PartialShape([-1, heads, -1, self.head_dim]), ov.Type.f32, name
        variable = ov.op.util.Variable(info)
        past = ops.gather(ops.read_value(start, variable), self.beams, i64(0))
        every = ops.concat([past, now], 2)
        self.variables.append(variable)
        self.sinks.append(ops.assign(every, variable))
        repeats = self.c["num_attention_heads"] // heads
        if repeats == 1:
            return every
        length = ops.gather(ops.shape_of(every, "i64"), i64([2]), i64(0))
        target = ops.concat([self.batch, i64([heads, repeats]), length, i64([self.head_dim])], 0)
        spread = ops.broadcast(ops.unsqueeze(every, i64(2)), target, broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(spread, i64([0, heads * repeats, -1, self.head_dim]), True)

    def layer(self, name, index, x):
        heads, kv_heads = self.c["num_attention_heads"], self.c["num_key_value_heads"]
        y = self.norm(f"{name}.input_layernorm", x)
        q = self.rotate(self.heads(self.linear(y, f"{name}.self_attn.q_proj"), heads))
        k = self.rotate(self.heads(self.linear(y, f"{name}.self_attn.k_proj"), kv_heads))
        v = self.heads(self.linear(y, f"{name}.self_attn.v_proj"), kv_heads)
        k, v = self.cached(f"keys.{index}", k, kv_heads), self.cached(f"values.{index}", v, kv_heads)
        y = ops.scaled_dot_product_attention(q, k, v, self.mask, causal=False)
        y = ops.reshape(ops.transpose(y, i64([0, 2, 1, 3])), i64([0, 0, heads * self.head_dim]), True)
        x = ops.add(x, self.linear(y, f"{name}.self_attn.o_proj"))
        y = self.norm(f"{name}.post_attention_layernorm", x)
        gate = ops.swish(self.linear(y, f"{name}.mlp.gate_proj"))
        return ops.add(x, self.linear(ops.multiply(gate, self.linear(y, f"{name}.mlp.up_proj")), f"{name}.mlp.down_proj"))


def i64(values):
    return ops.constant(np.array(values, np.int64))


def f32(value):
    return ops.constant(np.array(value, np.float32))


class Peer:
    def load(self, request):
        saved = f"{request['gguf']}.openvino.xml"
        if not os.path.exists(saved):
            weights = Weights(os.path.join(request["dir"], "model.safetensors"))
            partial = f"{request['gguf']}.partial.xml"
            # What is kept has to outlive the model.
            graph = Graph(request["config"], weights)
            ov.save_model(graph.model(), partial, compress_to_fp16=False)
            for end in (".bin", ".xml"):
                os.replace(partial[:-4] + end, saved[:-4] + end)
        begun = time.perf_counter()
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": request["threads"]}
        self.compiled = ov.Core().compile_model(saved, "CPU", settings)
        self.request = self.compiled.create_infer_request()
        return time.perf_counter() - begun

    def forward(self, rows, position):
        """Rows of tokens, all sequences at this position; the logits of each one's last."""
        ids = np.array(rows, np.int64)
        batch, count = ids.shape
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones((batch, position + count), np.int64),
            "position_ids": np.broadcast_to(np.arange(position, position + count), (batch, count)).copy(),
            "beam_idx": np.arange(batch, dtype=np.int32),
        }
        return self.request.infer(inputs, share_inputs=True, share_outputs=True)["logits"]

    def prefill(self, request):
        rows = [[protocol.token(i) for i in range(request["tokens"])]]
        self.request.reset_state()
        begun = time.perf_counter()
        self.forward(rows, 0)
        return time.perf_counter() - begun

    def decode(self, request):
        """Steps of one token for each of `batch` sequences. States cannot be cut, so each repetition fills them again."""
        depth, steps, batch = request["depth"], request["tokens"], request["batch"]
        self.request.reset_state()
        self.forward([[protocol.token(i + s) for i in range(depth)] for s in range(batch)], 0)
        begun = time.perf_counter()
        for position in range(depth, depth + steps):
            self.forward([[protocol.token(position + s)] for s in range(batch)], position)
        return time.perf_counter() - begun

    def logits(self, request):
        self.request.reset_state()
        self.forward([request["tokens"]], 0).astype(np.float32).tofile(request["out"])


if __name__ == "__main__":
    if "--version" in sys.argv[1:]:
        hint = ov.Core().get_property("CPU", "INFERENCE_PRECISION_HINT")
        protocol.say(f"OpenVINO {ov.__version__.split('-')[0]} ({hint.get_type_name()})")
    else:
        protocol.serve(Peer())
