#include "models/stored_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace birkhoff::models {
namespace {

using testing::HasSubstr;

// A [3, 40] matrix of E4M3 ones with a BF16 scale for each row, as compressed-tensors stores it.
struct PerChannel {
  std::vector<std::uint8_t> codes = std::vector<std::uint8_t>(3 * 40, 0x38);
  std::vector<bf16> scales = {bf16(0.5f), bf16(2.0f), bf16(0x1p-20f)};
  std::vector<float> wide = std::vector<float>(3);
  StoredTensor weight = {{codes.data(), DType::kF8E4M3, {3, 40}}, "f: x.weight"};
  StoredTensor scale = {{scales.data(), DType::kBF16, {3, 1}}, "f: x.weight_scale"};

  Status Check() {
    BK_ASSIGN_OR_RETURN(const StoredTensor f32, AsF32(scale, wide.data()));
    BK_ASSIGN_OR_RETURN(const WeightMatrix m, DescribeMatrix(weight, &f32, 3, 40, 0));
    return CheckMatrixValues(m, weight, &f32, nullptr);
  }
};

TEST(DescribeMatrix, TakesAScaleForEachRow) {
  PerChannel t;
  const auto scale = AsF32(t.scale, t.wide.data());
  ASSERT_TRUE(scale.ok()) << scale.status().ToString();
  const auto m = DescribeMatrix(t.weight, &*scale, 3, 40, 0);
  ASSERT_TRUE(m.ok()) << m.status().ToString();
  EXPECT_EQ(m->format, WeightFormat::kFp8Block);
  EXPECT_EQ(m->scale_type, DType::kF32);
  EXPECT_EQ(m->block_rows, 1);
  EXPECT_EQ(m->block_cols, 40);
  EXPECT_EQ(m->bytes(), 3 * 40 + 3 * 4);
  EXPECT_THAT(t.wide, testing::ElementsAre(0.5f, 2.0f, 0x1p-20f));
  EXPECT_TRUE(t.Check().ok());
}

TEST(DescribeMatrix, ABlockThatIsStatedComesBeforeRows) {
  const std::vector<std::uint8_t> codes(40);
  const std::vector<float> scales = {1};
  const StoredTensor weight = {{codes.data(), DType::kF8E4M3, {1, 40}}, "f: w"};
  const StoredTensor scale = {{scales.data(), DType::kF32, {1, 1}}, "f: s"};
  const auto m = DescribeMatrix(weight, &scale, 1, 40, 128);
  ASSERT_TRUE(m.ok()) << m.status().ToString();
  EXPECT_EQ(m->block_rows, 128);
}

TEST(DescribeMatrix, RefusesOtherScales) {
  PerChannel t;
  t.scale.view.dtype = DType::kI64;
  EXPECT_THAT(t.Check().message(), HasSubstr("f: x.weight_scale: dtype I64, expected F32, BF16"));
  t = PerChannel();
  t.scale.view.shape = {3};
  EXPECT_THAT(t.Check().message(),
              HasSubstr("x.weight_scale: shape [3], expected [1, 1] for 128 x 128 blocks, [1, 2] "
                        "for 32 x 32 blocks or [3, 1] for the rows of a [3, 40] weight"));
}

TEST(CheckMatrixValues, RefusesNaNAndBadScalesOfARow) {
  PerChannel nan;
  nan.codes[81] = 0xff;
  EXPECT_THAT(nan.Check().message(),
              HasSubstr("f: x.weight: element [2, 1] is code 0xff of F8_E4M3"));
  for (const float bad : {0.0f, -1.0f, HUGE_VALF, std::numeric_limits<float>::quiet_NaN()}) {
    PerChannel t;
    t.scales[1] = bf16(bad);
    EXPECT_THAT(t.Check().message(), HasSubstr("f: x.weight_scale: element [1, 0] is "));
  }
}

}  // namespace
}  // namespace birkhoff::models
