#include "models/deepseek_v4/random_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/thread_pool.h"
#include "kernels/ref/elements.h"
#include "models/small_model.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

Result<RandomWeights> Make(int threads, std::uint64_t seed,
                           Quantisation q = Quantisation::kRelease) {
  ThreadPool pool(threads);
  return RandomWeights::Make(SmallModel(), q, seed, pool);
}

bool SameBytes(const WeightSource& a, const WeightSource& b, const std::string& name) {
  const auto x = *a.Find(name);
  const auto y = *b.Find(name);
  return x.bytes() == y.bytes() &&
         std::memcmp(x.data, y.data, static_cast<std::size_t>(x.bytes())) == 0;
}

TEST(RandomWeights, DependOnTheSeedAndNotOnTheThreads) {
  const auto one = Make(1, 7);
  const auto three = Make(3, 7);
  const auto other = Make(1, 8);
  ASSERT_TRUE(one.ok() && three.ok() && other.ok());
  ASSERT_FALSE(one->Names().empty());
  for (const auto& name : one->Names()) EXPECT_TRUE(SameBytes(*one, *three, name)) << name;
  EXPECT_FALSE(SameBytes(*one, *other, "embed.weight"));
}

TEST(RandomWeights, HoldTheTensorsOfTheRelease) {
  const auto w = Make(1, 1);
  const auto specs = ReleaseTensors(SmallModel(), Quantisation::kRelease);
  EXPECT_EQ(w->Names().size(), specs.size());
  for (const TensorSpec& t : specs) {
    const auto view = w->Find(t.name);
    ASSERT_TRUE(view.ok()) << t.name;
    EXPECT_EQ(view->dtype, t.dtype) << t.name;
    EXPECT_EQ(view->shape, t.shape) << t.name;
  }
  EXPECT_EQ(w->Find("none").status().code(), StatusCode::kNotFound);
}

TEST(RandomWeights, EstimateTheirSize) {
  const Config config = SmallModel();
  for (const auto q :
       {Quantisation::kF32, Quantisation::kBF16, Quantisation::kRelease, Quantisation::kBase}) {
    double bytes = 0;
    for (const TensorSpec& t : ReleaseTensors(config, q)) {
      const auto own = static_cast<double>(t.shape.elements()) * SizeOf(t.dtype);
      bytes += std::max(own, 1024.0);
    }
    EXPECT_EQ(EstimateBytes(config, q), bytes);
  }
}

// Well before its tensors are listed: there are 2^30 of them here.
TEST(RandomWeights, RefuseWhatDoesNotFitIntoMemory) {
  Config config = SmallModel();
  config.layers = 1024;
  config.ratios.assign(1025, 0);
  config.experts = 1 << 20;
  config.expert_width = config.hidden = 1 << 20;
  ThreadPool pool(1);
  const auto w = RandomWeights::Make(config, Quantisation::kF32, 1, pool);
  EXPECT_EQ(w.status().code(), StatusCode::kOutOfRange);
  EXPECT_THAT(w.status().message(), testing::StartsWith("random weights: this config takes 1.3"));
  EXPECT_THAT(w.status().message(), testing::HasSubstr("e+13 GiB, the machine has "));
}

// Root mean square of W * sqrt(cols): what a matrix multiplies a vector's size with.
double Gain(const WeightMatrix& m) {
  double sum = 0;
  for (std::int64_t i = 0; i < m.rows * m.cols; ++i) {
    sum += std::pow(ref::Weight(m, i / m.cols, i % m.cols), 2);
  }
  return std::sqrt(sum / static_cast<double>(m.rows));
}

TEST(RandomWeights, KeepTheSizeOfActivations) {
  for (const auto q :
       {Quantisation::kF32, Quantisation::kBF16, Quantisation::kRelease, Quantisation::kBase}) {
    const auto source = Make(2, 3, q);
    const auto w = LoadWeights(SmallModel(), *source);
    ASSERT_TRUE(w.ok()) << w.status().ToString();
    for (const WeightMatrix& m :
         {w->layers[0].attn.wq_a.m, w->layers[1].attn.wo_b.m, w->layers[2].ffn.experts.w1[4],
          w->layers[2].ffn.experts.w2[0], w->head.m}) {
      EXPECT_GT(Gain(m), 0.4);
      EXPECT_LT(Gain(m), 3.0);
    }
    for (std::int64_t i = 0; i < 64; ++i) {
      EXPECT_GE(w->norm.data[i], 1.0f);
      EXPECT_LT(w->norm.data[i], 1.125f);
    }
  }
}

TEST(RandomWeights, RouteATokenToDistinctExperts) {
  const auto source = Make(1, 3);
  const auto w = LoadWeights(SmallModel(), *source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  std::set<std::int32_t> all;
  for (std::int64_t v = 0; v < 40; ++v) {
    const std::int32_t* ids = w->layers[0].ffn.tid2eid + 2 * v;
    EXPECT_NE(ids[0], ids[1]);
    all.insert(ids, ids + 2);
  }
  EXPECT_EQ(all.size(), 5u);
}

}  // namespace
}  // namespace birkhoff::models::deepseek_v4
