// driver MODEL.gguf: llama.cpp on one thread, natively or as WebAssembly in Node. It answers lines on its standard
// input as serve.mjs does. driver MODEL.gguf TYPE OUT.gguf writes the model again with another of ggml's file types.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "llama.h"

static double now() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] static void fail(const char *what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

static const size_t BATCH = 512;
static llama_context *context;
static int vocabulary;

static void decode(std::vector<llama_token> &tokens) {
  if (llama_decode(context, llama_batch_get_one(tokens.data(), tokens.size())) != 0) fail("llama_decode failed");
}

static llama_token best(const float *logits) {
  llama_token id = 0;
  for (int i = 1; i < vocabulary; i++)
    if (logits[i] > logits[id]) id = i;
  return id;
}

static llama_token bestOfLast() { return best(llama_get_logits_ith(context, -1)); }

/** A prompt, then so many greedy tokens. */
static void run(std::istringstream &line) {
  int decodeTokens = 0;
  line >> decodeTokens;
  std::vector<llama_token> ids;
  for (llama_token id; line >> id;) ids.push_back(id);
  llama_memory_clear(llama_get_memory(context), false);
  const double start = now();
  // No longer than n_batch at a time.
  for (size_t at = 0; at < ids.size(); at += BATCH) {
    std::vector<llama_token> piece(ids.begin() + at, ids.begin() + std::min(ids.size(), at + BATCH));
    decode(piece);
  }
  std::vector<llama_token> next{bestOfLast()};
  const double decoding = now();
  for (int i = 0; i < decodeTokens; i++) {
    decode(next);
    next[0] = bestOfLast();
  }
  std::printf("{\"prefillMs\":%.4f,\"decodeMs\":%.4f}\n", decoding - start, now() - decoding);
}

/** Log-probabilities of the asked tokens after each of the ids, and the likeliest token there. */
static void score(std::istringstream &line) {
  int count = 0, perPosition = 0;
  line >> count >> perPosition;
  std::vector<llama_token> ids(count), asked(count * perPosition);
  for (auto &id : ids) line >> id;
  for (auto &id : asked) line >> id;
  llama_memory_clear(llama_get_memory(context), false);
  std::vector<int8_t> every(count, 1);
  llama_batch batch = llama_batch_get_one(ids.data(), count);
  batch.logits = every.data();
  if (llama_decode(context, batch) != 0) fail("llama_decode failed");
  std::string best_ids;
  std::printf("{\"logprobs\":[");
  for (int i = 0; i < count; i++) {
    const float *logits = llama_get_logits_ith(context, i);
    const llama_token first = best(logits);
    double sum = 0;
    for (int id = 0; id < vocabulary; id++) sum += std::exp((double)logits[id] - logits[first]);
    const double normalizer = logits[first] + std::log(sum);
    for (int k = 0; k < perPosition; k++)
      std::printf("%s%.6g", i + k ? "," : "", logits[asked[i * perPosition + k]] - normalizer);
    best_ids += (i ? "," : "") + std::to_string(first);
  }
  std::printf("],\"best\":[%s]}\n", best_ids.c_str());
}

int main(int argc, char **argv) {
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_backend_init();
  if (argc == 4) {
    auto options = llama_model_quantize_default_params();
    options.ftype = (llama_ftype)std::atoi(argv[2]);
    options.allow_requantize = true;
    return (int)llama_model_quantize(argv[1], argv[3], &options);
  }
  if (argc != 2) fail("driver MODEL.gguf [TYPE OUT.gguf]");
  const double start = now();
  auto modelOptions = llama_model_default_params();
#ifdef __EMSCRIPTEN__
  modelOptions.load_mode = LLAMA_LOAD_MODE_NONE;
#endif
  llama_model *model = llama_model_load_from_file(argv[1], modelOptions);
  if (model == nullptr) fail("the model could not be loaded");
  auto options = llama_context_default_params();
  options.n_ctx = 1024;
  options.n_batch = options.n_ubatch = BATCH;
  options.n_threads = options.n_threads_batch = 1;
  context = llama_init_from_model(model, options);
  if (context == nullptr) fail("the context could not be made");
  vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::printf("{\"loadMs\":%.4f}\n", now() - start);
  std::fflush(stdout);
  for (std::string text; std::getline(std::cin, text);) {
    std::istringstream line(text);
    std::string task;
    line >> task;
    if (task == "run") run(line);
    else score(line);
    std::fflush(stdout);
  }
}
