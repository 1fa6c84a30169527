#include <cmath>
#include <map>

#include "harness/mhc_cases.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

Problem<MhcCoeffsArgs> MakeCoeffs(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcCoeffsArgs> p;
  p.buffers = s.NewBuffers();
  void* streams = MhcStreamValues(*p.buffers, s);
  const void* laid = LayStreams(*p.buffers, s, streams);
  const MhcSite site = MhcSiteValues(*p.buffers, s);
  AddCoefficients(*p.buffers, s, arithmetic, streams, site, p.outputs);
  p.args = {laid,
            site,
            static_cast<float*>(p.outputs[0].data),
            static_cast<float*>(p.outputs[1].data),
            static_cast<float*>(p.outputs[2].data),
            s.type,
            s.tokens,
            s.hc,
            s.hidden,
            s.strides()};
  p.bytes = s.stream_bytes() + s.fn_bytes() + s.coefficient_bytes();
  p.flops = s.projection_flops();
  return p;
}

Problem<MhcCollapseArgs> MakeCollapse(const MhcShape& s, MhcArithmetic) {
  Problem<MhcCollapseArgs> p;
  p.buffers = s.NewBuffers();
  void* streams = MhcStreamValues(*p.buffers, s);
  const void* laid = LayStreams(*p.buffers, s, streams);
  const float* pre = p.buffers->Floats(s.tokens * s.hc, 0.3, 0.5);
  const auto bound = [=](std::int64_t i, double expected) {
    return Rounded(s.type, expected) + CollapseError(s, streams, pre, i);
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.tokens * s.hidden, bound)};
  p.args = {laid, pre, p.outputs[0].data, s.type, s.tokens, s.hc, s.hidden, s.strides()};
  p.bytes = s.stream_bytes() + s.row_bytes();
  p.flops = 2.0 * static_cast<double>(s.stream_elements());
  return p;
}

Problem<MhcPostArgs> MakePost(const MhcShape& s, MhcArithmetic) {
  Problem<MhcPostArgs> p;
  p.buffers = s.NewBuffers();
  const void* x = p.buffers->Values(s.tokens * s.hidden, s.type, 1.0);
  void* streams = MhcStreamValues(*p.buffers, s);
  const void* laid = LayStreams(*p.buffers, s, streams);
  const void* laid_x = LayX(*p.buffers, s, x);
  const float* post = p.buffers->Floats(s.tokens * s.hc, 0.5, 1.0);
  const float* comb = p.buffers->Floats(s.tokens * s.hc * s.hc, 0.3, 0.25);
  const auto bound = [=](std::int64_t i, double expected) {
    const std::int64_t token = i / s.k();
    const std::int64_t m = i / s.hidden % s.hc;
    const std::int64_t column = i % s.hidden;
    double terms = std::abs(post[token * s.hc + m] * Value(x, s.type, token * s.hidden + column));
    for (std::int64_t j = 0; j < s.hc; ++j) {
      terms += std::abs(comb[(token * s.hc + j) * s.hc + m] *
                        Value(streams, s.type, (token * s.hc + j) * s.hidden + column));
    }
    return Rounded(s.type, expected) + static_cast<double>(s.hc + 3) * kF32Eps * terms;
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.stream_elements(), bound)};
  p.args = {laid_x, laid,     post, comb,     p.outputs[0].data,
            s.type, s.tokens, s.hc, s.hidden, s.strides()};
  p.bytes = 2 * s.stream_bytes() + s.row_bytes() + s.coefficient_bytes();
  p.flops = s.mix_flops();
  return p;
}

Problem<MhcHeadArgs> MakeHead(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcHeadArgs> p;
  p.buffers = s.NewBuffers();
  MhcHeadArgs& a = p.args;
  void* streams = MhcStreamValues(*p.buffers, s);
  a.streams = LayStreams(*p.buffers, s, streams);
  a.layout = s.strides();
  a.fn = MhcFn(*p.buffers, s.hc, s);
  a.base = p.buffers->Floats(s.hc, 1.0);
  a.scale = p.buffers->Floats(1, 0.1, 0.9);
  a.type = s.type;
  a.tokens = s.tokens;
  a.hc = s.hc;
  a.hidden = s.hidden;
  const MhcBounds bounds(streams, s.type, s.hc, s.hidden, a.fn, a.base, a.rms_eps, arithmetic);
  // The weights of one token serve all its columns; p_j is at most 1 + eps.
  const auto bound = [=, in = p.args, weights = std::map<std::int64_t, std::vector<double>>()](
                         std::int64_t i, double expected) mutable {
    const std::int64_t token = i / s.hidden;
    std::vector<double>& errors = weights[token];
    for (auto j = static_cast<std::int64_t>(errors.size()); j < s.hc; ++j) {
      errors.push_back(bounds.Sigmoid(token, j, in.scale[0]));
    }
    double error = 0;
    for (std::int64_t j = 0; j < s.hc; ++j) {
      const double x = Value(streams, s.type, (token * s.hc + j) * s.hidden + i % s.hidden);
      error += std::abs(x) * (errors[static_cast<std::size_t>(j)] +
                              static_cast<double>(s.hc + 2) * kF32Eps * 1.001);
    }
    return Rounded(s.type, expected) + error;
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.tokens * s.hidden, bound)};
  a.out = p.outputs[0].data;
  p.bytes = s.stream_bytes() + s.row_bytes() + 4.0 * static_cast<double>(s.hc * s.k());
  p.flops = 2.0 * static_cast<double>(s.tokens * s.hc * s.k());
  return p;
}

}  // namespace

void AddMhcSuites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(MhcSuite("mhc_coeffs", ops::MhcCoeffsKernels(), MakeCoeffs));
  to.push_back(MhcSuite("mhc_collapse", ops::MhcCollapseKernels(), MakeCollapse));
  to.push_back(MhcSuite("mhc_head", ops::MhcHeadKernels(), MakeHead));
  to.push_back(MhcSuite("mhc_post", ops::MhcPostKernels(), MakePost));
}

}  // namespace birkhoff::harness
