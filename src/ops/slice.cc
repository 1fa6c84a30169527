#include <fmt/format.h>

#include "ops/defs.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("slice", in, 1));
  BK_RETURN_IF_ERROR(ExpectKind("slice x", in[0], Kind::kActivation));
  const std::int64_t begin = attributes.Int("begin");
  const std::int64_t width = attributes.Int("width");
  const Extent columns = in[0].shape.empty() ? Const(0) : in[0].shape.back();
  if (columns.symbol != Symbol::kOne || begin < 0 || width < 1 || begin > columns.times - width)
    return Status::InvalidArgument(fmt::format("slice: expected columns of {}, got {} from {} on",
                                               in[0].ToString(), width, begin));
  ValueType out = in[0];
  out.shape.back() = Const(width);
  if (width < columns.times) out.layout = Layout::kColumns;
  return std::vector<ValueType>{std::move(out)};
}

std::int64_t Begin(const Attributes& attributes) { return attributes.Int("begin"); }

}  // namespace

const OpDef kSlice = {
    .name = "slice", .infer = Infer, .takes = kTakes, .view = true, .begin = Begin};

}  // namespace birkhoff::ops
