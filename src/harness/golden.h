// Golden outputs read from golden.safetensors, checked for shape and type.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "birkhoff/status.h"
#include "io/safetensors.h"

namespace birkhoff::harness {

// One prompt and what the reference implementation made of it. Absent tensors are empty.
struct GoldenPrompt {
  std::string name = {};                    // "8"
  std::vector<std::int32_t> ids = {};       // [T]
  std::vector<float> logits_last = {};      // [V]
  std::vector<float> token_logprobs = {};   // [T - 1]
  std::int64_t top = 0;                     // k
  std::vector<std::int32_t> top_ids = {};   // [T, k], likeliest first
  std::vector<float> top_logprobs = {};     // [T, k]
  std::vector<std::int32_t> greedy = {};    // [n]
  std::vector<float> greedy_margin = {};    // [n]
  std::vector<float> streams = {};          // [layers, T, hc, hidden]
  std::vector<std::int32_t> mtp_top1 = {};  // [T]
  std::vector<float> mtp_logits_last = {};  // [V]
};

// Every prompt of the file, by number.
// Errors   those of the file; kInvalidArgument for a tensor of another shape or type
Result<std::vector<GoldenPrompt>> ReadGoldens(const std::string& path);

}  // namespace birkhoff::harness
