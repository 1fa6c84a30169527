// Glue shared by the ops: from attributes and operands to a kernel's argument struct and its table.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ops/op.h"

namespace birkhoff::ops {

// The kernel for arguments that are as large as they get.
template <class Args>
Result<const Kernel<Args>*> ChooseKernel(std::span<const Kernel<Args>> table, const Args& largest,
                                         const PrepareOptions& options, Selection* selection) {
  BK_ASSIGN_OR_RETURN(const std::size_t row,
                      Select(table, largest, *options.device, {options.force}, selection));
  if (table[row].state != nullptr)
    return Status::Unsupported(std::string(table[row].name) +
                               " keeps state, which plans do not hold yet");
  return &table[row];
}

// Prepared op over an argument struct. Bind is void(const Call&, Args&): it sets pointers and
// extents; everything else was set once from the attributes.
template <class Args, auto Bind>
class TypedOp final : public Prepared {
 public:
  static Result<std::unique_ptr<Prepared>> Make(std::span<const Kernel<Args>> table, Args args,
                                                const Call& largest,
                                                const PrepareOptions& options) {
    auto op = std::make_unique<TypedOp>();
    Bind(largest, args);
    BK_ASSIGN_OR_RETURN(op->kernel_, ChooseKernel(table, args, options, &op->selection_));
    op->args_ = args;
    if (op->kernel_->scratch != nullptr)
      op->scratch_bytes_ = op->kernel_->scratch(args, options.threads);
    return std::unique_ptr<Prepared>(std::move(op));
  }

  void Run(const Call& call, const Exec& exec) override {
    Bind(call, args_);
    kernel_->run(args_, exec);
  }

 private:
  Args args_ = {};
  const Kernel<Args>* kernel_ = nullptr;
};

// Checks of infer(). `what` names the operand in the message.
Status ExpectCount(std::string_view op, std::span<const ValueType> in, std::size_t count);
Status ExpectKind(std::string_view what, const ValueType& v, Kind kind);
Status ExpectRank(std::string_view what, const ValueType& v, std::size_t rank);
Status ExpectShape(std::string_view what, const ValueType& v, std::initializer_list<Extent> shape);
Status ExpectFloat(std::string_view what, const ValueType& v);  // f32 or bf16
Status ExpectType(std::string_view what, const ValueType& v, DType dtype);

inline ValueType Activation(DType dtype, std::vector<Extent> shape) {
  return {Kind::kActivation, dtype, std::move(shape)};
}

// Product of the extents of a shape; at most one of them is symbolic.
Extent Product(std::span<const Extent> shape);

}  // namespace birkhoff::ops
