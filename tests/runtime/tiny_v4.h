// The embedded checkpoint and its golden outputs, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "birkhoff/engine.h"
#include "io/safetensors.h"

namespace birkhoff {

inline const std::string kTinyV4 = BIRKHOFF_SOURCE_DIR "/models/tiny-v4";
inline constexpr int kGoldenPrompts = 14;

inline std::unique_ptr<Engine> LoadTinyV4(EngineOptions options) {
  options.model = kTinyV4;
  if (options.context == 0) options.context = 4096;
  auto engine = Engine::Load(options);
  EXPECT_TRUE(engine.ok()) << engine.status().ToString();
  return engine.ok() ? std::move(*engine) : nullptr;
}

// golden.safetensors; what each tensor means stands in models/tiny-v4/README.md.
class Golden {
 public:
  Golden() {
    auto file = io::SafetensorsFile::Open(kTinyV4 + "/golden.safetensors");
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

}  // namespace birkhoff
