#include "kernels/cuda/mhc_pack.h"

#include "kernels/cuda/mhc_brick.h"

namespace birkhoff::cuda {
namespace {

constexpr int kThreads = 256;

// Registers of an A fragment: rows lane / 4 (hi) and + 8 (lo), first at the lower pair of columns,
// then at the upper one.
__global__ void Pack(const float* fn, int rows, int hc, std::int64_t hidden, std::int64_t pieces,
                     uint4* packed) {
  const std::int64_t piece = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (piece >= pieces) return;
  const int lane = static_cast<int>(piece % 32);
  const std::int64_t tiles = (rows + 7) / 8;
  const std::int64_t tile = piece / 32 % tiles;
  const std::int64_t step = piece / 32 / tiles % (2 * hc);
  const std::int64_t chunk = piece / 32 / tiles / (2 * hc);
  const std::int64_t row = 8 * tile + lane / 4;
  const std::int64_t column = chunk * kChunk + 8 * (lane % 4) + 4 * (step % 2);
  float hi[4], lo[4];
  for (int i = 0; i < 4; ++i) {
    const bool inside = row < rows && column + i < hidden;
    const float f = inside ? fn[(row * hc + step / 2) * hidden + column + i] : 0.0f;
    hi[i] = Low(cuda::Pack(f, 0));
    lo[i] = __fsub_rn(f, hi[i]);
  }
  packed[piece] = {cuda::Pack(hi[0], hi[1]), cuda::Pack(lo[0], lo[1]), cuda::Pack(hi[2], hi[3]),
                   cuda::Pack(lo[2], lo[3])};
}

std::int64_t Pieces(int rows, int hc, std::int64_t hidden) {
  return (hidden + kChunk - 1) / kChunk * 2 * hc * ((rows + 7) / 8) * 32;
}

}  // namespace

std::size_t PackedBytes(int rows, int hc, std::int64_t hidden) {
  return static_cast<std::size_t>(Pieces(rows, hc, hidden)) * sizeof(uint4);
}

void PackFn(const float* fn, int rows, int hc, std::int64_t hidden, void* packed,
            cudaStream_t stream) {
  const std::int64_t pieces = Pieces(rows, hc, hidden);
  Pack<<<static_cast<unsigned>((pieces + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
      fn, rows, hc, hidden, pieces, static_cast<uint4*>(packed));
}

}  // namespace birkhoff::cuda
