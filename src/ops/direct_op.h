// Op<Args> over a kernel table. An op says of its argument struct, in a specialisation of Direct:
//
//   kName       "mhc_post"
//   Table()     its kernels
//   Tokens()    its T, to read and to set
//   Check()     what of the extents and flags no kernel could take
//   Same()      whether what was chosen for `largest` serves another
//   Regions()   its pointers, T > 0
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "birkhoff/ops/op.h"
#include "dispatch/kernel.h"
#include "ops/regions.h"
#include "tensor/gpu.h"

namespace birkhoff {
namespace ops {

template <class Args>
struct Direct;

// What Op::Prepare() wants there: the parameters.
inline RegionSet Parameters(const RegionSet& regions) {
  RegionSet parameters;
  for (const Region& r : regions.all()) {
    if (r.role == Role::kParameter) parameters.Add(r);
  }
  return parameters;
}

inline Status CheckMemory(std::string_view op, std::string_view what, const void* p,
                          std::size_t bytes, std::int64_t align) {
  if (bytes == 0) return Status::Ok();
  const Region region = {
      .name = what, .data = p, .bytes = static_cast<std::int64_t>(bytes), .align = align};
  return CheckRegions(op, {&region, 1});
}

}  // namespace ops

template <class Args>
struct Op<Args>::Impl {
  const Kernel<Args>* row = nullptr;
  Args largest = {};
  Selection selection = {};
  std::unique_ptr<ThreadPool> pool = {};  // of a CPU kernel
  std::size_t state = 0;
  std::size_t workspace = 0;

  bool on_gpu() const { return row->device == DeviceKind::kGpu; }
  Exec ExecOn(const OpMemory& memory) const {
    return {.pool = pool.get(),
            .scratch = memory.workspace,
            .state = memory.state,
            .stream = memory.stream};
  }
};

template <class Args>
Result<Op<Args>> Op<Args>::Make(const Args& largest, const Device& device,
                                const OpOptions& options) {
  using D = ops::Direct<Args>;
  BK_RETURN_IF_ERROR(D::Check(largest));
  if (options.threads < 0)
    return Status::InvalidArgument(
        fmt::format("{}: needs 0 or more threads, got {}", D::kName, options.threads));
  auto impl = std::make_unique<Impl>();
  BK_ASSIGN_OR_RETURN(const std::size_t row,
                      Select(D::Table(), largest, device, {options.kernel}, &impl->selection));
  impl->row = &D::Table()[row];
  impl->largest = largest;
  if (!impl->on_gpu()) impl->pool = std::make_unique<ThreadPool>(options.threads);
  const int threads = impl->pool == nullptr ? 1 : impl->pool->size();
  if (impl->row->state != nullptr) impl->state = impl->row->state(largest);
  if (impl->row->scratch != nullptr) impl->workspace = impl->row->scratch(largest, threads);
  return Op(std::move(impl));
}

template <class Args>
Op<Args>::Op(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
template <class Args>
Op<Args>::Op(Op&&) noexcept = default;
template <class Args>
Op<Args>& Op<Args>::operator=(Op&&) noexcept = default;
template <class Args>
Op<Args>::~Op() = default;

template <class Args>
std::string_view Op<Args>::kernel() const {
  return impl_->row->name;
}
template <class Args>
std::string_view Op<Args>::bits() const {
  return impl_->row->bits;
}
template <class Args>
std::size_t Op<Args>::state_bytes() const {
  return impl_->state;
}
template <class Args>
std::size_t Op<Args>::workspace_bytes() const {
  return impl_->workspace;
}
template <class Args>
std::vector<OpConsidered> Op<Args>::considered() const {
  std::vector<OpConsidered> list;
  for (const Considered& c : impl_->selection.considered)
    list.push_back({std::string(c.kernel), c.why_not});
  return list;
}

template <class Args>
Status Op<Args>::Prepare(const Args& args, const OpMemory& memory) const {
  using D = ops::Direct<Args>;
  if (impl_->row->prepare == nullptr) return Status::Ok();
  BK_RETURN_IF_ERROR(D::Same(args, impl_->largest));
  BK_RETURN_IF_ERROR(ops::CheckRegions(D::kName, ops::Parameters(D::Regions(args)).all()));
  BK_RETURN_IF_ERROR(ops::CheckMemory(D::kName, "state", memory.state, impl_->state, 256));
  // State has places for as many tokens as the largest run.
  Args all = args;
  D::Tokens(all) = D::Tokens(impl_->largest);
  impl_->row->prepare(all, impl_->ExecOn(memory));
  return impl_->on_gpu() ? GpuLaunched() : Status::Ok();
}

template <class Args>
Status Op<Args>::Run(const Args& args, const OpMemory& memory) const {
  using D = ops::Direct<Args>;
  BK_RETURN_IF_ERROR(D::Same(args, impl_->largest));
  if (D::Tokens(args) == 0) return Status::Ok();
  BK_RETURN_IF_ERROR(ops::CheckRegions(D::kName, D::Regions(args).all()));
  BK_RETURN_IF_ERROR(ops::CheckMemory(D::kName, "state", memory.state, impl_->state, 256));
  BK_RETURN_IF_ERROR(
      ops::CheckMemory(D::kName, "workspace", memory.workspace, impl_->workspace, 64));
  impl_->row->run(args, impl_->ExecOn(memory));
  return impl_->on_gpu() ? GpuLaunched() : Status::Ok();
}

}  // namespace birkhoff
