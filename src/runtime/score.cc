#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/engine_impl.h"
#include "runtime/sampler.h"

namespace birkhoff {
namespace {

// log(sum(exp(logits))), in double.
double LogSumExp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - largest);
  return largest + std::log(sum);
}

std::vector<std::int32_t> TopIds(std::span<const float> logits, int top) {
  std::vector<std::int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto count = std::min<std::ptrdiff_t>(top, static_cast<std::ptrdiff_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(),
                    [&](std::int32_t a, std::int32_t b) {
                      const float x = logits[static_cast<std::size_t>(a)];
                      const float y = logits[static_cast<std::size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  ids.resize(static_cast<std::size_t>(count));
  return ids;
}

}  // namespace

Result<ScoreResult> Engine::Impl::Score(std::span<const std::int32_t> tokens,
                                        const ScoreOptions& options, const Progress& progress) {
  if (options.top < 0 || options.top > info().vocab) {
    return Status::InvalidArgument(
        fmt::format("top: expected a number in [0, {}], got {}", info().vocab, options.top));
  }
  if (options.draft && draft_ == nullptr) {
    return Status::Unsupported("draft scores: the model was loaded without an MTP layer");
  }
  const int slot = options_.max_sessions;  // the one that no session gets
  Reset(slot);
  BK_RETURN_IF_ERROR(CheckTokens(slot, tokens));

  const std::size_t total = tokens.size();
  const auto chunk = static_cast<std::size_t>(max_rows_);
  ScoreResult result;
  result.token_logprobs.resize(total - 1);
  result.top_ids.resize(total);
  result.top_logprobs.resize(total);
  result.draft_top1.resize(options.draft ? total : 0);
  std::vector<std::int32_t> ids_next;
  for (std::size_t done = 0; done < total;) {
    const std::size_t n = std::min(chunk, total - done);
    const bool last = done + n == total;
    BK_RETURN_IF_ERROR(Extend(slot, tokens.subspan(done, n), StepItem::Rows::kAll));
    pool_->ParallelFor(
        static_cast<std::int64_t>(n), 1, [&](std::int64_t begin, std::int64_t end, int) {
          for (std::int64_t i = begin; i < end; ++i) {
            const std::span<const float> logits = LogitsRow(*trunk_, static_cast<std::size_t>(i));
            const std::size_t t = done + static_cast<std::size_t>(i);
            const double norm = LogSumExp(logits);
            if (t + 1 < total) {
              result.token_logprobs[t] =
                  static_cast<float>(logits[static_cast<std::size_t>(tokens[t + 1])] - norm);
            }
            result.top_ids[t] = TopIds(logits, options.top);
            for (const std::int32_t id : result.top_ids[t]) {
              result.top_logprobs[t].push_back(
                  static_cast<float>(logits[static_cast<std::size_t>(id)] - norm));
            }
          }
        });
    if (last && options.logits_last) {
      const std::span<const float> logits = LogitsRow(*trunk_, n - 1);
      result.logits_last.assign(logits.begin(), logits.end());
    }
    if (options.draft) {
      const std::size_t known = last ? n - 1 : n;
      ids_next.assign(tokens.begin() + static_cast<std::ptrdiff_t>(done + 1),
                      tokens.begin() + static_cast<std::ptrdiff_t>(done + 1 + known));
      if (last) ids_next.push_back(runtime::ArgMax(LogitsRow(*trunk_, n - 1)));
      BK_RETURN_IF_ERROR(
          ExtendDraft(slot, static_cast<std::int64_t>(done), 0, ids_next, StepItem::Rows::kAll));
      for (std::size_t i = 0; i < n; ++i)
        result.draft_top1[done + i] = runtime::ArgMax(LogitsRow(*draft_, i));
      if (last && options.logits_last) {
        const std::span<const float> logits = LogitsRow(*draft_, n - 1);
        result.draft_logits_last.assign(logits.begin(), logits.end());
      }
    }
    done += n;
    if (progress)
      progress("scoring", static_cast<std::int64_t>(done), static_cast<std::int64_t>(total));
  }
  return result;
}

}  // namespace birkhoff
