// Sequences run in pieces and side by side, with logits after every token, compared bit by bit.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "birkhoff/engine.h"

namespace birkhoff {

using Logits = std::vector<float>;

// Logits after every token of a sequence that is brought in pieces.
inline std::vector<Logits> RunInPieces(Engine& engine, std::span<const std::int32_t> ids,
                                       std::size_t piece) {
  auto session = engine.NewSession();
  EXPECT_TRUE(session.ok()) << session.status().ToString();
  std::vector<Logits> rows;
  for (std::size_t done = 0; done < ids.size(); done += piece) {
    StepItem item{.session = &*session,
                  .tokens = ids.subspan(done, std::min(piece, ids.size() - done)),
                  .rows = StepItem::Rows::kAll};
    const Status status = engine.Step({&item, 1});
    EXPECT_TRUE(status.ok()) << status.ToString();
    const auto vocab = static_cast<std::size_t>(engine.info().vocab);
    for (std::size_t r = 0; r < item.logits.size() / vocab; ++r) {
      const auto row = item.logits.subspan(r * vocab, vocab);
      rows.emplace_back(row.begin(), row.end());
    }
  }
  return rows;
}

// Bitwise, so that NaN equals NaN and +0 differs from -0.
inline void ExpectSameBits(const std::vector<Logits>& a, const std::vector<Logits>& b,
                           const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t t = 0; t < a.size(); ++t) {
    ASSERT_EQ(a[t].size(), b[t].size());
    ASSERT_EQ(std::memcmp(a[t].data(), b[t].data(), a[t].size() * sizeof(float)), 0)
        << what << ", token " << t;
  }
}

// All texts side by side, each in pieces of its own size, until every one has run out.
inline std::vector<std::vector<Logits>> RunTogether(
    Engine& engine, std::span<const std::vector<std::int32_t>> texts,
    std::span<const std::size_t> strides) {
  std::vector<Session> sessions;
  for (std::size_t s = 0; s < texts.size(); ++s)
    sessions.push_back(std::move(*engine.NewSession()));
  std::vector<std::vector<Logits>> together(texts.size());
  while (true) {
    std::vector<StepItem> items;
    std::vector<std::size_t> who;
    for (std::size_t s = 0; s < texts.size(); ++s) {
      const std::size_t done = together[s].size();
      if (done == texts[s].size()) continue;
      const std::size_t n = std::min(strides[s], texts[s].size() - done);
      items.push_back({.session = &sessions[s],
                       .tokens = std::span(texts[s]).subspan(done, n),
                       .rows = StepItem::Rows::kAll});
      who.push_back(s);
    }
    if (items.empty()) break;
    const Status status = engine.Step(items);
    EXPECT_TRUE(status.ok()) << status.ToString();
    if (!status.ok()) break;
    const auto vocab = static_cast<std::size_t>(engine.info().vocab);
    for (std::size_t i = 0; i < items.size(); ++i) {
      for (std::size_t r = 0; r < items[i].tokens.size(); ++r) {
        const auto row = items[i].logits.subspan(r * vocab, vocab);
        together[who[i]].emplace_back(row.begin(), row.end());
      }
    }
  }
  return together;
}

}  // namespace birkhoff
