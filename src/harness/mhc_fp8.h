// h in FP8 as an output of the boundaries' cases.
#pragma once

#include <string>
#include <vector>

#include "harness/mhc_cases.h"

namespace birkhoff::harness {

// Adds rows of FP8 and their scales, those of kPowerOfTwo column after column. of_h is the bound of
// h, which grows with what is expected.
Fp8Rows AddFp8(Buffers& buffers, const MhcShape& s, Bound of_h, std::vector<Output>& to);

// What is not as a quantiser of its own makes it of h; empty: everything is.
std::string DiffersFromH(const MhcShape& s, const void* h, const Fp8Rows& rows);

}  // namespace birkhoff::harness
