// A row of an op's kernel table, and what choosing from that table tells you.
//
// A table is ordered best first and ends in the reference, which refuses no CPU. Dispatch knows no
// op and no kernel: ops/<op>.cc holds the table and is the only place that sees both.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/exec.h"
#include "base/refusal.h"
#include "birkhoff/device.h"
#include "birkhoff/status.h"

namespace birkhoff {

template <class Args>
struct Kernel {
  std::string_view name = {};  // "cpu/avx512/rms_norm". Stable: explain, verify and bench print it
  // Bits class: rows of one class give the same bits for the same arguments.
  std::string_view bits = {};
  std::string_view source = {};          // where the algorithm comes from
  DeviceKind device = DeviceKind::kCpu;  // where it runs, and where its data are

  // Everything this kernel cannot do, said once. Pure, cheap; reads shapes and dtypes of `args`,
  // never its data.
  Refusal (*refuses)(const Args& args, const Device& device) = nullptr;

  // Bytes of Exec::scratch that run() needs with these extents and this many threads; null: none.
  std::size_t (*scratch)(const Args& args, int threads) = nullptr;

  // Bytes that the kernel keeps from one run to the next with these extents, and what fills them
  // from the parameters in `args`, once: packed weights, counters. Null: none. Exec::state says
  // where they are; one run at a time may use them.
  std::size_t (*state)(const Args& args) = nullptr;
  void (*prepare)(const Args& args, const Exec& exec) = nullptr;

  // How run() would launch with these extents on the GPU of this process, and why; null: always the
  // same.
  std::string (*launch)(const Args& args) = nullptr;

  // Computes. Arguments were validated by the op. Does not allocate, fail or depend on the number
  // of threads.
  void (*run)(const Args& args, const Exec& exec) = nullptr;
};

struct Considered {
  std::string_view kernel = {};
  std::string why_not = {};  // empty for the chosen one
};

struct Selection {
  std::string_view kernel = {};
  std::string_view bits = {};
  std::string_view how = {};  // "first that accepts" or "forced"
  // The whole table, in order: the answer to "why this one?".
  std::vector<Considered> considered = {};
};

struct SelectOptions {
  // Take the row of this name or fail; empty: the first that does not refuse.
  std::string_view force = {};
};

Refusal WrongDevice(DeviceKind needed, const Device& device);

// Why a row cannot serve, or nothing: it runs elsewhere, or it refuses.
template <class Args>
Refusal WhyNot(const Kernel<Args>& row, const Args& args, const Device& device) {
  if (Refusal refusal = WrongDevice(row.device, device)) return refusal;
  return row.refuses(args, device);
}

// The index of the chosen row, and in `selection` (optional) the reasons. Deterministic.
// Errors  kUnsupported  every row refuses, or the forced row does; lists the refusals.
template <class Args>
Result<std::size_t> Select(std::span<const Kernel<Args>> table, const Args& args,
                           const Device& device, const SelectOptions& options,
                           Selection* selection) {
  Selection s;
  s.how = options.force.empty() ? "first that accepts" : "forced";
  std::size_t chosen = table.size();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Kernel<Args>& row = table[i];
    std::string why_not = WhyNot(row, args, device).why();
    if (why_not.empty() && !options.force.empty() && row.name != options.force)
      why_not = "another is forced";
    if (why_not.empty() && chosen < table.size()) why_not = "a better one accepts";
    if (why_not.empty()) {
      chosen = i;
      s.kernel = row.name;
      s.bits = row.bits;
    }
    s.considered.push_back({row.name, std::move(why_not)});
  }
  if (chosen == table.size()) {
    std::string text = "no kernel accepts:";
    for (const Considered& c : s.considered) {
      text += "\n  ";
      text += c.kernel;
      text += "  " + c.why_not;
    }
    return Status::Unsupported(std::move(text));
  }
  if (selection != nullptr) *selection = std::move(s);
  return chosen;
}

// Refusals that most rows need. They are asked about devices of the row's kind only.
template <class Args>
Refusal Never(const Args&, const Device&) {
  return {};
}

Refusal NeedsIsa(CpuIsa needed, const Device& device);

// The GPUs that portable kernels hold machine code for: compute capability 8.x and 9.0.
Refusal NeedsBuiltGpu(const Device& device);

template <class Args>
Refusal NeedsGpu(const Args&, const Device& device) {
  return NeedsBuiltGpu(device);
}

template <CpuIsa kIsa, class Args>
Refusal Needs(const Args&, const Device& device) {
  return NeedsIsa(kIsa, device);
}

}  // namespace birkhoff
