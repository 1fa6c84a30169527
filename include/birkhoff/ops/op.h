// An op made ready for a device: which kernel runs it and how much memory it works in. For engines
// that keep their own graph and memory and want single ops of Birkhoff.
//
//   auto op = Op<MhcBoundaryArgs>::Make(largest, *FirstGpu().device);  // its T is the most
//   if (!op.ok()) ...                                                  // every kernel says why not
//   memory.state = ...; memory.workspace = ...;                        // as many bytes as it says
//   op->Prepare(parameters, memory);                                   // once: packs the weights
//   op->Run(args, memory);
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/status.h"

namespace birkhoff {

struct OpOptions {
  std::string_view kernel = {};  // take this kernel or fail; empty: the best that accepts
  int threads = 0;               // of a CPU kernel; 0: every CPU this process may use
};

// Memory of the caller, on the device of the op. Contents are arbitrary at first and the op's own
// from Prepare() on. Each serves one run at a time.
struct OpMemory {
  void* state = nullptr;      // state_bytes(), aligned to 256; lives from Prepare() to the last run
  void* workspace = nullptr;  // workspace_bytes(), aligned to 64; free between runs
  void* stream = nullptr;     // cudaStream_t of a GPU kernel; null is the default stream
};

// Why a kernel of the op was not taken; empty for the one that was.
struct OpConsidered {
  std::string kernel = {};
  std::string why_not = {};
};

// Args is one of the structs of ops/mhc.h.
template <class Args>
class Op {
 public:
  // Chooses for `largest`: its extents, types and flags; its pointers are not looked at.
  // Errors  kInvalidArgument  extents that no kernel could take; the message names them.
  //         kUnsupported      no kernel accepts; the message lists what each of them says.
  static Result<Op> Make(const Args& largest, const Device& device, const OpOptions& options = {});

  Op(Op&&) noexcept;
  Op& operator=(Op&&) noexcept;
  ~Op();

  std::string_view kernel() const;  // "cuda/sm90/mhc_boundary"
  std::string_view bits() const;    // kernels of one class give the same bits
  std::vector<OpConsidered> considered() const;
  std::size_t state_bytes() const;      // 0: no state, and nothing to prepare
  std::size_t workspace_bytes() const;  // 0: none

  // Fills the state from the parameters in `args`; its other pointers are not looked at. Again
  // whenever parameters change. Runs must be ordered behind it, on the same stream or by events.
  // Errors  kInvalidArgument  a parameter, or the state, is null or misaligned.
  Status Prepare(const Args& args, const OpMemory& memory) const;

  // Enqueues on memory.stream, or computes and returns on the CPU. One call at a time.
  // Errors  kInvalidArgument  an extent is not that of `largest`, or T exceeds it; an operand is
  //                           null, misaligned or overlaps another. The message names the operand,
  //                           what was expected and what came. Nothing was enqueued.
  Status Run(const Args& args, const OpMemory& memory) const;

 private:
  struct Impl;
  explicit Op(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff
