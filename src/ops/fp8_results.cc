#include "ops/fp8_results.h"

#include <fmt/format.h>

#include <cmath>

namespace birkhoff::ops {

Result<std::vector<ValueType>> Fp8Types(std::string_view op, std::span<const Extent> shape,
                                        std::int64_t group, std::int64_t scale, double floor) {
  const auto wrong = [&](std::string_view what, std::string_view expected, auto got) {
    return Status::InvalidArgument(
        fmt::format("{}: expected {} {}, got {}", op, what, expected, got));
  };
  constexpr auto kScales = static_cast<std::int64_t>(Fp8Scale::kE8M0) + 1;
  if (group < 0) return wrong("group", "of 0 or more columns", group);
  if (scale < 0 || scale >= kScales) return wrong("scale", "to be a Fp8Scale", scale);
  if (!(floor >= 1e-30 && floor <= 1e30)) return wrong("floor", "in [1e-30, 1e30]", floor);
  const std::int64_t columns = shape[1].times;
  const std::int64_t groups = group == 0 ? 1 : (columns - 1) / group + 1;
  const bool bytes = scale == static_cast<std::int64_t>(Fp8Scale::kE8M0);
  return std::vector<ValueType>{
      Activation(DType::kF8E4M3, {shape[0], shape[1]}),
      Activation(bytes ? DType::kF8E8M0 : DType::kF32, {shape[0], Const(groups)})};
}

Result<std::vector<ValueType>> Fp8Types(std::string_view op, std::span<const Extent> shape,
                                        const Attributes& attributes) {
  return Fp8Types(op, shape, attributes.Int("group"), attributes.Int("scale"),
                  attributes.Number("floor"));
}

Fp8Format Fp8FormatOf(const Attributes& attributes) {
  return {attributes.Int("group"), static_cast<Fp8Scale>(attributes.Int("scale")),
          static_cast<float>(attributes.Number("floor"))};
}

void BindFp8(std::span<const Operand> q_and_scales, Fp8Rows& to) {
  const std::int64_t width = q_and_scales[0].dim[1];
  to.data = q_and_scales[0].data;
  to.scale = q_and_scales[1].data;
  if (to.format.group == 0 || to.format.group > width) to.format.group = width;
}

}  // namespace birkhoff::ops
