"""python3 native_llama.py MODEL.gguf: native llama.cpp through llama-cpp-python, one thread; rounds as in rounds.mjs."""

import json
import sys
import time

from llama_cpp import Llama

PROMPT_TOKENS = 128
DECODE_TOKENS = 128

model = Llama(sys.argv[1], n_threads=1, n_threads_batch=1, n_ctx=1024, verbose=False)


def tokens(count, salt):
    return [(i * 7919 + salt) % 40000 + 100 for i in range(count)]


def measure(number):
    model.reset()
    start = time.perf_counter()
    model.eval(tokens(PROMPT_TOKENS, number))
    decoding = time.perf_counter()
    for token in tokens(DECODE_TOKENS, 7 * number):
        model.eval([token])
    end = time.perf_counter()
    return {"prefill": PROMPT_TOKENS / (decoding - start), "decode": DECODE_TOKENS / (end - decoding)}


model.eval(tokens(4, 0))
print(json.dumps(measure(1)), flush=True)
for number, _ in enumerate(sys.stdin, 2):
    print(json.dumps(measure(number)), flush=True)
