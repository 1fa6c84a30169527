// The embedded checkpoint and its golden outputs.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "birkhoff/engine.h"
#include "tests/runtime/golden_file.h"

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

struct Golden : GoldenFile {
  Golden() : GoldenFile(kTinyV4) {}
};

}  // namespace birkhoff
