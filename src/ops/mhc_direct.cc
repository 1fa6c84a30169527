// The mHC ops for callers without a graph: include/birkhoff/ops/mhc.h.
#include "birkhoff/ops/mhc.h"
#include "kernels/args/fp8.h"
#include "kernels/args/mhc.h"
#include "ops/direct_op.h"
#include "ops/tables.h"

namespace birkhoff {
namespace ops {
namespace {

constexpr std::int64_t kF32 = 4;

std::int64_t Size(DType type) { return static_cast<std::int64_t>(SizeOf(type)); }

// Empty if it is none.
std::string_view Name(Fp8Scale scale) {
  switch (scale) {
    case Fp8Scale::kF32: return "f32";
    case Fp8Scale::kPowerOfTwo: return "powers of two";
    case Fp8Scale::kE8M0: return "E8M0";
  }
  return {};
}

Status CheckFp8(std::string_view op, const MhcBoundaryArgs& a) {
  const auto wrong = [&](std::string_view what, std::string_view wanted, auto got) {
    return Status::InvalidArgument(
        fmt::format("{}: fp8.{}, needs {}, got {}", op, what, wanted, got));
  };
  const Fp8Rows& to = a.fp8;
  if (to.format.group == 0) return Status::Ok();
  if (to.format.group != 32 && to.format.group != 128)
    return wrong("format.group", "0, 32 or 128 columns", to.format.group);
  if (a.type != DType::kBF16) return wrong("format", "bf16 streams", Name(a.type));
  if (Name(to.format.scale).empty())
    return wrong("format.scale", "a Fp8Scale", static_cast<int>(to.format.scale));
  if (!(to.format.floor >= 1e-30f && to.format.floor <= 1e30f))
    return wrong("format.floor", "a number in [1e-30, 1e30]", to.format.floor);
  // No two scales at one place: a step of rows passes over all groups of one, or the other way.
  const auto passes = [](std::int64_t far, std::int64_t near, std::int64_t count) {
    return near >= 1 && (count <= 1 || (far - 1) / (count - 1) >= near);
  };
  const std::int64_t groups = fp8::GroupsOf(to.format, a.hidden);
  if (to.scale_row == 0 && to.scale_group == 0) return Status::Ok();
  if (passes(to.scale_row, to.scale_group, groups)) return Status::Ok();
  if (passes(to.scale_group, to.scale_row, a.tokens)) return Status::Ok();
  return wrong("scale_row and scale_group", "both 0, or steps that keep scales apart",
               fmt::format("{} and {}", to.scale_row, to.scale_group));
}

// The extents that all argument structs have, and the one that some have.
template <class Args>
Status CheckExtents(std::string_view op, const Args& a) {
  const auto wrong = [&](std::string_view what, std::string_view wanted, auto got) {
    return Status::InvalidArgument(fmt::format("{}: {}, needs {}, got {}", op, what, wanted, got));
  };
  if (a.type != DType::kBF16 && a.type != DType::kF32)
    return wrong("type of the streams", "bf16 or f32", Name(a.type));
  if (a.hc != 2 && a.hc != 4 && a.hc != 8) return wrong("streams", "hc of 2, 4 or 8", a.hc);
  if (a.hidden < 1) return wrong("columns", "H >= 1", a.hidden);
  if (a.tokens < 0) return wrong("tokens", "T >= 0", a.tokens);
  const MhcLayout& l = a.layout;
  if (l.x != 0 && l.x < a.hidden) return wrong("layout.x", "0 or at least H", l.x);
  if (l.token < 0) return wrong("layout.token", "0 or more", l.token);
  if (l.stream < 0) return wrong("layout.stream", "0 or more", l.stream);
  if (l.token == 0 && l.stream != 0) return wrong("layout.stream of packed streams", "0", l.stream);
  if constexpr (requires { a.site.iterations; }) {
    if (a.site.iterations < 1) return wrong("site.iterations", "at least 1", a.site.iterations);
  }
  if constexpr (requires { a.fp8; }) return CheckFp8(op, a);
  return Status::Ok();
}

// Whether what was chosen for `largest` serves `a`.
template <class Args>
Status CheckSame(std::string_view op, const Args& a, const Args& largest) {
  BK_RETURN_IF_ERROR(CheckExtents(op, a));
  const auto differs = [&](std::string_view what, auto wanted, auto got) {
    return Status::InvalidArgument(
        fmt::format("{}: was made for {} of {}, got {}", op, what, wanted, got));
  };
  if (a.type != largest.type) return differs("streams", Name(largest.type), Name(a.type));
  if (a.hc != largest.hc) return differs("hc", largest.hc, a.hc);
  if (a.hidden != largest.hidden) return differs("H", largest.hidden, a.hidden);
  if (a.tokens > largest.tokens) return differs("T", largest.tokens, a.tokens);
  if constexpr (requires { a.fp8; }) {
    const Fp8Format& now = a.fp8.format;
    const Fp8Format& then = largest.fp8.format;
    if (now.group != then.group) return differs("fp8 groups", then.group, now.group);
    if (now.scale != then.scale) return differs("fp8 scales", Name(then.scale), Name(now.scale));
    if (now.floor != then.floor) return differs("a fp8 floor", then.floor, now.floor);
  }
  if (!(a.layout == largest.layout))
    return Status::InvalidArgument(
        fmt::format("{}: was made for steps of {}, {} and {} of x, tokens and streams, got {}, {} "
                    "and {}",
                    op, largest.layout.x, largest.layout.token, largest.layout.stream, a.layout.x,
                    a.layout.token, a.layout.stream));
  return Status::Ok();
}

// Pointers of a struct, one by one.
template <class Args>
class RegionList {
 public:
  explicit RegionList(const Args& a) : a_(a) {}

  void Floats(std::string_view name, const float* p, std::int64_t count, Role role,
              std::int64_t align = kF32) {
    set_.Add({.name = name, .data = p, .bytes = count * kF32, .role = role, .align = align});
  }
  // [T, columns], of which four are read at once.
  void Coefficients(std::string_view name, const float* p, std::int64_t columns, Role role) {
    Floats(name, p, a_.tokens * columns, role, columns % 4 == 0 ? 16 : kF32);
  }
  void Streams() {
    const MhcStreams s = StreamsOf(a_);
    Rows("streams", s.data, (a_.tokens - 1) * s.token + (a_.hc - 1) * s.stream + a_.hidden);
  }
  void Mix() {
    const std::int64_t step = a_.layout.x == 0 ? a_.hidden : a_.layout.x;
    Rows("x", a_.x, (a_.tokens - 1) * step + a_.hidden);
    Streams();
    Coefficients("post", a_.post, a_.hc, Role::kInput);
    Coefficients("comb", a_.comb, a_.hc * a_.hc, Role::kInput);
  }
  void Projection(const float* fn, const float* base, const float* scale, std::int64_t rows,
                  std::int64_t scales) {
    Floats("fn", fn, rows * a_.hc * a_.hidden, Role::kParameter, 16);
    Floats("base", base, rows, Role::kParameter);
    Floats("scale", scale, scales, Role::kParameter);
  }
  void Site() { Projection(a_.site.fn, a_.site.base, a_.site.scale, a_.hc * (a_.hc + 2), 3); }
  void Norm(bool optional) {
    Floats("norm_weight", a_.norm_weight, a_.hidden, Role::kParameter, 16);
    set_.back().optional = optional;
  }
  void StreamsOut(std::string_view name, void* p) {
    Out(name, p, a_.hc * a_.hidden);
    if (a_.layout.token == 0) set_.back().may_be = "streams";
  }
  void Out(std::string_view name, void* p, std::int64_t row) {
    Rows(name, p, a_.tokens * row);
    set_.back().role = Role::kOutput;
  }
  // The rows just added, again in FP8 or only there.
  void Fp8(const Fp8Rows& to) {
    set_.back().optional = true;
    set_.Add({.name = "fp8.data",
              .data = to.data,
              .bytes = a_.tokens * a_.hidden,
              .role = Role::kOutput,
              .align = a_.hidden % 8 == 0 ? 16 : 1});
    const Fp8Rows steps = fp8::WithSteps(to, a_.hidden);
    const std::int64_t groups = fp8::GroupsOf(to.format, a_.hidden);
    const std::int64_t size = to.format.scale == Fp8Scale::kE8M0 ? 1 : kF32;
    const std::int64_t last = (a_.tokens - 1) * steps.scale_row + (groups - 1) * steps.scale_group;
    set_.Add({.name = "fp8.scale",
              .data = to.scale,
              .bytes = (last + 1) * size,
              .role = Role::kOutput,
              .align = size});
  }
  const RegionSet& set() const { return set_; }

 private:
  // Rows of eight columns and more are read by 16 bytes.
  void Rows(std::string_view name, const void* p, std::int64_t count) {
    const std::int64_t size = Size(a_.type);
    set_.Add(
        {.name = name, .data = p, .bytes = count * size, .align = a_.hidden % 8 == 0 ? 16 : size});
  }

  const Args& a_;
  RegionSet set_ = {};
};

template <class Args>
RegionSet BoundaryRegions(const Args& a) {
  RegionList<Args> list(a);
  list.Mix();
  list.Site();
  list.Norm(true);
  list.StreamsOut("streams_out", a.streams_out);
  list.Coefficients("pre_out", a.pre_out, a.hc, Role::kOutput);
  list.Coefficients("post_out", a.post_out, a.hc, Role::kOutput);
  list.Coefficients("comb_out", a.comb_out, a.hc * a.hc, Role::kOutput);
  list.Out("h", a.h, a.hidden);
  if (a.fp8.format.group != 0) list.Fp8(a.fp8);
  return list.set();
}

// What the structs that hold their extents themselves have in common.
template <class Args>
struct Plain {
  static std::int64_t Tokens(const Args& a) { return a.tokens; }
  static std::int64_t& Tokens(Args& a) { return a.tokens; }
  static Status Check(const Args& a) { return CheckExtents(Direct<Args>::kName, a); }
  static Status Same(const Args& a, const Args& largest) {
    return CheckSame(Direct<Args>::kName, a, largest);
  }
};

}  // namespace

template <>
struct Direct<MhcPostArgs> : Plain<MhcPostArgs> {
  static constexpr std::string_view kName = "mhc_post";
  static auto Table() { return MhcPostKernels(); }
  static RegionSet Regions(const MhcPostArgs& a) {
    RegionList<MhcPostArgs> list(a);
    list.Mix();
    list.StreamsOut("out", a.out);
    return list.set();
  }
};

template <>
struct Direct<MhcCoeffsArgs> : Plain<MhcCoeffsArgs> {
  static constexpr std::string_view kName = "mhc_coeffs";
  static auto Table() { return MhcCoeffsKernels(); }
  static RegionSet Regions(const MhcCoeffsArgs& a) {
    RegionList<MhcCoeffsArgs> list(a);
    list.Streams();
    list.Site();
    list.Coefficients("pre", a.pre, a.hc, Role::kOutput);
    list.Coefficients("post", a.post, a.hc, Role::kOutput);
    list.Coefficients("comb", a.comb, a.hc * a.hc, Role::kOutput);
    return list.set();
  }
};

template <>
struct Direct<MhcCollapseArgs> : Plain<MhcCollapseArgs> {
  static constexpr std::string_view kName = "mhc_collapse";
  static auto Table() { return MhcCollapseKernels(); }
  static RegionSet Regions(const MhcCollapseArgs& a) {
    RegionList<MhcCollapseArgs> list(a);
    list.Streams();
    list.Coefficients("pre", a.pre, a.hc, Role::kInput);
    list.Out("out", a.out, a.hidden);
    return list.set();
  }
};

template <>
struct Direct<MhcHeadArgs> : Plain<MhcHeadArgs> {
  static constexpr std::string_view kName = "mhc_head";
  static auto Table() { return MhcHeadKernels(); }
  static RegionSet Regions(const MhcHeadArgs& a) {
    RegionList<MhcHeadArgs> list(a);
    list.Streams();
    list.Projection(a.fn, a.base, a.scale, a.hc, 1);
    list.Out("out", a.out, a.hidden);
    return list.set();
  }
};

template <>
struct Direct<MhcBoundaryArgs> : Plain<MhcBoundaryArgs> {
  static constexpr std::string_view kName = "mhc_boundary";
  static auto Table() { return MhcBoundaryKernels(); }
  static RegionSet Regions(const MhcBoundaryArgs& a) { return BoundaryRegions(a); }
};

template <>
struct Direct<MhcBoundaryShiftedArgs> {
  using Args = MhcBoundaryShiftedArgs;
  static constexpr std::string_view kName = "mhc_boundary_shifted";
  static auto Table() { return MhcBoundaryShiftedKernels(); }
  static std::int64_t Tokens(const Args& a) { return a.boundary.tokens; }
  static std::int64_t& Tokens(Args& a) { return a.boundary.tokens; }
  static Status Check(const Args& a) { return CheckExtents(kName, a.boundary); }
  static Status Same(const Args& a, const Args& largest) {
    return CheckSame(kName, a.boundary, largest.boundary);
  }
  static RegionSet Regions(const Args& a) {
    RegionSet set = BoundaryRegions(a.boundary);
    const std::int64_t hc = a.boundary.hc;
    set.Add({.name = "pre",
             .data = a.pre,
             .bytes = a.boundary.tokens * hc * kF32,
             .align = hc % 4 == 0 ? 16 : kF32});
    return set;
  }
};

template <>
struct Direct<MhcTailArgs> : Plain<MhcTailArgs> {
  static constexpr std::string_view kName = "mhc_tail";
  static auto Table() { return MhcTailKernels(); }
  static RegionSet Regions(const MhcTailArgs& a) {
    RegionList<MhcTailArgs> list(a);
    list.Mix();
    list.Projection(a.fn, a.base, a.scale, a.hc, 1);
    list.Norm(false);
    list.StreamsOut("streams_out", a.streams_out);
    list.Out("out", a.out, a.hidden);
    return list.set();
  }
};

}  // namespace ops

template class Op<MhcPostArgs>;
template class Op<MhcCoeffsArgs>;
template class Op<MhcCollapseArgs>;
template class Op<MhcHeadArgs>;
template class Op<MhcBoundaryArgs>;
template class Op<MhcBoundaryShiftedArgs>;
template class Op<MhcTailArgs>;

}  // namespace birkhoff
