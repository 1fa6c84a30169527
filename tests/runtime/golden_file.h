// golden.safetensors of a checkpoint, and how far something is from it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace birkhoff {

// What each tensor means stands in src/harness/verify_model.h.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& folder) {
    auto file = io::SafetensorsFile::Open(folder + "/golden.safetensors");
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    if (file.ok()) file_.emplace(std::move(*file));
  }

  bool Has(int prompt, const std::string& what) const {
    return file_->Find(Name(prompt, what)).ok();
  }

  template <class T>
  std::vector<T> Get(int prompt, const std::string& what) const {
    const auto view = file_->Find(Name(prompt, what));
    if (!view.ok()) return {};  // a prompt of one token has no log-probabilities of its own
    EXPECT_EQ(SizeOf(view->dtype), sizeof(T));
    std::vector<T> v(static_cast<std::size_t>(view->shape.elements()));
    std::memcpy(v.data(), view->data, v.size() * sizeof(T));
    return v;
  }

  std::vector<std::int32_t> Ids(int prompt) const { return Get<std::int32_t>(prompt, "ids"); }

 private:
  static std::string Name(int prompt, const std::string& what) {
    return std::to_string(prompt) + "." + what;
  }
  std::optional<io::SafetensorsFile> file_ = {};
};

struct Difference {
  double largest = 0;
  std::size_t at = 0;
  double mean = 0;
};

inline Difference Compare(std::span<const float> a, std::span<const float> b) {
  Difference d;
  EXPECT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double error = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(error <= d.largest)) {
      d.largest = error;
      d.at = i;
    }
    d.mean += error / static_cast<double>(a.size());
  }
  return d;
}

}  // namespace birkhoff
