"""A peer of the benchmark on a GPU: a plain Llama in bf16 through PyTorch, eager or compiled (--compile).

Requests (see src/engine.rs): load, with a `config` as Hugging Face has it; prefill; decode. Weights are random, keys and values lie in
a static cache, attention is scaled_dot_product_attention. Nothing is hashed; greedy tokens stay on the GPU.
"""

import protocol

import os
import sys
import time

import torch
import torch.nn.functional as F

# For the tests on a machine without a GPU. What is measured there means nothing.
DEVICE = os.environ.get("ASSAY_TORCH_DEVICE", "cuda")


def rms_norm(x, weight, epsilon):
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * y.to(x.dtype)


def rotate(x, cos, sin):
    """x [batch, heads, rows, head_dim]; halves are paired, as in Hugging Face's Llama."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Layer(torch.nn.Module):
    def __init__(self, c):
        super().__init__()
        hidden, intermediate = c["hidden_size"], c["intermediate_size"]
        self.heads, self.kv_heads, self.head_dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.epsilon = c["rms_norm_eps"]
        self.q_width, self.kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        linear = lambda n, k: torch.nn.Linear(k, n, bias=False)  # noqa: E731
        self.qkv = linear(self.q_width + 2 * self.kv_width, hidden)
        self.o = linear(hidden, self.q_width)
        self.gate_up = linear(2 * intermediate, hidden)
        self.down = linear(hidden, intermediate)
        self.norm1 = torch.nn.Parameter(torch.ones(hidden))
        self.norm2 = torch.nn.Parameter(torch.ones(hidden))

    def forward(self, x, cos, sin, cache, positions, mask):
        """`mask`: which positions of the cache a row sees; none for a prompt, which sees itself."""
        batch, rows, _ = x.shape
        split = lambda t, heads: t.view(batch, rows, heads, self.head_dim).transpose(1, 2)  # noqa: E731
        q, k, v = self.qkv(rms_norm(x, self.norm1, self.epsilon)).split([self.q_width, self.kv_width, self.kv_width], -1)
        q, k, v = split(q, self.heads), split(k, self.kv_heads), split(v, self.kv_heads)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        keys, values = cache
        keys.index_copy_(2, positions, k)
        values.index_copy_(2, positions, v)
        if mask is not None:
            k, v = keys, values
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        x = x + self.o(y.transpose(1, 2).reshape(batch, rows, self.q_width))
        gate, up = self.gate_up(rms_norm(x, self.norm2, self.epsilon)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Llama(torch.nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layers = torch.nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.embedding = torch.nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.norm = torch.nn.Parameter(torch.ones(c["hidden_size"]))
        self.head = torch.nn.Linear(c["hidden_size"], c["vocab_size"], bias=False)
        if c["tie_word_embeddings"]:
            self.head.weight = self.embedding.weight
        self.epsilon = c["rms_norm_eps"]

    def forward(self, tokens, cos, sin, caches, positions, mask):
        """The greedy token of each sequence's last row. `cos` and `sin` are of these positions."""
        x = self.embedding(tokens)
        for layer, cache in zip(self.layers, caches):
            x = layer(x, cos, sin, cache, positions, mask)
        return self.head(rms_norm(x[:, -1:], self.norm, self.epsilon)).argmax(-1)


class Peer:
    def __init__(self, compiled):
        self.compiled = compiled

    def load(self, request):
        c = self.config = request["config"]
        torch.manual_seed(0)
        with torch.device("meta"):
            model = Llama(c).to(torch.bfloat16)
        model = model.to_empty(device=DEVICE)
        if c["tie_word_embeddings"]:
            model.head.weight = model.embedding.weight
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.fill_(1)
                else:
                    parameter.normal_(0, parameter.shape[1] ** -0.5)
        self.model = model
        # A graph for each shape: what a server with PyTorch does.
        self.run = torch.compile(model, mode="reduce-overhead", dynamic=False) if self.compiled else model
        half = torch.arange(0, c["head_dim"], 2, dtype=torch.float64) / c["head_dim"]
        angles = torch.outer(torch.arange(c["max_position_embeddings"], dtype=torch.float64), c["rope_theta"] ** -half)
        self.cos = angles.cos().to(DEVICE, torch.bfloat16)
        self.sin = angles.sin().to(DEVICE, torch.bfloat16)
        self.kv_shape = None
        sync()

    def caches(self, batch, length):
        """Keys and values of one shape; those of the last stay, so that graphs find them where they were."""
        if self.kv_shape != (batch, length):
            shape = (batch, self.config["num_key_value_heads"], length, self.config["head_dim"])
            self.kv = None
            # Kept small: what is behind the first step's position was never computed, and costs the same.
            make = lambda: (torch.randn(shape, device=DEVICE) * 0.1).to(torch.bfloat16)  # noqa: E731
            self.kv = [(make(), make()) for _ in range(self.config["num_hidden_layers"])]
            if self.compiled:
                # Graphs are recorded of what writes into its arguments only if these stay where they are.
                for cache in self.kv:
                    for tensor in cache:
                        torch._dynamo.mark_static_address(tensor)
            self.kv_shape = (batch, length)
        return self.kv

    def forward(self, tokens, positions, caches, mask):
        if self.compiled:
            torch.compiler.cudagraph_mark_step_begin()
        return self.run(tokens, self.cos[positions], self.sin[positions], caches, positions, mask)

    def prefill(self, request):
        count = request["tokens"]
        caches = self.caches(1, count)
        tokens = torch.tensor([[protocol.token(i) for i in range(count)]], device=DEVICE)
        positions = torch.arange(count, device=DEVICE)
        sync()
        begun = time.perf_counter()
        sampled = self.forward(tokens, positions, caches, None)
        sampled.cpu()
        return time.perf_counter() - begun

    def decode(self, request):
        """Steps of one token for each of `batch` sequences; the positions before hold random keys and values."""
        depth, steps, batch = request["depth"], request["tokens"], request["batch"]
        length = (depth + steps + 7) // 8 * 8
        caches = self.caches(batch, length)
        tokens = torch.tensor([[protocol.token(depth + s)] for s in range(batch)], device=DEVICE)
        all_positions = torch.arange(length, device=DEVICE)
        sync()
        begun = time.perf_counter()
        for step in range(steps):
            positions = all_positions[depth + step : depth + step + 1]
            mask = (all_positions <= positions)[None, None, None, :]
            # A graph's result is overwritten by the next.
            tokens = self.forward(tokens, positions, caches, mask).clone()
        tokens.cpu()
        return time.perf_counter() - begun


def sync():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def main():
    if DEVICE == "cuda":
        torch.cuda.set_device(int(os.environ.get("ASSAY_GPU", "0")))
    peer = Peer("--compile" in sys.argv[1:])
    with torch.inference_mode():
        protocol.serve(peer)


if __name__ == "__main__":
    if "--version" in sys.argv[1:]:
        # Fails where there is no GPU that it can use.
        torch.zeros(1, device=DEVICE)
        protocol.say(f"PyTorch {torch.__version__} (CUDA {torch.version.cuda})")
    else:
        main()
