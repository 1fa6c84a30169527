#include <algorithm>
#include <cmath>
#include <cstring>

#include "harness/fp8_outputs.h"
#include "harness/mhc_cases.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

// Multiples of `step`, few enough bits that the mix of streams is exact in f32: then definition and
// kernel round the same value, X' is equal, and what follows can be held to its own bounds.
void* Dyadic(Buffers& buffers, std::int64_t count, DType type, double step, std::int64_t below) {
  void* data = buffers.Bytes(ByteSize(type, count));
  constexpr std::int64_t kPeriod = 1000003;  // a prime, so that no two rows are the same
  for (std::int64_t i = 0; i < std::min(count, kPeriod); ++i) {
    const auto n = static_cast<std::int64_t>(buffers.Next() % static_cast<std::uint64_t>(below));
    const auto middle = below / 2;
    const auto value = static_cast<float>(step * static_cast<double>(n - middle));
    if (type == kF32) {
      static_cast<float*>(data)[i] = value;
    } else {
      static_cast<bf16*>(data)[i] = bf16(value);
    }
  }
  auto* bytes = static_cast<std::byte*>(data);
  for (std::int64_t done = kPeriod; done < count; done += std::min(done, count - done))
    std::memcpy(bytes + ByteSize(type, done), bytes,
                static_cast<std::size_t>(ByteSize(type, std::min(done, count - done))));
  return data;
}

// What h of a token is made of.
struct HParts {
  const void* streams = nullptr;  // X' [T, hc, H]
  const float* pre = nullptr;     // [T, hc]
  // Bound of the error of pre[token, j].
  std::function<double(std::int64_t token, std::int64_t j)> pre_error = {};
  const float* norm_weight = nullptr;  // [H]
  double norm_eps = 0;
};

// Bound of h = norm(sum_j pre_j X'_j), from the definition's own X' and pre.
class HBound {
 public:
  HBound(const MhcShape& s, HParts parts) : s_(s), a_(std::move(parts)) {}

  double operator()(std::int64_t i, double expected) {
    const std::int64_t token = i / s_.hidden;
    if (token != token_) Enter(token);
    const auto column = static_cast<std::size_t>(i % s_.hidden);
    const double ulp = 2 * HalfUlp(s_.type);
    const double of_norm = std::abs(expected) * (ulp + rms_error_ + 2 * ulp + 8 * kF32Eps);
    return of_norm + std::abs(a_.norm_weight[column]) * rs_ * errors_[column] + 0x1p-149;
  }

 private:
  // Errors of v before and after its rounding, and what they do to the root mean square.
  void Enter(std::int64_t token) {
    token_ = token;
    errors_.assign(static_cast<std::size_t>(s_.hidden), 0);
    std::vector<double> of_pre;
    for (std::int64_t j = 0; j < s_.hc; ++j) of_pre.push_back(a_.pre_error(token, j));
    double squares = 0;
    double error_squares = 0;
    for (std::int64_t c = 0; c < s_.hidden; ++c) {
      double v = 0;
      double error = CollapseError(s_, a_.streams, a_.pre, token * s_.hidden + c);
      for (std::int64_t j = 0; j < s_.hc; ++j) {
        const double x = Value(a_.streams, s_.type, (token * s_.hc + j) * s_.hidden + c);
        v += a_.pre[token * s_.hc + j] * x;
        error += of_pre[static_cast<std::size_t>(j)] * std::abs(x);
      }
      errors_[static_cast<std::size_t>(c)] = error;
      const double rounded = error + 2 * HalfUlp(s_.type) * std::abs(v);
      squares += v * v;
      error_squares += rounded * rounded;
    }
    const auto width = static_cast<double>(s_.hidden);
    rs_ = 1 / std::sqrt(squares / width + a_.norm_eps);
    rms_error_ = std::sqrt(error_squares / width) * rs_ + (width / 16 + 6) * kF32Eps;
  }

  MhcShape s_ = {};
  HParts a_ = {};
  std::int64_t token_ = -1;
  double rs_ = 0;
  double rms_error_ = 0;
  std::vector<double> errors_ = {};
};

// The inputs of a mix whose X' definition and kernels agree on.
struct MixInputs {
  void* x;
  void* streams;
  float* post;
  float* comb;

  MixInputs(Buffers& b, const MhcShape& s)
      : x(Dyadic(b, s.tokens * s.hidden, s.type, 1.0 / 32, 200)),
        streams(Dyadic(b, s.stream_elements(), s.type, 1.0 / 32, 200)),
        post(static_cast<float*>(Dyadic(b, s.tokens * s.hc, kF32, 1.0 / 64, 128))),
        comb(static_cast<float*>(Dyadic(b, s.tokens * s.hc * s.hc, kF32, 1.0 / 64, 64))) {}
};

double BoundaryBytes(const MhcShape& s) {
  const double bytes =
      2 * s.stream_bytes() + s.row_bytes() + s.fn_bytes() + 2 * s.coefficient_bytes();
  if (s.fp8.group == 0) return bytes + s.row_bytes();
  return bytes + (s.only_fp8 ? 0 : s.row_bytes()) + Fp8Shape{s.tokens, s.hidden, s.fp8}.bytes();
}

// A boundary whose h is read with `pre`, or with its own where that is null.
template <class Args>
void FillBoundary(const MhcShape& s, MhcArithmetic arithmetic, const float* pre, Problem<Args>& p) {
  Buffers& b = *p.buffers;
  MhcBoundaryArgs& a = WithExtents(p.args);
  std::vector<Output>& outputs = p.outputs;
  const MixInputs in(b, s);
  a.x = LayX(b, s, in.x);
  a.streams = LayStreams(b, s, in.streams);
  a.layout = s.strides();
  a.post = in.post;
  a.comb = in.comb;
  a.site = MhcSiteValues(b, s);
  a.norm_weight = b.Floats(s.hidden, 0.3, 1.0);
  outputs.push_back(NewOutput(b, "streams_out", s.type, s.stream_elements()));
  a.streams_out = outputs[0].data;
  const MhcBounds bounds = AddCoefficients(b, s, arithmetic, a.streams_out, a.site, outputs);
  a.pre_out = static_cast<float*>(outputs[1].data);
  a.post_out = static_cast<float*>(outputs[2].data);
  a.comb_out = static_cast<float*>(outputs[3].data);
  a.type = s.type;
  a.tokens = s.tokens;
  a.hc = s.hc;
  a.hidden = s.hidden;
  const auto of_own = [bounds, scale = a.site.scale[0]](std::int64_t token, std::int64_t j) {
    return bounds.Sigmoid(token, j, scale);
  };
  const auto of_given = [](std::int64_t, std::int64_t) { return 0.0; };
  HParts parts = {.streams = a.streams_out,
                  .pre = pre != nullptr ? pre : a.pre_out,
                  .norm_weight = a.norm_weight,
                  .norm_eps = a.norm_eps};
  if (pre != nullptr) {
    parts.pre_error = of_given;
  } else {
    parts.pre_error = of_own;
  }
  const HBound bound(s, std::move(parts));
  if (!s.only_fp8) {
    outputs.push_back(NewOutput(b, "h", s.type, s.tokens * s.hidden, bound));
    a.h = outputs[4].data;
  }
  p.bytes = BoundaryBytes(s);
  p.flops = s.mix_flops() + s.projection_flops();
  if (s.fp8.group == 0) return;
  const Fp8Shape shape = {s.tokens, s.hidden, s.fp8};
  a.fp8 = AddFp8(b, shape, bound, outputs);
  if (!s.only_fp8)
    p.also = [shape, h = a.h, fp8 = a.fp8] {
      return DiffersFromFp8Of(h, kBF16, shape.width, shape, fp8);
    };
}

Problem<MhcBoundaryArgs> MakeBoundary(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcBoundaryArgs> p;
  p.buffers = s.NewBuffers();
  FillBoundary(s, arithmetic, nullptr, p);
  return p;
}

Problem<MhcBoundaryShiftedArgs> MakeBoundaryShifted(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcBoundaryShiftedArgs> p;
  p.buffers = s.NewBuffers();
  p.args.pre = p.buffers->Floats(s.tokens * s.hc, 0.3, 0.5);
  FillBoundary(s, arithmetic, p.args.pre, p);
  p.bytes += 4.0 * static_cast<double>(s.tokens * s.hc);
  return p;
}

Problem<MhcTailArgs> MakeTail(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcTailArgs> p;
  p.buffers = s.NewBuffers();
  Buffers& b = *p.buffers;
  MhcTailArgs& a = p.args;
  const MixInputs in(b, s);
  a.x = LayX(b, s, in.x);
  a.streams = LayStreams(b, s, in.streams);
  a.layout = s.strides();
  a.post = in.post;
  a.comb = in.comb;
  a.fn = MhcFn(b, s.hc, s);
  a.base = b.Floats(s.hc, 1.0);
  a.scale = b.Floats(1, 0.1, 0.9);
  a.norm_weight = b.Floats(s.hidden, 0.3, 1.0);
  a.type = s.type;
  a.tokens = s.tokens;
  a.hc = s.hc;
  a.hidden = s.hidden;
  p.outputs.push_back(NewOutput(b, "streams_out", s.type, s.stream_elements()));
  a.streams_out = p.outputs[0].data;
  const MhcBounds bounds(a.streams_out, s.type, s.hc, s.hidden, a.fn, a.base, a.rms_eps,
                         arithmetic);
  // The definition's weights of a token, which it keeps to itself.
  const auto weights = std::make_shared<std::vector<float>>(
      static_cast<std::size_t>(s.tokens * s.hc), std::nanf(""));
  const auto bound =
      [=, known = std::int64_t{-1},
       of_h = HBound(s, {.streams = a.streams_out,
                         .pre = weights->data(),
                         .pre_error =
                             [bounds, scale = a.scale[0]](std::int64_t token, std::int64_t j) {
                               return bounds.Sigmoid(token, j, scale);
                             },
                         .norm_weight = a.norm_weight,
                         .norm_eps = a.norm_eps})](std::int64_t i, double expected) mutable {
        const std::int64_t token = i / s.hidden;
        if (token != known) {
          known = token;
          for (std::int64_t j = 0; j < s.hc; ++j)
            (*weights)[static_cast<std::size_t>(token * s.hc + j)] =
                static_cast<float>(bounds.SigmoidAt(token, j, a.scale[0]) + a.eps);
        }
        return of_h(i, expected);
      };
  p.outputs.push_back(NewOutput(b, "out", s.type, s.tokens * s.hidden, bound));
  a.out = p.outputs[1].data;
  p.bytes = 2 * s.stream_bytes() + 2 * s.row_bytes() + 4.0 * static_cast<double>(s.hc * s.k()) +
            s.coefficient_bytes();
  p.flops = s.mix_flops() + 2.0 * static_cast<double>(s.tokens * s.hc * s.k());
  return p;
}

void ChainBoundaries(const MhcBoundaryArgs& before, MhcBoundaryArgs& next) {
  next.streams = before.streams_out;
  next.post = before.post_out;
  next.comb = before.comb_out;
}

void ChainShifted(const MhcBoundaryShiftedArgs& before, MhcBoundaryShiftedArgs& next) {
  ChainBoundaries(before.boundary, next.boundary);
  next.pre = before.boundary.pre_out;
}

}  // namespace

void AddMhcFusedSuites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(MhcSuite("mhc_boundary", ops::MhcBoundaryKernels(), MakeBoundary, ChainBoundaries));
  to.push_back(MhcSuite("mhc_boundary_shifted", ops::MhcBoundaryShiftedKernels(),
                        MakeBoundaryShifted, ChainShifted));
  to.push_back(MhcSuite("mhc_tail", ops::MhcTailKernels(), MakeTail));
}

}  // namespace birkhoff::harness
