// The ceiling that decoding is held against: how fast this machine reads memory.
#pragma once

namespace birkhoff {

// Reads a buffer with so many threads (0: every CPU that this process may use) and returns GB/s
// (1e9 bytes), the best of three passes. The buffer has 1 GiB, larger than the caches that servers
// share, or 512 MiB on a machine with less than 8 GiB. Takes about 0.5 s; 0 when the memory cannot
// be had.
double MeasureReadBandwidth(int threads);

}  // namespace birkhoff
