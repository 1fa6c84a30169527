#include "ops/op.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

std::string ToString(Extent e) {
  switch (e.symbol) {
    case Symbol::kOne: return fmt::format("{}", e.times);
    case Symbol::kTokens: return e.times == 1 ? "T" : fmt::format("{}T", e.times);
    case Symbol::kRows: return e.times == 1 ? "R" : fmt::format("{}R", e.times);
  }
  return "?";
}

std::string ToString(std::span<const Extent> shape) {
  std::string s = "[";
  for (const Extent& e : shape) s += (s.size() > 1 ? ", " : "") + ToString(e);
  return s + "]";
}

std::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kActivation: return "activation";
    case Kind::kVector: return "vector";
    case Kind::kFrequency: return "frequency";
    case Kind::kMatrix: return "matrix";
    case Kind::kMatrices: return "matrices";
    case Kind::kTable: return "table";
    case Kind::kState: return "state";
  }
  return "?";
}

std::string_view LayoutText(Layout layout) {
  switch (layout) {
    case Layout::kPacked: return "";
    case Layout::kColumns: return " columns";
    case Layout::kSpread: return " spread";
  }
  return "?";
}

}  // namespace

std::string ValueType::ToString() const {
  const std::string_view prefix = kind == Kind::kActivation ? "" : KindName(kind);
  return fmt::format("{}{}{} {}{}", prefix, prefix.empty() ? "" : " ", Name(dtype),
                     ops::ToString(shape), LayoutText(layout));
}

Attributes::Attributes(std::initializer_list<Entry> entries)
    : Attributes(std::vector<Entry>(entries)) {}

Attributes::Attributes(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
}

const Attributes::Value* Attributes::Find(std::string_view name) const {
  for (const Entry& e : entries_) {
    if (e.name == name) return &e.value;
  }
  assert(false && "attribute missing");
  return nullptr;
}

std::int64_t Attributes::Int(std::string_view name) const {
  return std::get<std::int64_t>(*Find(name));
}
double Attributes::Number(std::string_view name) const { return std::get<double>(*Find(name)); }
bool Attributes::Flag(std::string_view name) const { return std::get<bool>(*Find(name)); }

Result<std::vector<ValueType>> Infer(const OpDef& op, const Attributes& attributes,
                                     std::span<const ValueType> in) {
  for (std::size_t i = 0; i < in.size(); ++i) {
    const bool takes = std::any_of(op.takes.begin(), op.takes.end(), [&](const OpDef::Takes& t) {
      return t.operand == static_cast<int>(i) && t.layout == in[i].layout;
    });
    if (in[i].layout == Layout::kPacked || takes) continue;
    return Status::InvalidArgument(
        fmt::format("{} operand {}: expected packed rows, got {}", op.name, i, in[i].ToString()));
  }
  return op.infer(attributes, in);
}

Status ExpectCount(std::string_view op, std::span<const ValueType> in, std::size_t count) {
  if (in.size() == count) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected {} operands, got {}", op, count, in.size()));
}

Status ExpectKind(std::string_view what, const ValueType& v, Kind kind) {
  if (v.kind == kind) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected {}, got {}", what, KindName(kind), v.ToString()));
}

Status ExpectRank(std::string_view what, const ValueType& v, std::size_t rank) {
  if (v.shape.size() == rank) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected rank {}, got {}", what, rank, v.ToString()));
}

Status ExpectShape(std::string_view what, const ValueType& v, std::initializer_list<Extent> shape) {
  const std::span<const Extent> wanted(shape.begin(), shape.size());
  if (std::equal(v.shape.begin(), v.shape.end(), wanted.begin(), wanted.end())) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected {}, got {}", what, ToString(wanted), v.ToString()));
}

Status ExpectFloat(std::string_view what, const ValueType& v) {
  if (v.dtype == DType::kF32 || v.dtype == DType::kBF16) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected F32 or BF16, got {}", what, v.ToString()));
}

Status ExpectType(std::string_view what, const ValueType& v, DType dtype) {
  if (v.dtype == dtype) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected {}, got {}", what, Name(dtype), v.ToString()));
}

Extent Product(std::span<const Extent> shape) {
  Extent p = Const(1);
  for (const Extent& e : shape) {
    p.times *= e.times;
    if (e.symbol != Symbol::kOne) p.symbol = e.symbol;
  }
  return p;
}

}  // namespace birkhoff::ops
