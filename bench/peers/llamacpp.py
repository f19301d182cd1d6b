"""A peer of the benchmark: llama.cpp through the C API that llama-cpp-python binds.

Reads one request a line (JSON), answers one line. Times are taken here, around the calls; tokens go in as numbers, nothing
is sampled. Requests: load, prefill, decode, logits, memory (see src/engine.rs).
"""

import ctypes
import json
import os
import sys
import time

# The protocol's own stdout; whatever a library prints goes to stderr.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import llama_cpp as ll  # noqa: E402


@ll.llama_log_callback
def log_errors(level, text, user):
    if level >= 4:  # errors
        sys.stderr.write(text.decode(errors="replace"))


ll.llama_log_set(log_errors, ctypes.c_void_p(0))


@ll.llama_progress_callback
def no_progress(progress, user):
    return True


class Peer:
    def __init__(self):
        self.model = None
        self.contexts = {}
        self.filled = {}

    def load(self, request):
        self.threads = request["threads"]
        self.context_length = request["context"]
        ll.llama_backend_init()
        params = ll.llama_model_default_params()
        params.progress_callback = no_progress
        self.model = ll.llama_model_load_from_file(request["gguf"].encode(), params)
        if not self.model:
            raise RuntimeError("llama.cpp cannot load the file")
        self.vocabulary = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(self.model))
        self.context(1)

    def context(self, sequences):
        """Its default settings, but for threads and context: `sequences` of them, one of full length or many of 256."""
        if sequences in self.contexts:
            return self.contexts[sequences]
        params = ll.llama_context_default_params()
        params.n_ctx = self.context_length if sequences == 1 else 256 * sequences
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = self.threads
        params.no_perf = True
        context = ll.llama_init_from_model(self.model, params)
        if not context:
            raise RuntimeError("llama.cpp cannot make a context")
        self.contexts[sequences] = context
        self.filled[sequences] = 0
        return context

    def forward(self, context, rows, last_only=True):
        """One batch of (token, position, sequence); logits of the last row, or of all."""
        batch = ll.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, (token, position, sequence) in enumerate(rows):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = 0 if last_only and i + 1 < len(rows) else 1
        begun = time.perf_counter()
        status = ll.llama_decode(context, batch)
        ll.llama_synchronize(context)
        seconds = time.perf_counter() - begun
        ll.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return seconds

    def clear(self, sequences):
        ll.llama_memory_clear(ll.llama_get_memory(self.context(sequences)), True)
        self.filled[sequences] = 0

    def prefill(self, request):
        count = request["tokens"]
        context = self.context(1)
        self.clear(1)
        return self.forward(context, [(self.token(i), i, 0) for i in range(count)])

    def decode(self, request):
        """Steps of one token for each of `batch` sequences that are `depth` deep."""
        depth, steps, batch = request["depth"], request["tokens"], request["batch"]
        context = self.context(batch)
        memory = ll.llama_get_memory(context)
        if self.filled[batch] != depth:
            self.clear(batch)
            for s in range(batch):
                self.forward(context, [(self.token(i + s), i, s) for i in range(depth)])
            self.filled[batch] = depth
        seconds = 0
        for step in range(steps):
            rows = [(self.token(depth + step + s), depth + step, s) for s in range(batch)]
            seconds += self.forward(context, rows, last_only=False)
        for s in range(batch):
            ll.llama_memory_seq_rm(memory, s, depth, -1)
        return seconds

    def logits(self, request):
        context = self.context(1)
        self.clear(1)
        tokens = request["tokens"]
        self.forward(context, [(token, i, 0) for i, token in enumerate(tokens)])
        data = ll.llama_get_logits_ith(context, -1)
        with open(request["out"], "wb") as out:
            out.write(ctypes.string_at(data, 4 * self.vocabulary))

    def token(self, i):
        return 4 + (i * 97 + 13) % 256


def peak_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0


def main():
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            operation = request["op"]
            if operation == "memory":
                answer = {"bytes": peak_bytes()}
            else:
                begun = time.perf_counter()
                seconds = getattr(peer, operation)(request)
                answer = {"seconds": time.perf_counter() - begun if seconds is None else seconds}
        except Exception as error:  # whatever it is, the run goes on without this figure
            answer = {"error": f"{type(error).__name__}: {error}"}
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        system = ll.llama_print_system_info().decode().strip()
        on = [part.split(" = ")[0].strip() for part in system.split(":")[-1].split("|") if part.strip().endswith("= 1")]
        ANSWERS.write(f"llama-cpp-python {ll.__version__} ({' '.join(on)})\n")
    else:
        main()
