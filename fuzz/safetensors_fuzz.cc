// Any bytes as a safetensors file, and as the header of one whose length field is right.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "check.h"
#include "io/safetensors.h"

namespace birkhoff::io {
namespace {

// What every reader of an accepted file relies on.
void Check(std::span<const std::byte> file) {
  const auto header = ParseSafetensors(file, "f");
  if (!header.ok()) {
    BK_FUZZ_CHECK(header.status().code() == StatusCode::kInvalidArgument);
    BK_FUZZ_CHECK(header.status().message().starts_with("f: "));
    return;
  }
  std::size_t end = 0;
  for (const TensorEntry& t : header->tensors) {
    BK_FUZZ_CHECK(end == 0 || t.begin == end);
    BK_FUZZ_CHECK(t.begin >= 8 && t.begin <= t.end && t.end <= file.size());
    if (t.dtype) {
      const ConstTensorView view = {file.data() + t.begin, *t.dtype, t.shape};
      BK_FUZZ_CHECK(view.bytes() == static_cast<std::int64_t>(t.end - t.begin));
    }
    end = t.end;
  }
  BK_FUZZ_CHECK(end == 0 || end == file.size());
}

}  // namespace
}  // namespace birkhoff::io

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  birkhoff::io::Check(input);

  constexpr std::size_t kData = 16;
  std::vector<std::byte> file(8 + size + kData);
  const std::uint64_t length = size;
  std::memcpy(file.data(), &length, 8);
  if (size > 0) std::memcpy(file.data() + 8, data, size);
  birkhoff::io::Check(file);
  return 0;
}
