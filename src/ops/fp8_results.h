// What the ops that give FP8 have in common: attributes, the types of (q, scales), where they go.
#pragma once

#include <string_view>
#include <vector>

#include "birkhoff/ops/fp8.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {

// The types of [rows, columns] in FP8: q f8e4m3 [rows, columns], scales f32 or f8e8m0 [rows,
// ceil(columns / group)]; group 0: one for the whole row. Or what is wrong.
Result<std::vector<ValueType>> Fp8Types(std::string_view op, std::span<const Extent> shape,
                                        std::int64_t group, std::int64_t scale, double floor);

// By attributes int group, int scale, number floor.
Result<std::vector<ValueType>> Fp8Types(std::string_view op, std::span<const Extent> shape,
                                        const Attributes& attributes);
Fp8Format Fp8FormatOf(const Attributes& attributes);

// Results (q, scales), row after row.
void BindFp8(std::span<const Operand> q_and_scales, Fp8Rows& to);

}  // namespace birkhoff::ops
