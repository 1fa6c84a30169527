#include "graph/builder.h"

#include <fmt/format.h>

#include "graph/print.h"
#include "graph/verify.h"
#include "ops/typed_op.h"

namespace birkhoff::graph {
namespace {

DType StoredAs(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32: return DType::kF32;
    case WeightFormat::kBF16: return DType::kBF16;
    case WeightFormat::kF16: return DType::kF16;
    case WeightFormat::kFp8Block: return DType::kF8E4M3;
    case WeightFormat::kMxfp4: return DType::kI8;
  }
  return DType::kI8;
}

}  // namespace

Result<Graph> Builder::Finish(Here here) && {
  if (status_.ok()) {
    if (const Status s = Verify(graph_); !s.ok()) Fail(here, "finish", s);
  }
  if (!status_.ok()) return status_;
  return std::move(graph_);
}

Value Builder::Input(std::string name, DType dtype, std::vector<ops::Extent> shape) {
  const Value v = AddValue({.origin = Origin::kInput,
                            .type = ops::Activation(dtype, std::move(shape)),
                            .name = std::move(name)});
  if (v.valid()) graph_.inputs.push_back(v);
  return v;
}

Value Builder::Vector(std::string name, const float* data, const Shape& shape) {
  ops::ValueType type{.kind = ops::Kind::kVector, .dtype = DType::kF32};
  for (int i = 0; i < shape.rank(); ++i) type.shape.push_back(ops::Const(shape[i]));
  return AddValue({.origin = Origin::kParameter,
                   .type = std::move(type),
                   .name = std::move(name),
                   .data = data});
}

Value Builder::Frequency(std::string name, std::span<const double> radians) {
  // No DType says f64: the kind does.
  return AddValue({.origin = Origin::kParameter,
                   .type = {.kind = ops::Kind::kFrequency,
                            .shape = {ops::Const(static_cast<std::int64_t>(radians.size()))}},
                   .name = std::move(name),
                   .data = radians.data()});
}

Value Builder::Table(std::string name, const std::int32_t* data, std::int64_t rows,
                     std::int64_t cols) {
  return AddValue({.origin = Origin::kParameter,
                   .type = {.kind = ops::Kind::kTable,
                            .dtype = DType::kI32,
                            .shape = {ops::Const(rows), ops::Const(cols)}},
                   .name = std::move(name),
                   .data = data});
}

Value Builder::Matrix(std::string name, const WeightMatrix* matrix) {
  return AddValue({.origin = Origin::kParameter,
                   .type = {.kind = ops::Kind::kMatrix,
                            .dtype = StoredAs(matrix->format),
                            .shape = {ops::Const(matrix->rows), ops::Const(matrix->cols)}},
                   .name = std::move(name),
                   .matrices = matrix});
}

Value Builder::Matrices(std::string name, std::span<const WeightMatrix> experts) {
  const WeightMatrix first = experts.empty() ? WeightMatrix{} : experts[0];
  const auto count = static_cast<std::int64_t>(experts.size());
  return AddValue(
      {.origin = Origin::kParameter,
       .type = {.kind = ops::Kind::kMatrices,
                .dtype = StoredAs(first.format),
                .shape = {ops::Const(count), ops::Const(first.rows), ops::Const(first.cols)}},
       .name = std::move(name),
       .matrices = experts.data()});
}

Value Builder::State(std::string name, DType dtype, std::int64_t capacity, std::int64_t width) {
  const Value v =
      AddValue({.origin = Origin::kState,
                .type = {.kind = ops::Kind::kState,
                         .dtype = dtype,
                         .shape = {ops::Const(0), ops::Const(capacity), ops::Const(width)}},
                .name = name,
                .state = static_cast<int>(graph_.states.size())});
  if (v.valid()) graph_.states.push_back({std::move(name), dtype, capacity, width, v});
  return v;
}

void Builder::Output(std::string name, Value value, Here here) {
  if (!status_.ok()) return;
  if (!value.valid())
    return Fail(here, fmt::format("output \"{}\"", name), Status::InvalidArgument("is no value"));
  graph_.outputs.push_back({std::move(name), value});
}

std::vector<Value> Builder::Op(const ops::OpDef& op, std::vector<Value> in,
                               ops::Attributes attributes, Here here) {
  if (!status_.ok()) return {};
  std::vector<ops::ValueType> types;
  std::vector<std::string> operands;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!in[i].valid()) {
      Fail(here, op.name, Status::InvalidArgument(fmt::format("operand {} is no value", i)));
      return {};
    }
    types.push_back(graph_[in[i]].type);
    operands.push_back(fmt::format("{} : {}", ToText(graph_, in[i]), types.back().ToString()));
  }
  Result<std::vector<ops::ValueType>> results = ops::Infer(op, attributes, types);
  if (!results.ok()) {
    Fail(here, op.name,
         Status(results.status().code(),
                fmt::format("{}; operands are ({})", results.status().message(),
                            fmt::join(operands, ", "))));
    return {};
  }
  Node node{.op = &op,
            .in = std::move(in),
            .attributes = std::move(attributes),
            .labels = labels_,
            .file = here.file,
            .line = here.line};
  return graph_.Insert(static_cast<int>(graph_.nodes.size()), std::move(node), std::move(*results));
}

Value Builder::AddValue(ValueInfo info) {
  if (!status_.ok()) return {};
  graph_.values.push_back(std::move(info));
  return {static_cast<int>(graph_.values.size()) - 1};
}

void Builder::Fail(Here here, std::string_view what, const Status& why) {
  const std::string_view file = here.file;
  status_ =
      why.Annotate(fmt::format("{}:{}: {}", file.substr(file.rfind('/') + 1), here.line, what));
}

}  // namespace birkhoff::graph
