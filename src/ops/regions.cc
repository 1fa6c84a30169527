#include "ops/regions.h"

#include <fmt/format.h>

#include <cstdint>

namespace birkhoff::ops {
namespace {

std::uintptr_t Begin(const Region& o) { return reinterpret_cast<std::uintptr_t>(o.data); }

bool Overlap(const Region& a, const Region& b) {
  return Begin(a) < Begin(b) + static_cast<std::uintptr_t>(b.bytes) &&
         Begin(b) < Begin(a) + static_cast<std::uintptr_t>(a.bytes);
}

std::string Range(const Region& o) {
  return fmt::format("[{:#x}, {:#x})", Begin(o), Begin(o) + static_cast<std::uintptr_t>(o.bytes));
}

}  // namespace

Status CheckRegions(std::string_view op, std::span<const Region> regions) {
  for (const Region& o : regions) {
    if (o.data == nullptr && !o.optional)
      return Status::InvalidArgument(
          fmt::format("{}: {} is null, needs {} bytes", op, o.name, o.bytes));
    if (Begin(o) % static_cast<std::uintptr_t>(o.align) != 0)
      return Status::InvalidArgument(
          fmt::format("{}: {} is at {:#x}, needs a multiple of {}", op, o.name, Begin(o), o.align));
  }
  for (const Region& out : regions) {
    if (out.role != Role::kOutput || out.data == nullptr) continue;
    for (const Region& other : regions) {
      if (&other == &out || other.data == nullptr || !Overlap(out, other)) continue;
      if (out.may_be == other.name && out.data == other.data) continue;
      if (other.may_be == out.name && out.data == other.data) continue;
      return Status::InvalidArgument(fmt::format("{}: {} {} overlaps {} {}", op, out.name,
                                                 Range(out), other.name, Range(other)));
    }
  }
  return Status::Ok();
}

}  // namespace birkhoff::ops
