"""Two peers of the benchmark: llama.cpp, and with --ik its fork ik_llama.cpp, through the C APIs that llama-cpp-python and
ik-llama-cpp-python bind.

Times are taken here, around the calls; tokens go in as numbers, nothing is sampled. Requests: load, prefill, decode, logits,
memory (see src/engine.rs).
"""

import protocol

import ctypes
import importlib.util
import pathlib
import sys
import time


class LlamaCpp:
    """llama.cpp with its default settings."""

    def __init__(self):
        import llama_cpp

        self.api = llama_cpp
        self.version = f"llama-cpp-python {llama_cpp.__version__}"
        self.system_info = llama_cpp.llama_print_system_info
        self.synchronize = llama_cpp.llama_synchronize
        # Kept, because the library keeps their addresses.
        self.callbacks = [
            llama_cpp.llama_log_callback(log_errors),
            llama_cpp.llama_progress_callback(lambda progress, user: True),
        ]
        llama_cpp.llama_log_set(self.callbacks[0], ctypes.c_void_p(0))

    def model_params(self):
        params = self.api.llama_model_default_params()
        params.progress_callback = self.callbacks[1]
        return params

    def context_params(self):
        params = self.api.llama_context_default_params()
        params.no_perf = True
        return params

    def clear(self, context):
        self.api.llama_memory_clear(self.api.llama_get_memory(context), True)

    def cut(self, context, sequence, length):
        self.api.llama_memory_seq_rm(self.api.llama_get_memory(context), sequence, length, -1)


class IkLlamaCpp:
    """ik_llama.cpp, repacking at load (`--run-time-repack`) and with flash attention: its fastest settings for a CPU."""

    def __init__(self):
        # Where it was built from source, its library does not find the one that it needs.
        package = importlib.util.find_spec("ik_llama_cpp").submodule_search_locations[0]
        needed = pathlib.Path(package, "lib", "libggml.so")
        if needed.exists():
            ctypes.CDLL(str(needed), mode=ctypes.RTLD_GLOBAL)
        import ik_llama_cpp
        from ik_llama_cpp import _ctypes_api

        self.api = _ctypes_api
        self.version = f"ik-llama-cpp-python {ik_llama_cpp.__version__}"
        library = _ctypes_api._lib
        self.system_info = library.llama_print_system_info
        self.system_info.restype = ctypes.c_char_p
        self.synchronize = library.llama_synchronize
        self.synchronize.argtypes = [ctypes.c_void_p]
        self.remove = library.llama_kv_cache_seq_rm
        self.remove.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]
        self.remove.restype = ctypes.c_bool
        log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self.callbacks = [log(log_errors), _ctypes_api.llama_progress_callback(lambda progress, user: True)]
        library.llama_log_set(self.callbacks[0], ctypes.c_void_p(0))

    def model_params(self):
        params = self.api.llama_model_default_params()
        params.progress_callback = self.callbacks[1]
        params.repack_tensors, params.use_mmap, params.flash_attn = True, False, True
        return params

    def context_params(self):
        params = self.api.llama_context_default_params()
        params.flash_attn = True
        return params

    def clear(self, context):
        self.api.llama_kv_cache_clear(context)

    def cut(self, context, sequence, length):
        self.remove(context, sequence, length, -1)


def log_errors(level, text, user):
    if level == 4:  # errors
        sys.stderr.write(text.decode(errors="replace"))


class Peer:
    def __init__(self, library):
        self.library, self.api = library, library.api
        self.model = None
        self.contexts = {}
        self.filled = {}

    def load(self, request):
        self.threads = request["threads"]
        self.context_length = request["context"]
        self.vocabulary = request["config"]["vocab_size"]
        self.api.llama_backend_init()
        self.model = self.api.llama_model_load_from_file(request["gguf"].encode(), self.library.model_params())
        if not self.model:
            raise RuntimeError("the library cannot load the file")
        self.context(1)

    def context(self, sequences):
        """The library's settings, but for threads and context: `sequences` of them, one of full length or many of 256."""
        if sequences in self.contexts:
            return self.contexts[sequences]
        params = self.library.context_params()
        params.n_ctx = self.context_length if sequences == 1 else 256 * sequences
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = self.threads
        context = self.api.llama_init_from_model(self.model, params)
        if not context:
            raise RuntimeError("the library cannot make a context")
        self.contexts[sequences] = context
        self.filled[sequences] = 0
        return context

    def forward(self, context, rows, last_only=True):
        """One batch of (token, position, sequence); logits of the last row, or of all."""
        batch = self.api.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, (token, position, sequence) in enumerate(rows):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = 0 if last_only and i + 1 < len(rows) else 1
        begun = time.perf_counter()
        status = self.api.llama_decode(context, batch)
        self.library.synchronize(context)
        seconds = time.perf_counter() - begun
        self.api.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return seconds

    def clear(self, sequences):
        self.library.clear(self.context(sequences))
        self.filled[sequences] = 0

    def prefill(self, request):
        count = request["tokens"]
        context = self.context(1)
        self.clear(1)
        return self.forward(context, [(protocol.token(i), i, 0) for i in range(count)])

    def decode(self, request):
        """Steps of one token for each of `batch` sequences that are `depth` deep."""
        depth, steps, batch = request["depth"], request["tokens"], request["batch"]
        context = self.context(batch)
        if self.filled[batch] != depth:
            self.clear(batch)
            for s in range(batch):
                self.forward(context, [(protocol.token(i + s), i, s) for i in range(depth)])
            self.filled[batch] = depth
        seconds = 0
        for step in range(steps):
            rows = [(protocol.token(depth + step + s), depth + step, s) for s in range(batch)]
            seconds += self.forward(context, rows, last_only=False)
        for s in range(batch):
            self.library.cut(context, s, depth)
        return seconds

    def logits(self, request):
        context = self.context(1)
        self.clear(1)
        tokens = request["tokens"]
        self.forward(context, [(token, i, 0) for i, token in enumerate(tokens)])
        data = self.api.llama_get_logits_ith(context, -1)
        with open(request["out"], "wb") as out:
            out.write(ctypes.string_at(data, 4 * self.vocabulary))


def version(library):
    """The library's version, and which of the CPU's features it was built for."""
    info = library.system_info().decode().strip()
    parts = [part.split(":")[-1].split(" = ") for part in info.split("|") if " = " in part]
    return f"{library.version} ({' '.join(name.strip() for name, value in parts if value.strip() == '1')})"


if __name__ == "__main__":
    chosen = IkLlamaCpp() if "--ik" in sys.argv[1:] else LlamaCpp()
    if "--version" in sys.argv[1:]:
        protocol.say(version(chosen))
    else:
        protocol.serve(Peer(chosen))
