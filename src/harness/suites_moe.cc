#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/random_weights.h"
#include "harness/typed_suite.h"
#include "kernels/ref/elements.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

constexpr DType kB = DType::kBF16;
constexpr DType kF = DType::kF32;

// ---- experts

struct ExpertsShape {
  std::int64_t tokens = 0;
  std::int64_t experts = 0;
  std::int64_t k = 0;
  std::int64_t hidden = 0;
  std::int64_t width = 0;
  Storage storage = {};
  DType type = kB;
  float limit = 0;  // 0: none
  bool bench = false;
};

std::string ToString(const ExpertsShape& s) {
  return fmt::format("T={} E={} k={} d={} I={} {} {}{}", s.tokens, s.experts, s.k, s.hidden,
                     s.width, s.storage.name, s.type == kB ? "bf16" : "f32",
                     s.limit > 0 ? " clamped" : "");
}

double Rounded(double v, DType type) {
  const auto f = static_cast<float>(v);
  return type == kF ? f : static_cast<float>(bf16(f));
}

// A rounded value, and how far a kernel whose value before the rounding was off by at most `error`
// can be from it: nothing, unless a tie lies that close.
struct Uncertain {
  double value = 0;
  double error = 0;

  Uncertain(double exact, double before, DType type) : value(Rounded(exact, type)) {
    error = std::max(Rounded(exact + before, type) - value, value - Rounded(exact - before, type));
  }
};

// Largest error of each output of one problem, found by following the contract in double.
class ExpertsBound {
 public:
  explicit ExpertsBound(const ExpertsArgs& a) {
    for (std::int64_t t = 0; t < a.tokens; ++t) AddToken(a, t);
  }
  double At(std::int64_t i) const { return bound_[static_cast<std::size_t>(i)]; }

 private:
  static Uncertain Hidden(const ExpertsArgs& a, std::int64_t t, std::int64_t slot, std::int64_t j) {
    const std::int32_t e = a.expert[slot];
    const DotSums g = Dot(a.x, a.type, t * a.hidden(), a.w1[e], j);
    const DotSums u = Dot(a.x, a.type, t * a.hidden(), a.w3[e], j);
    const double gate_error = DotError(a.hidden(), g.magnitude);
    const double up_error = DotError(a.hidden(), u.magnitude);
    const double limit = a.limit;
    const double clamped = std::min(g.value, limit);
    const double silu = clamped / (1 + std::exp(-clamped));
    const double other = std::clamp(u.value, -limit, limit);
    const double weight = a.weight[slot];
    const double h = silu * other * weight;
    // |silu'| <= 1.1; the exponential, the division and four products are off by at most 10 u.
    const double error = std::abs(weight) * (1.1 * gate_error * (std::abs(other) + up_error) +
                                             std::abs(silu) * up_error) +
                         10 * kF32Eps * std::abs(h) + 0x1p-120;
    return {h, error, a.type};
  }

  void AddToken(const ExpertsArgs& a, std::int64_t t) {
    std::vector<double> sum(static_cast<std::size_t>(a.hidden()));
    for (std::int64_t slot = t * a.k; slot < (t + 1) * a.k; ++slot) {
      std::vector<Uncertain> hidden;
      for (std::int64_t j = 0; j < a.width(); ++j) hidden.push_back(Hidden(a, t, slot, j));
      for (std::int64_t c = 0; c < a.hidden(); ++c) {
        double from_hidden = 0;
        double magnitude = 0;
        for (std::int64_t j = 0; j < a.width(); ++j) {
          const double w = std::abs(ref::Weight(a.w2[a.expert[slot]], c, j));
          const Uncertain& h = hidden[static_cast<std::size_t>(j)];
          from_hidden += w * h.error;
          magnitude += w * (std::abs(h.value) + h.error);
        }
        // The sum over slots rounds k times, each at most u of everything summed.
        sum[static_cast<std::size_t>(c)] += from_hidden + DotError(a.width(), magnitude) +
                                            static_cast<double>(a.k + 1) * kF32Eps * magnitude;
      }
    }
    bound_.insert(bound_.end(), sum.begin(), sum.end());
  }

  std::vector<double> bound_ = {};
};

Problem<ExpertsArgs> MakeExperts(const ExpertsShape& s) {
  auto buffers = std::make_shared<Buffers>(2);
  const auto matrices = [&](std::int64_t rows, std::int64_t cols) {
    auto* all = static_cast<WeightMatrix*>(
        buffers->Bytes(s.experts * static_cast<std::int64_t>(sizeof(WeightMatrix))));
    for (std::int64_t e = 0; e < s.experts; ++e)
      all[e] = RandomWeights(*buffers, s.storage, rows, cols);
    return all;
  };
  ExpertsArgs a;
  a.type = s.type;
  a.tokens = s.tokens;
  a.experts = s.experts;
  a.k = s.k;
  if (s.limit > 0) a.limit = s.limit;
  a.x = buffers->Values(s.tokens * s.hidden, s.type, 1 / std::sqrt(static_cast<double>(s.hidden)));
  a.expert = buffers->Ints(s.tokens * s.k, s.experts);
  a.weight = buffers->Floats(s.tokens * s.k, 0.1, 0.5);
  a.w1 = matrices(s.width, s.hidden);
  a.w3 = matrices(s.width, s.hidden);
  a.w2 = matrices(s.hidden, s.width);
  const std::int64_t elements = s.tokens * s.hidden;
  a.out = static_cast<float*>(buffers->Bytes(elements * 4));

  const auto bound = [a, known = std::shared_ptr<ExpertsBound>()](std::int64_t i, double) mutable {
    if (known == nullptr) known = std::make_shared<ExpertsBound>(a);
    return known->At(i);
  };
  Problem<ExpertsArgs> p{a, {{"out", a.out, kF, elements, bound}}, buffers};
  const std::int64_t asked = std::min(s.experts, s.tokens * s.k);
  p.bytes = s.experts == 0
                ? 0
                : static_cast<double>(asked * (2 * a.w1->bytes() + a.w2->bytes()) +
                                      elements * (static_cast<std::int64_t>(SizeOf(s.type)) + 4));
  p.flops = 6 * static_cast<double>(s.tokens * s.k * s.hidden) * static_cast<double>(s.width);
  return p;
}

std::vector<ExpertsShape> ExpertsShapes() {
  std::vector<ExpertsShape> shapes;
  for (const Storage& storage : kStorages) {
    shapes.push_back({3, 5, 2, 64, 32, storage, kB});
    shapes.push_back({13, 3, 2, 32, 96, storage, kF, 0.5f});
  }
  const Storage fp8 = kStorages[4];
  shapes.push_back({0, 4, 2, 64, 32, fp8});
  shapes.push_back({1, 4, 4, 64, 64, fp8, kB, 1.0f});
  shapes.push_back({30, 1, 1, 33, 50, fp8, kB});  // one expert for all; no multiple of anything
  shapes.push_back({9, 40, 6, 40, 20, kStorages[1], kB});
  shapes.push_back({515, 2, 1, 8, 3, kStorages[1], kF});  // more tokens than a chunk
  shapes.push_back({1, 8, 6, 256, 128, kStorages[6], kB, 10.0f, true});
  shapes.push_back({48, 8, 6, 256, 64, kStorages[6], kB, 10.0f, true});
  return shapes;
}

// ---- route

struct RouteShape {
  std::int64_t tokens = 0;
  std::int64_t experts = 0;
  std::int64_t k = 0;
  enum class Logits { kNormal, kTied, kSpecial } logits = Logits::kNormal;
  bool by_table = false;
  bool bench = false;
  Scoring scoring = Scoring::kSqrtSoftplus;
  std::int64_t groups = 1;
  std::int64_t topk_groups = 1;
  bool normalise = true;
};

std::string ToString(const RouteShape& s) {
  constexpr std::string_view kLogits[] = {"", " tied", " special"};
  std::string name =
      fmt::format("T={} E={} k={}{}{}", s.tokens, s.experts, s.k,
                  kLogits[static_cast<int>(s.logits)], s.by_table ? " by table" : "");
  if (s.scoring == Scoring::kSigmoid) name += " sigmoid";
  if (s.groups > 1) name += fmt::format(" groups={}/{}", s.topk_groups, s.groups);
  if (!s.normalise) name += " as they are";
  return name;
}

Problem<RouteArgs> MakeRoute(const RouteShape& s) {
  auto buffers = std::make_shared<Buffers>(3);
  RouteArgs a;
  a.tokens = s.tokens;
  a.experts = s.experts;
  a.k = s.k;
  a.scale = 2.5f;
  a.scoring = s.scoring;
  a.groups = s.groups;
  a.topk_groups = s.topk_groups;
  a.normalise = s.normalise;
  float* logits = buffers->Floats(s.tokens * s.experts, 3);
  float* bias = buffers->Floats(s.experts, s.logits == RouteShape::Logits::kTied ? 0 : 1);
  for (std::int64_t i = 0; i < s.tokens * s.experts; ++i) {
    if (s.logits == RouteShape::Logits::kTied) logits[i] = std::round(logits[i] / 3);
    if (s.logits == RouteShape::Logits::kSpecial) {
      constexpr float kInfinity = std::numeric_limits<float>::infinity();
      constexpr float kSpecial[] = {std::numeric_limits<float>::quiet_NaN(), -kInfinity, -100, 0};
      logits[i] = kSpecial[buffers->Next() % 4];
    }
  }
  a.logits = logits;
  if (s.by_table) {
    constexpr std::int64_t kVocabulary = 50;
    a.table = buffers->Ints(kVocabulary * s.k, s.experts);
    a.ids = buffers->Ints(s.tokens, kVocabulary);
  } else {
    a.bias = bias;
  }
  const std::int64_t slots = s.tokens * s.k;
  a.expert = static_cast<std::int32_t*>(buffers->Bytes(slots * 4));
  a.weight = static_cast<float*>(buffers->Bytes(slots * 4));
  // k - 1 additions, that of 1e-20 and its own rounding, a division and a product; denormal, the
  // quotient, what it becomes times the scale, and the definition are off by half the smallest.
  const auto bound = [k = s.k, scale = a.scale](std::int64_t, double expected) {
    return static_cast<double>(k + 4) * kF32Eps * std::abs(expected) + (scale + 2) * 0x1p-150;
  };
  Problem<RouteArgs> p{
      a,
      {{"expert", a.expert, DType::kI32, slots, nullptr}, {"weight", a.weight, kF, slots, bound}},
      buffers};
  p.bytes = static_cast<double>(4 * (s.tokens * s.experts + s.experts + 2 * slots));
  return p;
}

std::vector<RouteShape> RouteShapes() {
  using Logits = RouteShape::Logits;
  return {
      {0, 4, 2},
      {1, 1, 1},
      {5, 7, 7},
      {33, 16, 3},
      {9, 16, 5, Logits::kTied},
      {9, 12, 8, Logits::kSpecial},
      {17, 16, 4, Logits::kNormal, true},
      {1, 256, 6, Logits::kNormal, false, true},
      {32, 256, 6, Logits::kNormal, false, true},
      {5, 7, 3, Logits::kNormal, false, false, Scoring::kSigmoid},
      {9, 12, 8, Logits::kSpecial, false, false, Scoring::kSigmoid},
      {17, 16, 4, Logits::kNormal, true, false, Scoring::kSigmoid, 1, 1, false},
      {33, 24, 5, Logits::kNormal, false, false, Scoring::kSigmoid, 4, 2},
      {33, 24, 6, Logits::kTied, false, false, Scoring::kSigmoid, 12, 3},  // all that are kept
      {33, 24, 6, Logits::kSpecial, false, false, Scoring::kSigmoid, 8, 5, false},
      {9, 16, 2, Logits::kNormal, false, false, Scoring::kSqrtSoftplus, 2, 2},
      {1, 256, 8, Logits::kNormal, false, true, Scoring::kSigmoid, 8, 4},
      {32, 256, 8, Logits::kNormal, false, true, Scoring::kSigmoid, 8, 4},
      {1, 384, 8, Logits::kNormal, false, true, Scoring::kSigmoid},
  };
}

}  // namespace

void AddMoeSuites(std::vector<std::unique_ptr<Suite>>& to) {
  std::vector<Case<ExpertsArgs>> experts;
  for (const ExpertsShape& s : ExpertsShapes())
    experts.push_back({ToString(s), [s] { return MakeExperts(s); }, s.bench});
  to.push_back(MakeSuite("experts", ops::ExpertsKernels(), std::move(experts)));

  std::vector<Case<RouteArgs>> route;
  for (const RouteShape& s : RouteShapes())
    route.push_back({ToString(s), [s] { return MakeRoute(s); }, s.bench});
  to.push_back(MakeSuite("route", ops::RouteKernels(), std::move(route)));
}

}  // namespace birkhoff::harness
