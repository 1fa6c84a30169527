#include <fmt/format.h>

#include "ops/defs.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

// The target shape as attributes: extent i is times_i of the symbol symbol_i.
constexpr std::string_view kTimes[] = {"times_0", "times_1", "times_2", "times_3"};
constexpr std::string_view kSymbol[] = {"symbol_0", "symbol_1", "symbol_2", "symbol_3"};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("reshape", in, 1));
  BK_RETURN_IF_ERROR(ExpectKind("reshape x", in[0], Kind::kActivation));
  ValueType out = Activation(in[0].dtype, {});
  for (std::int64_t i = 0; i < attributes.Int("rank"); ++i) {
    const auto d = static_cast<std::size_t>(i);
    out.shape.push_back(
        {attributes.Int(kTimes[d]), static_cast<Symbol>(attributes.Int(kSymbol[d]))});
  }
  if (Product(out.shape) != Product(in[0].shape)) {
    return Status::InvalidArgument(fmt::format("reshape: {} does not have the elements of {}",
                                               out.ToString(), in[0].ToString()));
  }
  return std::vector<ValueType>{std::move(out)};
}

}  // namespace

Attributes ReshapeAttributes(std::span<const Extent> shape) {
  std::vector<Attributes::Entry> entries = {{"rank", static_cast<std::int64_t>(shape.size())}};
  for (std::size_t d = 0; d < shape.size(); ++d) {
    entries.push_back({std::string(kTimes[d]), shape[d].times});
    entries.push_back({std::string(kSymbol[d]), static_cast<std::int64_t>(shape[d].symbol)});
  }
  return Attributes(std::move(entries));
}

const OpDef kReshape = {.name = "reshape", .infer = Infer, .view = true};

}  // namespace birkhoff::ops
