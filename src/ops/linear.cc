#include "kernels/args/linear.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"
#include "ops/weight_formats.h"

namespace birkhoff::ops {
namespace {

template <CpuIsa kIsa>
Refusal Refuses(const LinearArgs& a, const Device& device) {
  if (Refusal isa = NeedsIsa(kIsa, device)) return isa;
  return RefusesWeights(a.w);
}

constexpr Kernel<LinearArgs> kTable[] = {
    {.name = "cpu/avx512/linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx512>,
     .scratch = cpu::LinearScratch,
     .run = cpu::avx512::Linear},
    {.name = "cpu/avx2/linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx2>,
     .scratch = cpu::LinearScratch,
     .run = cpu::avx2::Linear},
    {.name = "cpu/generic/linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kGeneric>,
     .scratch = cpu::LinearScratch,
     .run = cpu::generic::Linear},
    {.name = "ref/linear",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<LinearArgs>,
     .run = ref::Linear},
};

// Operands before the matrices: x, in FP8 with its scales.
template <class T>
std::size_t MatricesBegin(std::span<const T> in) {
  return !in.empty() && in[0].dtype == DType::kF8E4M3 ? 2 : 1;
}

Status CheckX(const Attributes& attributes, std::span<const ValueType> in, Extent k) {
  const ValueType& x = in[0];
  const Extent groups = Const(attributes.Int("groups"));
  const Extent width = Const(groups.times * k.times);
  if (x.dtype == DType::kF8E4M3) {
    const std::int64_t group = attributes.Int("x_group");
    if (group < 1) {
      return Status::InvalidArgument(
          fmt::format("linear x_group: expected at least 1 column of a scale, got {}", group));
    }
    const Extent scales = Const((width.times + group - 1) / group);
    BK_RETURN_IF_ERROR(ExpectRank("linear x", x, 2));
    BK_RETURN_IF_ERROR(ExpectKind("linear x scale", in[1], Kind::kActivation));
    BK_RETURN_IF_ERROR(ExpectType("linear x scale", in[1], DType::kF32));
    BK_RETURN_IF_ERROR(ExpectShape("linear x scale", in[1], {x.shape[0], scales}));
  } else {
    BK_RETURN_IF_ERROR(ExpectFloat("linear x", x));
  }
  if (x.shape.size() == 3 && x.layout == Layout::kPacked)
    return ExpectShape("linear x", x, {x.shape[0], groups, k});
  BK_RETURN_IF_ERROR(ExpectRank("linear x", x, 2));
  return ExpectShape("linear x", x, {x.shape[0], width});
}

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  const std::size_t begin = MatricesBegin(in);
  if (in.size() <= begin) BK_RETURN_IF_ERROR(ExpectCount("linear", in, begin + 1));
  const std::span<const ValueType> matrices = in.subspan(begin);
  const std::int64_t groups = attributes.Int("groups");
  if (matrices.size() > 1 && groups != 1) {
    return Status::InvalidArgument(
        fmt::format("linear groups: expected 1 with {} matrices, got {}", matrices.size(), groups));
  }
  Extent outputs = Const(0);
  for (const ValueType& w : matrices) {
    BK_RETURN_IF_ERROR(ExpectKind("linear w", w, Kind::kMatrix));
    BK_RETURN_IF_ERROR(ExpectRank("linear w", w, 2));
    if (groups < 1 || w.shape[0].times % groups != 0) {
      return Status::InvalidArgument(
          fmt::format("linear w: expected rows in {} equal groups, got {}", groups, w.ToString()));
    }
    BK_RETURN_IF_ERROR(ExpectShape("linear w", w, {w.shape[0], matrices[0].shape[1]}));
    outputs.times += w.shape[0].times;
  }
  BK_RETURN_IF_ERROR(CheckX(attributes, in, matrices[0].shape[1]));
  return std::vector<ValueType>{
      Activation(static_cast<DType>(attributes.Int("out")), {in[0].shape[0], outputs})};
}

void* At(void* base, std::int64_t bytes) {  // null before a plan has memory
  return base == nullptr ? nullptr : static_cast<char*>(base) + bytes;
}

// The product with each matrix, side by side. selection() is that of the first.
class PreparedLinear final : public Prepared {
 public:
  static Result<std::unique_ptr<Prepared>> Make(const Attributes& attributes, const Call& largest,
                                                const PrepareOptions& options) {
    auto op = std::make_unique<PreparedLinear>();
    LinearArgs args;
    args.groups = attributes.Int("groups");
    if (MatricesBegin(largest.in) == 2) args.x_group = attributes.Int("x_group");
    op->parts_.assign(largest.in.size() - MatricesBegin(largest.in), Part{args});
    op->Bind(largest);
    for (Part& part : op->parts_) {
      Selection selection;
      BK_ASSIGN_OR_RETURN(part.kernel,
                          ChooseKernel<LinearArgs>(kTable, part.args, options, &selection));
      if (part.kernel->scratch != nullptr)
        op->scratch_bytes_ =
            std::max(op->scratch_bytes_, part.kernel->scratch(part.args, options.threads));
      if (&part == op->parts_.data()) op->selection_ = std::move(selection);
    }
    return std::unique_ptr<Prepared>(std::move(op));
  }

  void Run(const Call& call, const Exec& exec) override {
    Bind(call);
    for (const Part& part : parts_) part.kernel->run(part.args, exec);
  }

 private:
  struct Part {
    LinearArgs args = {};
    const Kernel<LinearArgs>* kernel = nullptr;
  };

  void Bind(const Call& call) {
    const Operand& x = call.in[0];
    const Operand& out = call.out[0];
    const Operand* matrix = &call.in[MatricesBegin(call.in)];
    std::int64_t column = 0;
    for (Part& part : parts_) {
      LinearArgs& a = part.args;
      a.x = x.data;
      a.x_type = x.dtype;
      a.x_row = x.layout == Layout::kColumns ? x.row : 0;
      if (x.dtype == DType::kF8E4M3) a.x_scale = static_cast<const float*>(call.in[1].data);
      a.rows = x.dim[0];
      a.w = *(matrix++)->matrices;
      a.out = At(out.data, column * static_cast<std::int64_t>(SizeOf(out.dtype)));
      a.out_type = out.dtype;
      a.out_row = out.dim[1];
      column += a.w.rows;
    }
  }

  std::vector<Part> parts_ = {};
};

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

}  // namespace

std::span<const Kernel<LinearArgs>> LinearKernels() { return kTable; }
const OpDef kLinear = {
    .name = "linear", .infer = Infer, .prepare = PreparedLinear::Make, .takes = kTakes};

}  // namespace birkhoff::ops
