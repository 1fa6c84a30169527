// The ceiling that decoding is held against: how fast this machine reads memory.
#pragma once

namespace birkhoff {

// Reads a buffer of 512 MiB, larger than any cache in reach, with so many threads (0: every CPU
// that this process may use) and returns GB/s (1e9 bytes), the best of three passes. Takes about
// 0.3 s; 0 when the memory cannot be had.
double MeasureReadBandwidth(int threads);

}  // namespace birkhoff
