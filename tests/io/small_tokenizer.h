// A tokenizer small enough to be taken apart: the 256 bytes, a few merges, two added tokens, one
// split step.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/utf8.h"

namespace birkhoff {

inline nlohmann::json SmallTokenizer() {
  using nlohmann::json;
  json vocab = json::object();
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    std::string name;
    io::AppendUtf8(own ? byte : next++, &name);
    vocab[name] = static_cast<int>(byte) + 2;
  }
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"a", "a"}, {"b", "c"}, {"aa", "aa"}, {"a", "bc"}, {"Ġ", "Ġ"}};
  json merge_list = json::array();
  for (const auto& [left, right] : merges) {
    vocab[left + right] = static_cast<int>(vocab.size()) + 2;
    merge_list.push_back({left, right});
  }
  const auto added = [](int id, const char* content) {
    return json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  return {{"added_tokens", {added(0, "<s>"), added(1, "<s>x")}},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             {{{"type", "Split"},
               {"pattern", {{"Regex", "\\p{N}{1,3}|\\s+(?!\\S)|\\s+"}}},
               {"behavior", "Isolated"},
               {"invert", false}},
              {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
          {"model",
           {{"type", "BPE"},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", merge_list}}}};
}

}  // namespace birkhoff
