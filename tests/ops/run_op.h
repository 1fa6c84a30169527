// Runs an op as a plan does: operands in their order, attributes by name.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "birkhoff/device.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {

inline Operand Tensor(void* data, DType dtype, std::initializer_list<std::int64_t> dims) {
  Operand o{.data = data, .dtype = dtype};
  for (const std::int64_t d : dims) o.dim[o.rank++] = o.row = d;
  return o;
}
template <class T>
Operand Tensor(std::vector<T>& data, DType dtype, std::initializer_list<std::int64_t> dims) {
  return Tensor(static_cast<void*>(data.data()), dtype, dims);
}

inline void RunOp(const OpDef& op, const Attributes& attributes, std::vector<Operand> in,
                  std::vector<Operand> out, const SequenceBatch& batch = {}) {
  const Call call{.in = in, .out = out, .batch = batch};
  ThreadPool pool(1);
  auto prepared = op.prepare(attributes, call, {.device = &HostDevice()});
  ASSERT_TRUE(prepared.ok()) << prepared.status().message();
  std::vector<std::byte> scratch(prepared.value()->scratch_bytes());
  prepared.value()->Run(call, {&pool, scratch.data()});
}

// The first result's type as text, or the error.
inline std::string Inferred(const OpDef& op, const Attributes& attributes,
                            const std::vector<ValueType>& in) {
  const auto result = op.infer(attributes, in);
  if (!result.ok()) return result.status().message();
  std::string text;
  for (const ValueType& v : result.value()) text += (text.empty() ? "" : "; ") + v.ToString();
  return text;
}

}  // namespace birkhoff::ops
