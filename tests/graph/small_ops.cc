#include "small_ops.h"

#include <algorithm>
#include <cstring>

#include "base/exec.h"
#include "ops/typed_op.h"

namespace birkhoff::graph {
namespace {

using ops::Attributes;
using ops::Call;
using ops::Operand;
using ops::ValueType;

std::int64_t Elements(const Operand& o) {
  std::int64_t n = 1;
  for (int d = 0; d < o.rank; ++d) n *= o.dim[d];
  return n;
}

float* Floats(const Operand& o) { return static_cast<float*>(o.data); }

using Compute = void (*)(const Attributes&, const Call&, float* scratch);

// Every op copies its first operand to scratch and reads it there: a plan that gives too little
// scratch, or none of its own, changes results.
class Small final : public ops::Prepared {
 public:
  Small(Attributes attributes, const Call& largest, Compute compute)
      : attributes_(std::move(attributes)), compute_(compute) {
    scratch_bytes_ = static_cast<std::size_t>(Elements(largest.in[0])) * sizeof(float);
    selection_.kernel = "test/small";
  }

  void Run(const Call& call, const Exec& exec) override {
    const auto n = static_cast<std::size_t>(Elements(call.in[0]));
    auto* x = static_cast<float*>(exec.scratch);
    if (n > 0) std::memcpy(x, call.in[0].data, n * sizeof(float));
    compute_(attributes_, call, x);
  }

 private:
  Attributes attributes_ = {};
  Compute compute_ = nullptr;
};

template <Compute compute>
Result<std::unique_ptr<ops::Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                               const ops::PrepareOptions&) {
  return std::unique_ptr<ops::Prepared>(new Small(attributes, largest, compute));
}

template <int kResults>
Result<std::vector<ValueType>> SameShape(const Attributes&, std::span<const ValueType> in) {
  for (const ValueType& t : in) {
    BK_RETURN_IF_ERROR(ops::ExpectType("x", t, DType::kF32));
    if (t.shape != in[0].shape)
      return Status::InvalidArgument("y: expected " + in[0].ToString() + ", got " + t.ToString());
  }
  return std::vector<ValueType>(kResults, in[0]);
}

Result<std::vector<ValueType>> InferPick(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ops::ExpectCount("pick", in, 2));
  BK_RETURN_IF_ERROR(ops::ExpectType("index", in[1], DType::kI32));
  return std::vector<ValueType>{ops::Activation(in[0].dtype, {in[1].shape[0], in[0].shape[1]})};
}

Result<std::vector<ValueType>> InferPush(const Attributes&, std::span<const ValueType> in) {
  return std::vector<ValueType>{in[1]};
}

Result<std::vector<ValueType>> InferHistory(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ops::ExpectKind("history", in[1], ops::Kind::kState));
  return std::vector<ValueType>{in[0]};
}

void Axpy(const Attributes& attributes, const Call& call, float* x) {
  const auto by = static_cast<float>(attributes.Number("by"));
  for (std::int64_t i = 0; i < Elements(call.out[0]); ++i)
    Floats(call.out[0])[i] = x[i] + by * Floats(call.in[1])[i];
}

void Butterfly(const Attributes&, const Call& call, float* x) {
  for (std::int64_t i = 0; i < Elements(call.out[0]); ++i) {
    Floats(call.out[0])[i] = x[i] + Floats(call.in[1])[i];
    Floats(call.out[1])[i] = x[i] - Floats(call.in[1])[i];
  }
}

// butterfly(axpy(x, y), y)
void AxpyButterfly(const Attributes& attributes, const Call& call, float* x) {
  const auto by = static_cast<float>(attributes.Number("by"));
  for (std::int64_t i = 0; i < Elements(call.out[0]); ++i) {
    const float y = Floats(call.in[1])[i];
    const float a = x[i] + by * y;
    Floats(call.out[0])[i] = a + y;
    Floats(call.out[1])[i] = a - y;
  }
}

// (axpy(x, y), reverse(x))
void AxpyReverse(const Attributes& attributes, const Call& call, float* x) {
  const auto by = static_cast<float>(attributes.Number("by"));
  for (std::int64_t i = 0; i < Elements(call.out[0]); ++i)
    Floats(call.out[0])[i] = x[i] + by * Floats(call.in[1])[i];
  std::reverse_copy(x, x + Elements(call.in[0]), Floats(call.out[1]));
}

void Reverse(const Attributes&, const Call& call, float* x) {
  std::reverse_copy(x, x + Elements(call.in[0]), Floats(call.out[0]));
}

void Pick(const Attributes&, const Call& call, float* x) {
  const std::int64_t width = call.out[0].dim[1];
  for (std::int64_t r = 0; r < call.out[0].dim[0]; ++r) {
    const float* row = x + static_cast<const std::int32_t*>(call.in[1].data)[r] * width;
    std::copy(row, row + width, Floats(call.out[0]) + r * width);
  }
}

// Calls body(t, first row of the sequence's state, position of t).
template <class Body>
void ForTokens(const Call& call, const StateRows& rows, Body body) {
  const SequenceBatch& b = call.batch;
  for (std::int64_t s = 0; s < b.count; ++s) {
    float* first = static_cast<float*>(rows.data) + b.slot[s] * rows.capacity * rows.width;
    for (std::int64_t t = b.begin[s]; t < b.begin[s + 1]; ++t)
      body(t, first, b.past[s], b.past[s] + t - b.begin[s]);
  }
}

void Push(const Attributes&, const Call& call, float* x) {
  const StateRows rows = call.in[1].state();
  ForTokens(call, rows, [&](std::int64_t t, float* first, std::int64_t, std::int64_t position) {
    std::copy(x + t * rows.width, x + (t + 1) * rows.width, first + position * rows.width);
  });
}

void AddHistory(const Attributes&, const Call& call, float* x) {
  const StateRows rows = call.in[1].state();
  ForTokens(call, rows, [&](std::int64_t t, const float* first, std::int64_t past, std::int64_t) {
    for (std::int64_t i = 0; i < rows.width; ++i) {
      float sum = x[t * rows.width + i];
      for (std::int64_t p = 0; p < past; ++p) sum += first[p * rows.width + i];
      Floats(call.out[0])[t * rows.width + i] = sum;
    }
  });
}

constexpr ops::OpDef::Mutation kPushWrites[] = {{.operand = 1, .result = 0}};

}  // namespace

const ops::OpDef kAxpy = {.name = "axpy",
                          .infer = SameShape<1>,
                          .prepare = Prepare<Axpy>,
                          .in_place = {.operand = 0, .result = 0}};
const ops::OpDef kButterfly = {
    .name = "butterfly", .infer = SameShape<2>, .prepare = Prepare<Butterfly>};
const ops::OpDef kAxpyButterfly = {
    .name = "axpy_butterfly", .infer = SameShape<2>, .prepare = Prepare<AxpyButterfly>};
const ops::OpDef kAxpyReverse = {
    .name = "axpy_reverse", .infer = SameShape<2>, .prepare = Prepare<AxpyReverse>};
const ops::OpDef kReverse = {.name = "reverse", .infer = SameShape<1>, .prepare = Prepare<Reverse>};
const ops::OpDef kPick = {.name = "pick", .infer = InferPick, .prepare = Prepare<Pick>};
const ops::OpDef kPush = {
    .name = "push", .infer = InferPush, .prepare = Prepare<Push>, .mutates = kPushWrites};
const ops::OpDef kAddHistory = {
    .name = "add_history", .infer = InferHistory, .prepare = Prepare<AddHistory>};

std::vector<std::vector<float>> Evaluate(const Graph& graph, const Step& step) {
  const Counts counts{step.tokens, step.rows};
  std::vector<std::vector<float>> data(graph.values.size());
  std::vector<Operand> operand(graph.values.size());
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    const ValueInfo& info = graph.values[v];
    operand[v] = {.data = const_cast<void*>(info.data),
                  .dtype = info.type.dtype,
                  .rank = static_cast<int>(info.type.shape.size())};
    for (int d = 0; d < operand[v].rank; ++d)
      operand[v].dim[d] = counts.Of(info.type.shape[static_cast<std::size_t>(d)]);
    if (info.origin != Origin::kResult) continue;
    data[v].resize(static_cast<std::size_t>(Elements(operand[v])));
    operand[v].data = data[v].data();
  }
  for (std::size_t i = 0; i < graph.inputs.size(); ++i)
    operand[static_cast<std::size_t>(graph.inputs[i].id)].data = const_cast<void*>(step.inputs[i]);

  ThreadPool pool(1);
  for (const Node& node : graph.nodes) {
    std::vector<Operand> in, out;
    for (Value v : node.in) in.push_back(operand[static_cast<std::size_t>(v.id)]);
    for (Value v : node.out) out.push_back(operand[static_cast<std::size_t>(v.id)]);
    if (node.op->view) {
      std::copy_n(static_cast<const float*>(in[0].data), Elements(out[0]), Floats(out[0]));
      continue;
    }
    const Call call{.in = in, .out = out, .batch = step.batch};
    auto prepared = node.op->prepare(node.attributes, call, {.device = &HostDevice()});
    std::vector<std::byte> scratch((*prepared)->scratch_bytes());
    (*prepared)->Run(call, {.pool = &pool, .scratch = scratch.data()});
  }
  return data;
}

}  // namespace birkhoff::graph
