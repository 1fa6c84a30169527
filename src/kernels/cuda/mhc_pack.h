// fn in the order of the fragments of mma.m16n8k16.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace birkhoff::cuda {

// Bytes of fn [rows, hc * H] packed: [chunk][stream][2 steps][rows / 8 tiles][32 lanes] of 16, rows
// rounded up to 8 and columns to 32. The chunks of a slice lie side by side.
std::size_t PackedBytes(int rows, int hc, std::int64_t hidden);

// Enqueues the packing of fn into `packed`, aligned to 16 bytes.
void PackFn(const float* fn, int rows, int hc, std::int64_t hidden, void* packed,
            cudaStream_t stream);

}  // namespace birkhoff::cuda
