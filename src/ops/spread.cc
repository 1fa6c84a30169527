#include "ops/defs.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("spread", in, 1));
  BK_RETURN_IF_ERROR(ExpectKind("spread x", in[0], Kind::kActivation));
  BK_RETURN_IF_ERROR(ExpectRank("spread x", in[0], 2));
  const Extent copies = Const(attributes.Int("copies"));
  ValueType out = Activation(in[0].dtype, {in[0].shape[0], copies, in[0].shape[1]});
  out.layout = Layout::kSpread;
  return std::vector<ValueType>{std::move(out)};
}

}  // namespace

const OpDef kSpread = {.name = "spread", .infer = Infer, .view = true};

}  // namespace birkhoff::ops
